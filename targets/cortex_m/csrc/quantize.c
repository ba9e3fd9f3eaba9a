/* quantize and dequantize (kernels/quantize.py). */
#include "midge_elementwise.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"

/* Rounded half away from zero; NaN is 0, and beyond 2**31 it saturates. */
static int64_t rounded(float quotient)
{
    if (quotient != quotient)
        return 0;
    if (quotient >= 2147483648.0f)
        return (int64_t)1 << 31;
    if (quotient <= -2147483648.0f)
        return -((int64_t)1 << 31);
    /* The fraction of a float32 is exact, so no sum can round it up. */
    const int64_t whole = (int64_t)quotient;
    const float fraction = quotient - (float)whole;
    return whole + (fraction >= 0.5f) - (fraction <= -0.5f);
}

MIDGE_INLINE int32_t clamp_64(int64_t value, int32_t least, int32_t greatest)
{
    if (value < least)
        return least;
    return value > greatest ? greatest : (int32_t)value;
}

#define TO_S8(p, x)                                                                               \
    clamp_64(rounded((x) / *midge_float_at(constants, (p)->scale)) + (p)->zero_point, INT8_MIN, INT8_MAX)
#define TO_U8(p, x)                                                                               \
    clamp_64(rounded((x) / *midge_float_at(constants, (p)->scale)) + (p)->zero_point, 0, UINT8_MAX)
#define TO_S16(p, x)                                                                               \
    clamp_64(rounded((x) / *midge_float_at(constants, (p)->scale)) + (p)->zero_point, INT16_MIN, INT16_MAX)

void midge_quantize_f32_s8(
    int8_t *arena, const int8_t *constants, const midge_quantize_f32_s8_params *p)
MIDGE_UNARY_BODY(midge_quantize_f32_s8_params, midge_float, int8_t, TO_S8)

void midge_quantize_f32_u8(
    int8_t *arena, const int8_t *constants, const midge_quantize_f32_u8_params *p)
MIDGE_UNARY_BODY(midge_quantize_f32_u8_params, midge_float, uint8_t, TO_U8)

void midge_quantize_f32_s16(
    int8_t *arena, const int8_t *constants, const midge_quantize_f32_s16_params *p)
MIDGE_UNARY_BODY(midge_quantize_f32_s16_params, midge_float, midge_int16, TO_S16)

/* int32 input may wrap when its zero point is taken off. */
#define REQUANTIZED(p, x, least, greatest)                                                        \
    clamp_64((int64_t)midge_scale((int32_t)((uint32_t)(x) + (uint32_t)(p)->x_offset),             \
                                  (p)->multiplier, (p)->shift)                                    \
                 + (p)->y_offset,                                                                 \
             least, greatest)
#define REQUANTIZED_S8(p, x) REQUANTIZED(p, x, INT8_MIN, INT8_MAX)
#define REQUANTIZED_S16(p, x) REQUANTIZED(p, x, INT16_MIN, INT16_MAX)
#define REQUANTIZED_S32(p, x) REQUANTIZED(p, x, INT32_MIN, INT32_MAX)

void midge_quantize_s8_s16(
    int8_t *arena, const int8_t *constants, const midge_quantize_s8_s16_params *p)
MIDGE_UNARY_BODY(
    midge_quantize_s8_s16_params, int8_t, midge_int16, REQUANTIZED_S16)

void midge_quantize_s8_s32(
    int8_t *arena, const int8_t *constants, const midge_quantize_s8_s32_params *p)
MIDGE_UNARY_BODY(
    midge_quantize_s8_s32_params, int8_t, midge_int32, REQUANTIZED_S32)

void midge_quantize_s16_s8(
    int8_t *arena, const int8_t *constants, const midge_quantize_s16_s8_params *p)
MIDGE_UNARY_BODY(
    midge_quantize_s16_s8_params, midge_int16, int8_t, REQUANTIZED_S8)

void midge_quantize_s16_s16(
    int8_t *arena, const int8_t *constants, const midge_quantize_s16_s16_params *p)
MIDGE_UNARY_BODY(
    midge_quantize_s16_s16_params, midge_int16, midge_int16, REQUANTIZED_S16)

void midge_quantize_s16_s32(
    int8_t *arena, const int8_t *constants, const midge_quantize_s16_s32_params *p)
MIDGE_UNARY_BODY(
    midge_quantize_s16_s32_params, midge_int16, midge_int32, REQUANTIZED_S32)

void midge_quantize_s32_s8(
    int8_t *arena, const int8_t *constants, const midge_quantize_s32_s8_params *p)
MIDGE_UNARY_BODY(
    midge_quantize_s32_s8_params, midge_int32, int8_t, REQUANTIZED_S8)

void midge_quantize_s32_s16(
    int8_t *arena, const int8_t *constants, const midge_quantize_s32_s16_params *p)
MIDGE_UNARY_BODY(
    midge_quantize_s32_s16_params, midge_int32, midge_int16, REQUANTIZED_S16)

/* The difference is exact in float32, so that one product is the rounded one. */
#define DEQUANTIZED(p, x) ((float)((x) - (p)->zero_point) * *midge_float_at(constants, (p)->scale))

void midge_dequantize_s8_f32(
    int8_t *arena, const int8_t *constants, const midge_dequantize_s8_f32_params *p)
MIDGE_UNARY_BODY(midge_dequantize_s8_f32_params, int8_t, midge_float, DEQUANTIZED)

void midge_dequantize_u8_f32(
    int8_t *arena, const int8_t *constants, const midge_dequantize_u8_f32_params *p)
MIDGE_UNARY_BODY(midge_dequantize_u8_f32_params, uint8_t, midge_float, DEQUANTIZED)

void midge_dequantize_s16_f32(
    int8_t *arena, const int8_t *constants, const midge_dequantize_s16_f32_params *p)
MIDGE_UNARY_BODY(midge_dequantize_s16_f32_params, midge_int16, midge_float, DEQUANTIZED)
