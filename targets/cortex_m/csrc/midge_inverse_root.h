/* Inverse square roots of whole numbers in gemmlowp's fixed point. */
#ifndef MIDGE_INVERSE_ROOT_H
#define MIDGE_INVERSE_ROOT_H

#include "midge_fixedpoint.h"

static inline int32_t midge_scaled_up(int32_t x, int32_t bits)
{
    const int64_t wide = (int64_t)x * ((int64_t)1 << bits);
    return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* 1 / sqrt(x) as multiplier and shift, by Newton's method (kernels/inverse_root.py). */
static inline int32_t midge_inverse_root(int32_t x, int32_t *shift)
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
        const int32_t cube = midge_scaled_up(midge_high_mul(midge_high_mul(found, found), found), 6);
        const int32_t more = midge_high_mul(half_of_three, found);
        found = midge_scaled_up(more - midge_high_mul(half, cube), 3);
    }
    found = midge_high_mul(found, half_root_of_two);
    if (right < 0)
        return midge_shift_left(found, -right);
    *shift = -right;
    return found;
}

#endif
