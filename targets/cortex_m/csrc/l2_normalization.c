/* Pixels brought to length 1 (kernels/l2_normalization.py). */
#include "midge_fixedpoint.h"
#include "midge_inverse_root.h"
#include "midge_kernels.h"
#include "midge_memory.h"
#include "midge_root.h"

void midge_l2_normalization_s8(
    int8_t *arena, const int8_t *constants, const midge_l2_normalization_s8_params *p)
{
    const int8_t *x = arena + p->x;
    int8_t *y = arena + p->y;
    (void)constants;
    for (int32_t pixel = 0; pixel < p->pixels; pixel++, x += p->depth, y += p->depth) {
        int32_t total = 0, shift;
        for (int32_t i = 0; i < p->depth; i++)
            total += (x[i] + p->x_offset) * (x[i] + p->x_offset);
        const int32_t multiplier = midge_inverse_root(total, &shift);
        for (int32_t i = 0; i < p->depth; i++) {
            const int32_t value = midge_shift_left(x[i] + p->x_offset, p->before);
            const int32_t scaled = midge_scale(value, multiplier, shift + p->after);
            y[i] = (int8_t)midge_clamp(scaled + p->y_offset, INT8_MIN, INT8_MAX);
        }
    }
}

void midge_l2_normalization_f32(
    int8_t *arena, const int8_t *constants, const midge_l2_normalization_f32_params *p)
{
    const midge_float *x = midge_float_at(arena, p->x);
    midge_float *y = (midge_float *)(void *)(arena + p->y);
    (void)constants;
    for (int32_t pixel = 0; pixel < p->pixels; pixel++, x += p->depth, y += p->depth) {
        float total = 0.0f;
        for (int32_t i = 0; i < p->depth; i++)
            total += x[i] * x[i];
        const float found = midge_root(total), size = found > 1e-6f ? found : 1e-6f;
        for (int32_t i = 0; i < p->depth; i++)
            y[i] = x[i] / size;
    }
}
