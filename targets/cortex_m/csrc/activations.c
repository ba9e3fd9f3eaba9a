/* Functions of one element (kernels/{lookup,rectifiers,sigmoids,hard_swish}.py). */
#include "midge_elementwise.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"

#define LOOK_UP(p, x) constants[(p)->table + (x) + 128]

void midge_lookup_s8(
    int8_t *arena, const int8_t *constants, const midge_lookup_s8_params *p)
MIDGE_UNARY_BODY(midge_lookup_s8_params, int8_t, int8_t, LOOK_UP)

#define RELU(p, x)                                                                                \
    midge_clamp(midge_scale(x, (p)->multiplier, (p)->shift), (p)->minimum, (p)->maximum)

void midge_relu_s16(
    int8_t *arena, const int8_t *constants, const midge_relu_s16_params *p)
MIDGE_UNARY_BODY(midge_relu_s16_params, midge_int16, midge_int16, RELU)

#define RELU_FLOAT(p, x) relu_float(midge_float_at(constants, (p)->limits), (p)->is_relu6, x)

/* NaN and -0.0 stay, but not in RELU6. */
MIDGE_INLINE float relu_float(const midge_float *limits, int32_t is_relu6, float x)
{
    if (is_relu6 && !(x > limits[0]))
        return limits[0];
    return midge_clamp_float(x, limits[0], limits[1]);
}

void midge_relu_f32(
    int8_t *arena, const int8_t *constants, const midge_relu_f32_params *p)
MIDGE_UNARY_BODY(midge_relu_f32_params, midge_float, midge_float, RELU_FLOAT)

#define LEAKY_RELU(p, x)                                                                          \
    midge_clamp((x) >= 0 ? midge_scale(x, (p)->multiplier, (p)->shift)                            \
                         : midge_scale(x, (p)->negative_multiplier, (p)->negative_shift),         \
                INT16_MIN, INT16_MAX)

void midge_leaky_relu_s16(
    int8_t *arena, const int8_t *constants, const midge_leaky_relu_s16_params *p)
MIDGE_UNARY_BODY(midge_leaky_relu_s16_params, midge_int16, midge_int16, LEAKY_RELU)

#define LEAKY_RELU_FLOAT(p, x) ((x) > 0.0f ? (x) : (x) * *midge_float_at(constants, (p)->alpha))

void midge_leaky_relu_f32(
    int8_t *arena, const int8_t *constants, const midge_leaky_relu_f32_params *p)
MIDGE_UNARY_BODY(midge_leaky_relu_f32_params, midge_float, midge_float, LEAKY_RELU_FLOAT)

/* From an int16 number to its place in the sigmoid table. */
MIDGE_INLINE int32_t table_position(int32_t x, int32_t multiplier, int32_t shift)
{
    const int64_t half = ((int64_t)1 << shift) >> 1;
    return (int32_t)(((int64_t)x * multiplier + half) >> shift);
}

/* The sigmoid table at magnitude / 2**bits, in units of 2**-(16 + bits); `beyond` past its end. */
MIDGE_INLINE int32_t interpolated(
    const midge_int32 *table, int32_t magnitude, int32_t bits, int32_t beyond)
{
    const int32_t index = magnitude >> bits, fraction = magnitude & ((1 << bits) - 1);
    if (index >= 255)
        return beyond;
    return midge_shift_left(table[index], bits) + fraction * (table[index + 1] - table[index]);
}

static int32_t logistic(int32_t position, const midge_int32 *table)
{
    const int32_t magnitude = position < 0 ? -position : position;
    const int32_t value = interpolated(table, magnitude, 9, 0x7FFF << 10);
    return ((position < 0 ? (1 << 25) - 1 - value : value) + (1 << 9)) >> 10;
}

/* 2 * sigmoid(2 * x) - 1. */
static int32_t hyperbolic_tangent(int32_t position, const midge_int32 *table)
{
    const int32_t magnitude = position < 0 ? -position : position;
    const int32_t value = interpolated(table, magnitude, 8, 0xFFFF << 8) - (1 << 23);
    return ((position < 0 ? -value - 1 : value) + (1 << 7)) >> 8;
}

#define LOGISTIC(p, x)                                                                            \
    logistic(table_position(x, (p)->multiplier, (p)->shift), midge_int32_at(constants, (p)->table))

void midge_logistic_s16(
    int8_t *arena, const int8_t *constants, const midge_logistic_s16_params *p)
MIDGE_UNARY_BODY(midge_logistic_s16_params, midge_int16, midge_int16, LOGISTIC)

#define TANH(p, x)                                                                                \
    hyperbolic_tangent(                                                                           \
        table_position(x, (p)->multiplier, (p)->shift), midge_int32_at(constants, (p)->table))

void midge_tanh_s16(
    int8_t *arena, const int8_t *constants, const midge_tanh_s16_params *p)
MIDGE_UNARY_BODY(midge_tanh_s16_params, midge_int16, midge_int16, TANH)

static float hard_swish(float x)
{
    float gate = x + 3.0f;
    gate = gate > 0.0f ? gate : 0.0f;
    gate = gate < 6.0f ? gate : 6.0f;
    return x * gate / 6.0f;
}

#define HARD_SWISH(p, x) hard_swish(x)

void midge_hard_swish_f32(
    int8_t *arena, const int8_t *constants, const midge_hard_swish_f32_params *p)
MIDGE_UNARY_BODY(midge_hard_swish_f32_params, midge_float, midge_float, HARD_SWISH)
