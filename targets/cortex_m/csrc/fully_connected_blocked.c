/* Fully connected layers for cores with many registers: eight units at a time, of two batches. */
#include "midge_blocked.h"
#include "midge_kernels.h"

void midge_fully_connected_blocked_s8(
    int8_t *arena, const int8_t *constants, const midge_fully_connected_blocked_s8_params *p)
{
    const midge_output output = {p->output_zero, p->least, p->greatest};
    const int8_t *x = arena + p->x, *const weights = constants + p->weights;
    int8_t *y = arena + p->y;
    int32_t left = p->batches;
    for (; left >= 2; left -= 2, x += 2 * p->depth, y += 2 * p->units) {
        int8_t *const both[2] = {y, y + p->units};
        midge_blocked_two(both, x, x + p->depth, weights, p->depth, p->units, output);
    }
    if (left > 0)
        midge_blocked_one(y, x, weights, p->depth, p->units, output);
}
