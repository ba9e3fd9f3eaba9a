/* Fully connected layers: two units at a time over widened inputs, or four over bytes. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif
#include "midge_kernels.h"
#include "midge_paired.h"

void midge_fully_connected_paired_s8(
    int8_t *arena, const int8_t *constants, const midge_fully_connected_paired_s8_params *p)
{
    midge_int32 *const columns = (midge_int32 *)(void *)(arena + p->columns);
    const midge_int32 *w = midge_int32_at(constants, p->weights);
    const midge_int32 *end = w + (p->words + 5) * (p->units / 2);
    const int8_t *x = arena + p->x;
    int8_t *y = arena + p->y;
    for (int32_t batch = 0; batch < p->batches; batch++, x += p->depth, y += p->units) {
        const midge_paired_job job = {
            columns, columns + p->words, p->words / MIDGE_PAIRED_UNIT, 2 * p->output_zero + 1, end,
            {y, 0, 0}, w};
        midge_paired_widen(columns, x, p->depth, 1);
        midge_paired_product1(&job);
        if (p->least > -128 || p->greatest < 127)
            midge_clamp_bytes(y, p->units, p->least, p->greatest);
    }
}

void midge_fully_connected_fours_s8(
    int8_t *arena, const int8_t *constants, const midge_fully_connected_fours_s8_params *p)
{
    const midge_int32 *w = midge_int32_at(constants, p->weights);
    const int32_t block = p->words + 5;
    const int8_t *x = arena + p->x;
    int8_t *y = arena + p->y;
    for (int32_t batch = 0; batch < p->batches; batch++, x += p->depth, y += p->units) {
        const midge_paired_bytes_job job = {
            x, x + p->depth, p->depth & 16, 2 * p->output_zero + 1, w + block * (p->units / 2), y, w};
        midge_paired_bytes_product(&job);
        if (p->least > -128 || p->greatest < 127)
            midge_clamp_bytes(y, p->units, p->least, p->greatest);
    }
}
