/* A border round a tensor (kernels/pad.py); all sizes are in bytes. */
#include "midge_copying.h"
#include "midge_kernels.h"

/* One row, from its first byte to its last, so that it may lie over x. */
static void bordered_row(
    int8_t *y, const int8_t *x, const int8_t *fill, const midge_pad_rows_params *p)
{
    midge_fill(y, fill, p->left);
    y += p->left;
    for (int32_t column = 0; column < p->columns; column++) {
        midge_fill(y, fill, p->before);
        y += p->before;
        midge_move(y, x, p->chunk);
        y += p->chunk;
        x += p->chunk;
        midge_fill(y, fill, p->after);
        y += p->after;
    }
    midge_fill(y, fill, p->right);
}

void midge_pad_rows(int8_t *arena, const int8_t *constants, const midge_pad_rows_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    const int8_t *fill = constants + p->fill;
    const int32_t row_bytes =
        p->left + p->columns * (p->before + p->chunk + p->after) + p->right;
    for (int32_t row = 0; row < p->rows; row++) {
        if (x_rows[row] < 0)
            midge_fill(arena + y_rows[row], fill, row_bytes);
        else
            bordered_row(arena + y_rows[row], arena + x_rows[row], fill, p);
    }
}

void midge_pad_flat(int8_t *arena, const int8_t *constants, const midge_pad_flat_params *p)
{
    const midge_int32 *size = midge_int32_at(constants, p->axes), *step = size + 5;
    const int8_t *x = arena + p->x;
    int8_t *y = arena + p->y + p->start;
    midge_fill(arena + p->y, constants + p->fill, p->bytes);
    for (int32_t a = 0; a < size[0]; a++)
        for (int32_t b = 0; b < size[1]; b++)
            for (int32_t c = 0; c < size[2]; c++)
                for (int32_t d = 0; d < size[3]; d++)
                    for (int32_t e = 0; e < size[4]; e++) {
                        const int32_t place = a * step[0] + b * step[1] + c * step[2]
                                              + d * step[3] + e * step[4];
                        midge_move(y + place, x, p->chunk);
                        x += p->chunk;
                    }
}
