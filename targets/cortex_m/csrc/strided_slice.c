/* Strided slices, transposition and plain copies (kernels/strided_slice.py). */
#include "midge_copying.h"
#include "midge_kernels.h"

void midge_strided_slice_rows(
    int8_t *arena, const int8_t *constants, const midge_strided_slice_rows_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *x = arena + x_rows[row * p->step] + p->offset;
        int8_t *y = arena + y_rows[row];
        for (int32_t column = 0; column < p->columns; column++) {
            midge_copy_run(y, x, p->channels, p->channel_step, p->size);
            x += p->column_step;
            y += p->channels * p->size;
        }
    }
}

void midge_strided_copy(
    int8_t *arena, const int8_t *constants, const midge_strided_copy_params *p)
{
    const midge_int32 *count = midge_int32_at(constants, p->axes), *step = count + 6;
    const int8_t *x = arena + p->x + p->offset;
    int8_t *y = arena + p->y;
    for (int32_t a = 0; a < count[0]; a++)
        for (int32_t b = 0; b < count[1]; b++)
            for (int32_t c = 0; c < count[2]; c++)
                for (int32_t d = 0; d < count[3]; d++)
                    for (int32_t e = 0; e < count[4]; e++) {
                        const int32_t place = a * step[0] + b * step[1] + c * step[2]
                                              + d * step[3] + e * step[4];
                        midge_copy_run(y, x + place, count[5], step[5], p->size);
                        y += count[5] * p->size;
                    }
}
