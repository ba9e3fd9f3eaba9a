/* A part of a tensor replaced (kernels/update_slice.py). */
#include "midge_copying.h"
#include "midge_kernels.h"

/* An index of int32 or int64, held where the part fits. */
MIDGE_INLINE int32_t held(const int8_t *indices, int32_t axis, int32_t wide, int32_t most)
{
    const int64_t index = wide ? midge_int64_at(indices, 8 * axis)[0]
                               : (int64_t)midge_int32_at(indices, 4 * axis)[0];
    return index < 0 ? 0 : index > most ? most : (int32_t)index;
}

void midge_update_slice(
    int8_t *arena, const int8_t *constants, const midge_update_slice_params *p)
{
    const int8_t *x = (p->x_constant ? constants : arena) + p->x;
    const int8_t *part = (p->part_constant ? constants : arena) + p->part;
    const int8_t *indices = (p->indices_constant ? constants : arena) + p->indices;
    const midge_int32 *most = midge_int32_at(constants, p->axes);
    const midge_int32 *step = most + p->rank, *size = step + p->rank;
    int8_t *y = arena + p->y;
    midge_move(y, x, p->bytes);
    for (int32_t axis = 0; axis < p->rank; axis++)
        y += held(indices, axis, p->wide, most[axis]) * step[axis];
    for (int32_t run = 0; run < p->runs; run++) {
        int32_t place = 0, rest = run;
        for (int32_t axis = p->rank - 1; axis >= 0; axis--) {
            place += rest % size[axis] * step[axis];
            rest /= size[axis];
        }
        midge_move(y + place, part + run * p->length, p->length);
    }
}
