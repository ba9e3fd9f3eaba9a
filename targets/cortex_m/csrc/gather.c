/* Slices where indices say (kernels/gather.py). */
#include "midge_copying.h"
#include "midge_kernels.h"

/* An index inside an axis of `size`: negative ones count from the end. */
MIDGE_INLINE int32_t inside(const int8_t *indices, int32_t place, int32_t wide, int32_t size)
{
    int64_t index = wide ? midge_int64_at(indices, 8 * place)[0]
                         : (int64_t)midge_int32_at(indices, 4 * place)[0];
    index += index < 0 ? size : 0;
    return index < 0 ? 0 : index >= size ? size - 1 : (int32_t)index;
}

void midge_gather(int8_t *arena, const int8_t *constants, const midge_gather_params *p)
{
    const int8_t *x = (p->x_constant ? constants : arena) + p->x;
    const int8_t *indices = (p->indices_constant ? constants : arena) + p->indices;
    int8_t *y = arena + p->y;
    for (int32_t batch = 0; batch < p->batch; batch++)
        for (int32_t outer = 0; outer < p->outer; outer++, x += p->size * p->bytes)
            for (int32_t i = 0; i < p->count; i++) {
                const int32_t place = inside(indices, batch * p->count + i, p->wide, p->size);
                midge_move(y, x + place * p->bytes, p->bytes);
                y += p->bytes;
            }
}

void midge_gather_nd(int8_t *arena, const int8_t *constants, const midge_gather_nd_params *p)
{
    const int8_t *x = (p->x_constant ? constants : arena) + p->x;
    const int8_t *indices = (p->indices_constant ? constants : arena) + p->indices;
    const midge_int32 *size = midge_int32_at(constants, p->axes), *step = size + p->depth;
    int8_t *y = arena + p->y;
    for (int32_t i = 0; i < p->count; i++) {
        int32_t place = 0;
        for (int32_t axis = 0; axis < p->depth; axis++)
            place += inside(indices, i * p->depth + axis, p->wide, size[axis]) * step[axis];
        midge_move(y, x + place, p->bytes);
        y += p->bytes;
    }
}
