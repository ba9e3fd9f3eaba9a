/* Fully connected layers by weights of 16 bits, four units at a time. */
#include "midge_kernels.h"
#include "midge_paired.h"
#include "midge_wide.h"

void midge_fully_connected_wide_s8(
    int8_t *arena, const int8_t *constants, const midge_fully_connected_wide_s8_params *p)
{
    midge_int32 *const columns = (midge_int32 *)(void *)(arena + p->columns);
    const midge_int32 *w = midge_int32_at(constants, p->weights);
    const midge_int32 *end = w + (4 * p->words + 16) * (p->units / 4);
    const int8_t *x = arena + p->x;
    int8_t *y = arena + p->y;
    for (int32_t batch = 0; batch < p->batches; batch++, x += p->depth, y += p->units) {
        const midge_wide_vector_job job = {columns, columns + p->words, end, y, w, 0};
        midge_paired_widen(columns, x, p->depth, 1);
        midge_wide_vector_product(&job);
        if (p->least > -128 || p->greatest < 127)
            midge_clamp_bytes(y, p->units, p->least, p->greatest);
    }
}

void midge_fully_connected_wide_bytes_s8(
    int8_t *arena, const int8_t *constants, const midge_fully_connected_wide_bytes_s8_params *p)
{
    const midge_int32 *w = midge_int32_at(constants, p->weights);
    const midge_int32 *end = w + (2 * p->depth + 16) * (p->units / 4);
    const int8_t *x = arena + p->x;
    int8_t *y = arena + p->y;
    for (int32_t batch = 0; batch < p->batches; batch++, x += p->depth, y += p->units) {
        const midge_wide_vector_job job = {x, x + p->depth, end, y, w, 1};
        midge_wide_vector_product(&job);
        if (p->least > -128 || p->greatest < 127)
            midge_clamp_bytes(y, p->units, p->least, p->greatest);
    }
}
