/* Copies of elements whose places are known (kernels/rearrange.py). */
#include "midge_copying.h"
#include "midge_kernels.h"

void midge_table_copy(
    int8_t *arena, const int8_t *constants, const midge_table_copy_params *p)
{
    const midge_int32 *count = midge_int32_at(constants, p->axes);
    const midge_int32 *first = count + 5, *second = first + count[0];
    const midge_int32 *third = second + count[1], *fourth = third + count[2];
    const midge_int32 *last = fourth + count[3];
    const int8_t *x = arena + p->x + p->offset;
    int8_t *y = arena + p->y;
    for (int32_t a = 0; a < count[0]; a++)
        for (int32_t b = 0; b < count[1]; b++)
            for (int32_t c = 0; c < count[2]; c++)
                for (int32_t d = 0; d < count[3]; d++)
                    for (int32_t e = 0; e < count[4]; e++) {
                        const int32_t place = first[a] + second[b] + third[c] + fourth[d] + last[e];
                        midge_copy_run(y, x + place, p->count, p->step, p->size);
                        y += p->count * p->size;
                    }
}
