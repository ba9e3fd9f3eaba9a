/* Transcendental functions of fixed-point numbers: the C twin of kernels/gemmlowp.py. */
#ifndef MIDGE_GEMMLOWP_H
#define MIDGE_GEMMLOWP_H

#include "midge_fixedpoint.h"

/* Leading zeros of a number that isn't 0. */
MIDGE_INLINE int32_t midge_leading_zeros(uint32_t value)
{
#if defined(__GNUC__)
    return __builtin_clz(value);
#else
    int32_t zeros = 0;
    for (; !(value & 0x80000000u); value <<= 1)
        zeros++;
    return zeros;
#endif
}

MIDGE_INLINE int32_t midge_saturating_shift_left(int32_t x, int32_t bits)
{
    const int64_t wide = (int64_t)x * ((int64_t)1 << bits);
    if (wide > INT32_MAX)
        return INT32_MAX;
    return wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* 1 / (1 + x) for x in [0, 1), both Q0.31: three Newton-Raphson steps for 2 / (1 + x) in Q2.29. */
MIDGE_INLINE int32_t midge_one_over_one_plus_x(int32_t raw)
{
    const int32_t q2_one = 1 << 29;
    const int32_t q2_48_over_17 = 1515870810, q2_minus_32_over_17 = -1010580540;
    const int32_t half = (int32_t)(((int64_t)raw + INT32_MAX + 1) / 2);
    int32_t x = midge_high_mul(half, q2_minus_32_over_17) + q2_48_over_17;
    for (int step = 0; step < 3; step++) {
        const int32_t error = q2_one - midge_high_mul(half, x);
        x += midge_saturating_shift_left(midge_high_mul(x, error), 2);
    }
    return midge_saturating_shift_left(x, 1);
}

#endif
