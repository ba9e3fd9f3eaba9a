/* Functions of one number, by rows (kernels/pointwise.py). */
#include "midge_elementwise.h"
#include "midge_fixedpoint.h"
#include "midge_inverse_root.h"
#include "midge_kernels.h"
#include "midge_root.h"

#define ABS_F32(p, x) ((x) < 0.0f ? -(x) : (x) == 0.0f ? 0.0f : (x))
#define ABS_S32(p, x) ((x) < 0 ? (int32_t)(0u - (uint32_t)(x)) : (x))
#define NEGATE_F32(p, x) (-(x))
#define NEGATE_S32(p, x) (int32_t)(0u - (uint32_t)(x))
#define SQUARE_F32(p, x) ((x) * (x))
#define SQUARE_S32(p, x) (int32_t)((uint32_t)(x) * (uint32_t)(x))
#define FLOOR(p, x) floor_of(x)
#define CEIL(p, x) (-floor_of(-(x)))
#define ROUND(p, x) nearest_even(x)
#define SQRT(p, x) midge_root(x)
#define RSQRT(p, x) (1.0f / midge_root(x))

/* From 2**23 on all numbers are whole. */
MIDGE_INLINE float floor_of(float x)
{
    if (!(x > -8388608.0f && x < 8388608.0f) || x == 0.0f)
        return x;
    const float whole = (float)(int32_t)x;
    return whole > x ? whole - 1.0f : whole;
}

/* Ties to the even number; -0.0 only of itself. */
MIDGE_INLINE float nearest_even(float x)
{
    const float size = x < 0.0f ? -x : x;
    if (!(size < 8388608.0f) || x == 0.0f)
        return x;
    const float rounded = (size + 8388608.0f) - 8388608.0f;
    return x < 0.0f && rounded != 0.0f ? -rounded : rounded;
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

/* 0 and below have no root. 20: bits after the point before the answer is rescaled. */
MIDGE_INLINE int32_t rsqrt_s16(const midge_rsqrt_s16_params *p, int32_t x)
{
    int32_t shift;
    if (x <= 0)
        return INT16_MAX;
    const int32_t root = midge_inverse_root(x, &shift);
    const int32_t fine = midge_scale(1, root, shift + 20);
    return midge_clamp(midge_scale(fine, p->multiplier, p->shift - 20), INT16_MIN, INT16_MAX);
}

void midge_rsqrt_s16(
    int8_t *arena, const int8_t *constants, const midge_rsqrt_s16_params *p)
MIDGE_UNARY_BODY(midge_rsqrt_s16_params, midge_int16, midge_int16, rsqrt_s16)
