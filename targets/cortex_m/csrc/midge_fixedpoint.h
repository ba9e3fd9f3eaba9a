/* Fixed-point rounding: the C twin of kernels/fixedpoint.py, which states the rules and sources. */
#ifndef MIDGE_FIXEDPOINT_H
#define MIDGE_FIXEDPOINT_H

#include <stdint.h>

#include "midge_memory.h"

/* Numbers wrap at 32 bits where TFLite's do; a signed shift left would be undefined in C. */
MIDGE_INLINE int32_t midge_shift_left(int32_t x, int32_t bits)
{
    return (int32_t)((uint32_t)x << bits);
}

/* round(a * b / 2**31), ties upwards. A multiplier is never -2**31, so nothing saturates. */
MIDGE_INLINE int32_t midge_high_mul(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* round(x / 2**exponent), ties away from zero; x > -2**31, which high_mul keeps. The sum with half
 * of the divisor could leave 32 bits, so one bit less is shifted out before it. */
MIDGE_INLINE int32_t midge_divide_by_pot(int32_t x, int32_t exponent)
{
    if (exponent == 0)
        return x;
    return (((x - (x < 0)) >> (exponent - 1)) + 1) >> 1;
}

/* x * multiplier * 2**(shift - 31), rounded twice. The common case is a shift to the right; its
 * exponent less one is ~shift. */
MIDGE_INLINE int32_t midge_scale(int32_t x, int32_t multiplier, int32_t shift)
{
    if (shift < 0) {
        const int32_t product = midge_high_mul(x, multiplier);
        return (((product - (product < 0)) >> ~shift) + 1) >> 1;
    }
    return midge_high_mul(midge_shift_left(x, shift), multiplier);
}

/* x * (multiplier as 16 bits) * 2**(shift - 15) of |x| < 2**47, rounded once, ties upwards. */
MIDGE_INLINE int32_t midge_scale_64(int64_t x, int32_t multiplier, int32_t shift)
{
    const int32_t reduced =
        multiplier < 0x7FFF0000 ? (multiplier + (1 << 15)) >> 16 : 0x7FFF;
    const int32_t right = 15 - shift;
    return (int32_t)((x * reduced + ((int64_t)1 << (right - 1))) >> right);
}

MIDGE_INLINE int32_t midge_clamp(int32_t value, int32_t least, int32_t greatest)
{
    value = value < least ? least : value;
    return value > greatest ? greatest : value;
}

/* From sums to int8 outputs: what all channels share. */
typedef struct {
    int32_t zero;
    int32_t least;
    int32_t greatest;
} midge_output;

/* `count` outputs, each channel with its own multiplier and shift. */
MIDGE_INLINE void midge_requantize(
    int8_t *y, const int32_t *sums, int32_t count, const midge_int32 *multiplier,
    const midge_int32 *shift, midge_output output)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t scaled = midge_scale(sums[i], multiplier[i], shift[i]) + output.zero;
        y[i] = (int8_t)midge_clamp(scaled, output.least, output.greatest);
    }
}

/* midge_scale(x, multiplier, -exponent) clamped, for |x| < 2**29 and an exponent from 1 to 21:
 * both roundings are one sum before one shift, since roundings down may be nested. With `relu` the
 * least output is the zero point, so that it doesn't matter how negative numbers are rounded. */
MIDGE_INLINE int8_t midge_output_of(
    int32_t x, int32_t multiplier, int32_t exponent, midge_output output, int relu)
{
    const int32_t fourfold = midge_shift_left(x, 2);
    const int32_t doubled = (int32_t)(((int64_t)fourfold * multiplier) >> 32);
    const int32_t half = midge_shift_left(2 * output.zero + 1, exponent) + 1;
    const int32_t away = relu || x >= 0 ? 0 : -2;
    const int32_t y = (doubled + half + away) >> (exponent + 1);
    return (int8_t)midge_clamp(y, output.least, output.greatest);
}

MIDGE_INLINE float midge_clamp_float(float value, float least, float greatest)
{
    value = value < least ? least : value;
    return value > greatest ? greatest : value;
}

#endif
