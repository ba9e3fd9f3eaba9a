/* Means over any axes (kernels/mean.py). */
#include <string.h>

#include "midge_fixedpoint.h"
#include "midge_kernels.h"
#include "midge_reducing.h"

MIDGE_INLINE int32_t element(const int8_t *x, int32_t at, int wide)
{
    return wide ? ((const midge_int16 *)(const void *)x)[at] : x[at];
}

static int32_t sum(const int8_t *x, int32_t start, const midge_int32 *axes, int wide)
{
    const midge_int32 *size = axes + 2 * MIDGE_GROUPS, *stride = axes + 3 * MIDGE_GROUPS;
    int32_t total = 0;
    for (int32_t i = 0; i < size[0]; i++)
        for (int32_t j = 0; j < size[1]; j++) {
            int32_t at = start + i * stride[0] + j * stride[1];
            for (int32_t k = 0; k < size[2]; k++, at += stride[2])
                total += element(x, at, wide);
        }
    return total;
}

void midge_mean_s8(int8_t *arena, const int8_t *constants, const midge_mean_s8_params *p)
{
    const midge_int32 *axes = midge_int32_at(constants, p->axes);
    int8_t *y = arena + p->y;
    for (int32_t index = 0; index < axes[0] * axes[1] * axes[2]; index++) {
        const int32_t total = sum(arena + p->x, midge_first_element(axes, index), axes, 0);
        const int32_t scaled = midge_scale(total + p->sum_offset, p->multiplier, p->shift);
        y[index] = (int8_t)midge_clamp(scaled + p->y_offset, INT8_MIN, INT8_MAX);
    }
}

/* Adds some rows of x to the sums; the last row of all makes the output. */
void midge_mean_by_row_s8(
    int8_t *arena, const int8_t *constants, const midge_mean_by_row_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    midge_int32 *sums = (midge_int32 *)(void *)(arena + p->sums);
    int8_t *y = arena + p->y;
    if (p->first == 0)
        memset(sums, 0, sizeof *sums * (size_t)p->channels);
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *x = arena + x_rows[row];
        for (int32_t column = 0; column < p->columns; column++)
            for (int32_t channel = 0; channel < p->channels; channel++)
                sums[channel] += *x++;
    }
    if (p->first + p->rows == p->height)
        for (int32_t channel = 0; channel < p->channels; channel++) {
            const int32_t total = sums[channel] + p->sum_offset;
            const int32_t scaled = midge_scale(total, p->multiplier, p->shift) + p->y_offset;
            y[channel] = (int8_t)midge_clamp(scaled, INT8_MIN, INT8_MAX);
        }
}

void midge_mean_s16(int8_t *arena, const int8_t *constants, const midge_mean_s16_params *p)
{
    const midge_int32 *axes = midge_int32_at(constants, p->axes);
    midge_int16 *y = (midge_int16 *)(void *)(arena + p->y);
    for (int32_t index = 0; index < axes[0] * axes[1] * axes[2]; index++) {
        const int32_t total = sum(arena + p->x, midge_first_element(axes, index), axes, 1);
        const int32_t scaled = midge_scale(total + p->sum_offset, p->multiplier, p->shift);
        y[index] = (int16_t)midge_clamp(scaled + p->y_offset, INT16_MIN, INT16_MAX);
    }
}

void midge_mean_f32(int8_t *arena, const int8_t *constants, const midge_mean_f32_params *p)
{
    const midge_int32 *axes = midge_int32_at(constants, p->axes);
    const midge_int32 *size = axes + 2 * MIDGE_GROUPS, *stride = axes + 3 * MIDGE_GROUPS;
    const midge_float *x = midge_float_at(arena, p->x);
    midge_float *y = (midge_float *)(void *)(arena + p->y);
    for (int32_t index = 0; index < axes[0] * axes[1] * axes[2]; index++) {
        const int32_t start = midge_first_element(axes, index);
        float total = 0.0f;
        for (int32_t i = 0; i < size[0]; i++)
            for (int32_t j = 0; j < size[1]; j++)
                for (int32_t k = 0; k < size[2]; k++)
                    total += x[start + i * stride[0] + j * stride[1] + k * stride[2]];
        y[index] = total / (float)p->count;
    }
}
