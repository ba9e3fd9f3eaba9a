/* Functions of one number, by rows (kernels/pointwise.py). */
#include <string.h>

#include "midge_elementwise.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"

#define ABS_F32(p, x) ((x) < 0.0f ? -(x) : (x) == 0.0f ? 0.0f : (x))
#define ABS_S32(p, x) ((x) < 0 ? (int32_t)(0u - (uint32_t)(x)) : (x))
#define NEGATE_F32(p, x) (-(x))
#define NEGATE_S32(p, x) (int32_t)(0u - (uint32_t)(x))
#define SQUARE_F32(p, x) ((x) * (x))
#define SQUARE_S32(p, x) (int32_t)((uint32_t)(x) * (uint32_t)(x))
#define FLOOR(p, x) floor_of(x)
#define CEIL(p, x) (-floor_of(-(x)))
#define ROUND(p, x) nearest_even(x)
#define SQRT(p, x) root(x)
#define RSQRT(p, x) (1.0f / root(x))

/* From 2**23 on all numbers are whole. */
MIDGE_INLINE float floor_of(float x)
{
    if (!(x > -8388608.0f && x < 8388608.0f) || x == 0.0f)
        return x;
    const float whole = (float)(int32_t)x;
    return whole > x ? whole - 1.0f : whole;
}

/* Ties to the even number. */
MIDGE_INLINE float nearest_even(float x)
{
    const float size = x < 0.0f ? -x : x;
    if (!(size < 8388608.0f) || x == 0.0f)
        return x;
    const float rounded = (size + 8388608.0f) - 8388608.0f;
    return x < 0.0f ? -rounded : rounded;
}

/* The greatest whole number whose square is at most x < 2**50. */
MIDGE_INLINE uint32_t whole_root(uint64_t x)
{
    uint64_t result = 0;
    for (uint64_t bit = (uint64_t)1 << 48; bit != 0; bit >>= 2)
        if (x >= result + bit) {
            x -= result + bit;
            result = (result >> 1) + bit;
        } else {
            result >>= 1;
        }
    return (uint32_t)result;
}

/* sqrt, correctly rounded: of the mantissa in whole numbers, one bit more than is kept. */
static float root(float x)
{
    uint32_t bits;
    if (!(x > 0.0f && x <= 3.402823466e38f))
        return x == 0.0f || x > 0.0f ? x : (x - x) / 0.0f;
    memcpy(&bits, &x, sizeof bits);
    int32_t exponent = (int32_t)(bits >> 23) - 150;
    uint32_t mantissa = (bits & 0x7FFFFFu) | 0x800000u;
    if (bits < 0x800000u) {
        exponent++;
        for (mantissa = bits; mantissa < 0x800000u; mantissa <<= 1)
            exponent--;
    }
    const int32_t shift = 25 + (exponent & 1 ? 0 : 1); /* the exponent left is even */
    const uint32_t found = (whole_root((uint64_t)mantissa << shift) + 1) >> 1;
    /* found is 2**23 to 2**24, and the answer found * 2**((exponent - shift) / 2 + 1). */
    const uint32_t power = (uint32_t)((exponent - shift) / 2 + 1 + 150);
    bits = (power << 23) + (found - 0x800000u);
    memcpy(&x, &bits, sizeof x);
    return x;
}

void midge_abs_f32(
    int8_t *arena, const int8_t *constants, const midge_abs_f32_params *p)
MIDGE_UNARY_BODY(midge_abs_f32_params, midge_float, midge_float, ABS_F32)

void midge_abs_s32(
    int8_t *arena, const int8_t *constants, const midge_abs_s32_params *p)
MIDGE_UNARY_BODY(midge_abs_s32_params, midge_int32, midge_int32, ABS_S32)

void midge_ceil_f32(
    int8_t *arena, const int8_t *constants, const midge_ceil_f32_params *p)
MIDGE_UNARY_BODY(midge_ceil_f32_params, midge_float, midge_float, CEIL)

void midge_floor_f32(
    int8_t *arena, const int8_t *constants, const midge_floor_f32_params *p)
MIDGE_UNARY_BODY(midge_floor_f32_params, midge_float, midge_float, FLOOR)

void midge_negate_f32(
    int8_t *arena, const int8_t *constants, const midge_negate_f32_params *p)
MIDGE_UNARY_BODY(midge_negate_f32_params, midge_float, midge_float, NEGATE_F32)

void midge_negate_s32(
    int8_t *arena, const int8_t *constants, const midge_negate_s32_params *p)
MIDGE_UNARY_BODY(midge_negate_s32_params, midge_int32, midge_int32, NEGATE_S32)

void midge_round_f32(
    int8_t *arena, const int8_t *constants, const midge_round_f32_params *p)
MIDGE_UNARY_BODY(midge_round_f32_params, midge_float, midge_float, ROUND)

void midge_rsqrt_f32(
    int8_t *arena, const int8_t *constants, const midge_rsqrt_f32_params *p)
MIDGE_UNARY_BODY(midge_rsqrt_f32_params, midge_float, midge_float, RSQRT)

void midge_sqrt_f32(
    int8_t *arena, const int8_t *constants, const midge_sqrt_f32_params *p)
MIDGE_UNARY_BODY(midge_sqrt_f32_params, midge_float, midge_float, SQRT)

void midge_square_f32(
    int8_t *arena, const int8_t *constants, const midge_square_f32_params *p)
MIDGE_UNARY_BODY(midge_square_f32_params, midge_float, midge_float, SQUARE_F32)

void midge_square_s32(
    int8_t *arena, const int8_t *constants, const midge_square_s32_params *p)
MIDGE_UNARY_BODY(midge_square_s32_params, midge_int32, midge_int32, SQUARE_S32)

MIDGE_INLINE int32_t abs_s16(const midge_abs_s16_params *p, int32_t x)
{
    const int32_t value = x + p->x_offset;
    const int32_t scaled = midge_scale(value < 0 ? -value : value, p->multiplier, p->shift);
    return midge_clamp(scaled + p->y_offset, INT16_MIN, INT16_MAX);
}

void midge_abs_s16(
    int8_t *arena, const int8_t *constants, const midge_abs_s16_params *p)
MIDGE_UNARY_BODY(midge_abs_s16_params, midge_int16, midge_int16, abs_s16)
