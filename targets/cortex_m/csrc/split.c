/* A tensor cut into pieces along an axis (kernels/split.py). */
#include "midge_copying.h"
#include "midge_kernels.h"

void midge_split_flat(int8_t *arena, const int8_t *constants, const midge_split_flat_params *p)
{
    const midge_int32 *chunks = midge_int32_at(constants, p->chunks);
    const int32_t *y = &p->y0; /* y0, y1, ... follow each other */
    const int8_t *x = arena + p->x;
    for (int32_t block = 0; block < p->blocks; block++)
        for (int32_t i = 0; i < p->count; i++) {
            midge_move(arena + y[i] + block * chunks[i], x, chunks[i]);
            x += chunks[i];
        }
}
