/* log, sin, cos, tanh and expm1 of float32 in double, with the bits of kernels/transcendental.py. */
#ifndef MIDGE_TRANSCENDENTAL_H
#define MIDGE_TRANSCENDENTAL_H

#include <string.h>

#include "midge_memory.h"

#define MIDGE_SERIES(name, ...)                                                                   \
    static inline double name(double z)                                                           \
    {                                                                                             \
        static const double coefficients[] = {__VA_ARGS__};                                       \
        double total = 0.0;                                                                       \
        for (unsigned i = 0; i < sizeof coefficients / sizeof *coefficients; i++)                 \
            total = (total + coefficients[i]) * z;                                                \
        return total;                                                                             \
    }

static inline double midge_double_of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float midge_float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t midge_bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

#define MIDGE_NAN midge_float_of_bits(0x7FC00000u)
#define MIDGE_IS_NEGATIVE(x) (midge_bits_of(x) >> 31)

MIDGE_SERIES(
    midge_exp_series, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 1.0 / 2, 1.0)

/* exp, held at +-700; `powers` are 2**(i / 32) for i = 0 .. 31. */
static inline double midge_exp64(double x, const midge_double *powers)
{
    const double rounder = 0x1.8p+52; /* added and taken away, it leaves the nearest whole number */
    if (x != x)
        return x;
    const double held = x < -700.0 ? -700.0 : x > 700.0 ? 700.0 : x;
    const double nearest = (held * 0x1.71547652b82fep+5 + rounder) - rounder;
    const double rest = (held - nearest * 0x1.62e42fefap-6) - nearest * 0x1.cf79abc9e3b3ap-45;
    const int32_t whole = (int32_t)nearest;
    const uint32_t exponent = (uint32_t)(whole + (1023 << 5)) >> 5; /* the sum is above 0 */
    const double octave = midge_double_of_bits((uint64_t)exponent << 52);
    return powers[whole & 31] * octave * (1.0 + midge_exp_series(rest));
}

static inline double midge_expm1(float x, const midge_double *powers)
{
    const double wide = x, size = wide < 0.0 ? -wide : wide;
    if (size < 0x1p-10)
        return wide * (1.0 + wide * (0.5 + wide * (1.0 / 6 + wide * (1.0 / 24))));
    return midge_exp64(wide, powers) - 1.0;
}

static inline float midge_tanh(float x, const midge_double *powers)
{
    const double size = MIDGE_IS_NEGATIVE(x) ? -(double)x : (double)x;
    double value = 1.0;
    if (size < 0x1p-12) {
        value = size * (1.0 - size * size * (1.0 / 3));
    } else if (!(size > 20.0)) {
        const double power = midge_exp64(-2.0 * size, powers);
        value = (1.0 - power) / (1.0 + power);
    }
    return (float)(MIDGE_IS_NEGATIVE(x) ? -value : value);
}

MIDGE_SERIES(
    midge_log_series, 1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7,
    1.0 / 5, 1.0 / 3)

static inline float midge_log(float x)
{
    uint64_t bits;
    const double wide = x;
    if (x != x || x > 3.402823466e38f)
        return x;
    if (!(x > 0.0f))
        return x == 0.0f ? midge_float_of_bits(0xFF800000u) : MIDGE_NAN;
    memcpy(&bits, &wide, sizeof bits);
    double octave = (double)((int32_t)(bits >> 52) - 1023);
    double part = midge_double_of_bits((bits & 0xFFFFFFFFFFFFFu) | (uint64_t)1023 << 52);
    if (part > 0x1.6a09e667f3bcdp+0) {
        part *= 0.5;
        octave += 1.0;
    }
    const double s = (part - 1.0) / (part + 1.0);
    return (float)(octave * 0x1.62e42fefa39efp-1 + 2.0 * (s + s * midge_log_series(s * s)));
}

MIDGE_SERIES(
    midge_sine_series, -1.0 / 1307674368000.0, 1.0 / 6227020800.0, -1.0 / 39916800, 1.0 / 362880,
    -1.0 / 5040, 1.0 / 120, -1.0 / 6)

MIDGE_SERIES(
    midge_cosine_series, 1.0 / 20922789888000.0, -1.0 / 87178291200.0, 1.0 / 479001600,
    -1.0 / 3628800, 1.0 / 40320, -1.0 / 720, 1.0 / 24, -1.0 / 2)

/* 32 bits from bit `shift` of a word on. */
static inline uint64_t midge_bits_from(const midge_int32 *words, uint32_t shift)
{
    const uint64_t both = (uint64_t)(uint32_t)words[0] << 32 | (uint32_t)words[1];
    return (both << shift) >> 32;
}

/* Sine of a finite |x| and of so many quarter turns; `words` are the digits of 1 / (2 pi). */
static inline double midge_sine_of(float size, uint32_t quarters, const midge_int32 *words)
{
    double rest = size;
    if (!(size < 0.78f)) {
        const uint32_t bits = midge_bits_of(size), offset = (bits >> 23) - 126;
        const uint64_t mantissa = (bits & 0x7FFFFFu) | 0x800000u;
        words += offset >> 5;
        const uint64_t low = mantissa * midge_bits_from(words + 2, offset & 31);
        const uint64_t middle = mantissa * midge_bits_from(words + 1, offset & 31) + (low >> 32);
        const uint64_t high = mantissa * midge_bits_from(words, offset & 31) + (middle >> 32);
        const uint64_t turns = high << 32 | (middle & 0xFFFFFFFFu);
        const uint64_t nearest = (turns + ((uint64_t)1 << 61)) >> 62;
        rest = (double)(int64_t)(turns - (nearest << 62)) * 0x1.921fb54442d18p-62;
        quarters += (uint32_t)nearest;
    }
    const double z = rest * rest;
    const double value =
        quarters & 1 ? 1.0 + midge_cosine_series(z) : rest + rest * midge_sine_series(z);
    return quarters & 2 ? -value : value;
}

static inline float midge_sin(float x, const midge_int32 *words)
{
    const float size = MIDGE_IS_NEGATIVE(x) ? -x : x;
    if (!(size <= 3.402823466e38f))
        return MIDGE_NAN;
    const double value = midge_sine_of(size, 0, words);
    return (float)(MIDGE_IS_NEGATIVE(x) ? -value : value);
}

static inline float midge_cos(float x, const midge_int32 *words)
{
    const float size = MIDGE_IS_NEGATIVE(x) ? -x : x;
    return size <= 3.402823466e38f ? (float)midge_sine_of(size, 1, words) : MIDGE_NAN;
}

#endif
