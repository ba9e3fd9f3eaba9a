/* Pixels brought to length 1 (kernels/l2_normalization.py). */
#include "midge_fixedpoint.h"
#include "midge_kernels.h"
#include "midge_memory.h"
#include "midge_root.h"

MIDGE_INLINE int32_t scaled_up(int32_t x, int32_t bits)
{
    const int64_t wide = (int64_t)x * ((int64_t)1 << bits);
    return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* 1 / sqrt(x) as multiplier and shift, by Newton's method (kernels/inverse_root.py). */
static int32_t inverse_root(int32_t x, int32_t *shift)
{
    const int32_t half_of_three = (1 << 28) + (1 << 27), half_root_of_two = 1518500250;
    int32_t right = 11, found = 1 << 28;
    *shift = 0;
    if (x <= 1)
        return INT32_MAX;
    for (; x >= 1 << 29; x >>= 2)
        right++;
    for (; x < 1 << 27; x <<= 2)
        right--;
    const int32_t value = x >> 1, half = (value >> 1) + (value & 1);
    for (int32_t i = 0; i < 5; i++) {
        const int32_t cube = scaled_up(midge_high_mul(midge_high_mul(found, found), found), 6);
        const int32_t more = midge_high_mul(half_of_three, found);
        found = scaled_up(more - midge_high_mul(half, cube), 3);
    }
    found = midge_high_mul(found, half_root_of_two);
    if (right < 0)
        return midge_shift_left(found, -right);
    *shift = -right;
    return found;
}

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
        const int32_t multiplier = inverse_root(total, &shift);
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
