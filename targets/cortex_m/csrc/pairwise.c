/* Functions of two numbers by one flat walk (kernels/pairwise.py). */
#include "midge_elementwise.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"

/* NaN stays. */
#define MAXIMUM(p, a, b) ((a) > (b) || (a) != (a) ? (a) : (b))
#define MINIMUM(p, a, b) ((a) < (b) || (a) != (a) ? (a) : (b))
#define DIVIDE(p, a, b) ((a) / (b))
#define DIVIDE_S32(p, a, b) cut(a, b)
#define FLOOR_DIVIDE(p, a, b) floored(a, b)
#define FLOOR_DIVIDE_F32(p, a, b) floor_of((double)(a) / (double)(b))
#define FLOOR_MODULO(p, a, b) modulo(a, b)
#define FLOOR_MODULO_F32(p, a, b) modulo_f32(a, b)
#define PRELU(p, x, slope) ((x) < 0.0f ? (x) * (slope) : (x))
#define SQUARED_F32(p, a, b) (((a) - (b)) * ((a) - (b)))
#define SQUARED_S32(p, a, b)                                                                      \
    (int32_t)(((uint32_t)(a) - (uint32_t)(b)) * ((uint32_t)(a) - (uint32_t)(b)))

/* a / b towards zero; 0 for b = 0, which has no answer. */
MIDGE_INLINE int32_t cut(int32_t a, int32_t b)
{
    if (b == -1)
        return (int32_t)(0u - (uint32_t)a);
    return b == 0 ? 0 : a / b;
}

MIDGE_INLINE int32_t floored(int32_t a, int32_t b)
{
    const int32_t whole = cut(a, b);
    return b != 0 && b != -1 && whole * b != a && (a < 0) != (b < 0) ? whole - 1 : whole;
}

MIDGE_INLINE int32_t modulo(int32_t a, int32_t b)
{
    if (b == 0 || b == -1)
        return 0;
    const int32_t rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

MIDGE_INLINE float floor_of(double x)
{
    if (!(x > -4503599627370496.0 && x < 4503599627370496.0))
        return (float)x; /* whole already, or no number */
    const double whole = (double)(int64_t)x;
    return (float)(whole > x ? whole - 1.0 : x == 0.0 ? x : whole);
}

/* The rest of a division in binary digits, each step of it exact. */
static float modulo_f32(float a, float b)
{
    const float by = b < 0.0f ? -b : b;
    float rest = a < 0.0f ? -a : a;
    if (!(rest <= 3.402823466e38f) || !(by > 0.0f))
        return 0.0f / (by - by); /* no number */
    if (by <= rest) {
        float times = by;
        while (times <= rest * 0.5f)
            times *= 2.0f;
        for (; times >= by; times *= 0.5f)
            if (rest >= times)
                rest -= times;
    }
    rest = a < 0.0f ? -rest : rest;
    return rest != 0.0f && (b < 0.0f) != (rest < 0.0f) ? rest + b : rest;
}

/* The parameters of int8 and int16 have the same names. */
#define SLOPED(p, x, slope, least)                                                                \
    midge_clamp(((x) + (p)->a_offset >= 0                                                         \
                     ? midge_scale((x) + (p)->a_offset, (p)->multiplier, (p)->shift)              \
                     : midge_scale(((x) + (p)->a_offset) * ((slope) + (p)->b_offset),             \
                                   (p)->negative_multiplier, (p)->negative_shift))                \
                    + (p)->y_offset,                                                              \
                least, -1 - (least))
#define PRELU_S8(p, x, slope) SLOPED(p, x, slope, INT8_MIN)
#define PRELU_S16(p, x, slope) SLOPED(p, x, slope, INT16_MIN)

/* `times`: what the operands are made larger by before they are scaled. */
#define SQUARED(p, a, b, times, least)                                                            \
    squared(midge_scale(((a) + (p)->a_offset) * (times), (p)->a_multiplier, (p)->a_shift)         \
                - midge_scale(((b) + (p)->b_offset) * (times), (p)->b_multiplier, (p)->b_shift),  \
            (p)->y_multiplier, (p)->y_shift, (p)->y_offset, least)
#define SQUARED_S8(p, a, b) SQUARED(p, a, b, 128, INT8_MIN)
#define SQUARED_S16(p, a, b) SQUARED(p, a, b, 1, INT16_MIN)

MIDGE_INLINE int32_t squared(
    int32_t difference, int32_t multiplier, int32_t shift, int32_t offset, int32_t least)
{
    const int32_t scaled = midge_scale(difference * difference, multiplier, shift);
    return midge_clamp(scaled + offset, least, -1 - least);
}

#define DIVIDE_S8(p, a, b)                                                                        \
    divide_s8(p, a, b, midge_int32_at(constants, (p)->inverses),                                  \
              midge_int32_at(constants, (p)->places))

static int32_t divide_s8(
    const midge_divide_s8_params *p, int32_t a, int32_t b, const midge_int32 *inverses,
    const midge_int32 *places)
{
    const int32_t left = (b + p->b_offset < 0 ? -1 : 1) * (a + p->a_offset);
    int32_t room = 31; /* bits that it may be shifted by */
    while ((int64_t)left * ((int64_t)1 << room) != (int32_t)((uint32_t)left << room))
        room--;
    const int32_t shifted = (int32_t)((uint32_t)left << room);
    const int32_t quotient = midge_high_mul(shifted, inverses[b + 128]);
    const int32_t scaled = midge_high_mul(quotient, p->multiplier);
    const int32_t right = places[b + 128] + room - p->shift;
    const int32_t steps = right <= 31 ? midge_divide_by_pot(scaled, right) : 0;
    return midge_clamp(steps + p->y_offset, INT8_MIN, INT8_MAX);
}

void midge_maximum_s8(
    int8_t *arena, const int8_t *constants, const midge_maximum_s8_params *p)
MIDGE_BROADCAST_BODY(midge_maximum_s8_params, int8_t, MAXIMUM)

void midge_maximum_s16(
    int8_t *arena, const int8_t *constants, const midge_maximum_s16_params *p)
MIDGE_BROADCAST_BODY(midge_maximum_s16_params, midge_int16, MAXIMUM)

void midge_maximum_s32(
    int8_t *arena, const int8_t *constants, const midge_maximum_s32_params *p)
MIDGE_BROADCAST_BODY(midge_maximum_s32_params, midge_int32, MAXIMUM)

void midge_maximum_f32(
    int8_t *arena, const int8_t *constants, const midge_maximum_f32_params *p)
MIDGE_BROADCAST_BODY(midge_maximum_f32_params, midge_float, MAXIMUM)

void midge_minimum_s8(
    int8_t *arena, const int8_t *constants, const midge_minimum_s8_params *p)
MIDGE_BROADCAST_BODY(midge_minimum_s8_params, int8_t, MINIMUM)

void midge_minimum_s16(
    int8_t *arena, const int8_t *constants, const midge_minimum_s16_params *p)
MIDGE_BROADCAST_BODY(midge_minimum_s16_params, midge_int16, MINIMUM)

void midge_minimum_s32(
    int8_t *arena, const int8_t *constants, const midge_minimum_s32_params *p)
MIDGE_BROADCAST_BODY(midge_minimum_s32_params, midge_int32, MINIMUM)

void midge_minimum_f32(
    int8_t *arena, const int8_t *constants, const midge_minimum_f32_params *p)
MIDGE_BROADCAST_BODY(midge_minimum_f32_params, midge_float, MINIMUM)

void midge_divide_s32(
    int8_t *arena, const int8_t *constants, const midge_divide_s32_params *p)
MIDGE_BROADCAST_BODY(midge_divide_s32_params, midge_int32, DIVIDE_S32)

void midge_divide_f32(
    int8_t *arena, const int8_t *constants, const midge_divide_f32_params *p)
MIDGE_BROADCAST_BODY(midge_divide_f32_params, midge_float, DIVIDE)

void midge_floor_divide_s8(
    int8_t *arena, const int8_t *constants, const midge_floor_divide_s8_params *p)
MIDGE_BROADCAST_BODY(midge_floor_divide_s8_params, int8_t, FLOOR_DIVIDE)

void midge_floor_divide_s32(
    int8_t *arena, const int8_t *constants, const midge_floor_divide_s32_params *p)
MIDGE_BROADCAST_BODY(midge_floor_divide_s32_params, midge_int32, FLOOR_DIVIDE)

void midge_floor_divide_f32(
    int8_t *arena, const int8_t *constants, const midge_floor_divide_f32_params *p)
MIDGE_BROADCAST_BODY(midge_floor_divide_f32_params, midge_float, FLOOR_DIVIDE_F32)

void midge_floor_modulo_s8(
    int8_t *arena, const int8_t *constants, const midge_floor_modulo_s8_params *p)
MIDGE_BROADCAST_BODY(midge_floor_modulo_s8_params, int8_t, FLOOR_MODULO)

void midge_floor_modulo_s32(
    int8_t *arena, const int8_t *constants, const midge_floor_modulo_s32_params *p)
MIDGE_BROADCAST_BODY(midge_floor_modulo_s32_params, midge_int32, FLOOR_MODULO)

void midge_floor_modulo_f32(
    int8_t *arena, const int8_t *constants, const midge_floor_modulo_f32_params *p)
MIDGE_BROADCAST_BODY(midge_floor_modulo_f32_params, midge_float, FLOOR_MODULO_F32)

void midge_prelu_f32(
    int8_t *arena, const int8_t *constants, const midge_prelu_f32_params *p)
MIDGE_BROADCAST_BODY(midge_prelu_f32_params, midge_float, PRELU)

void midge_squared_difference_s32(
    int8_t *arena, const int8_t *constants, const midge_squared_difference_s32_params *p)
MIDGE_BROADCAST_BODY(midge_squared_difference_s32_params, midge_int32, SQUARED_S32)

void midge_squared_difference_f32(
    int8_t *arena, const int8_t *constants, const midge_squared_difference_f32_params *p)
MIDGE_BROADCAST_BODY(midge_squared_difference_f32_params, midge_float, SQUARED_F32)

void midge_prelu_s8(
    int8_t *arena, const int8_t *constants, const midge_prelu_s8_params *p)
MIDGE_BROADCAST_BODY(midge_prelu_s8_params, int8_t, PRELU_S8)

void midge_prelu_s16(
    int8_t *arena, const int8_t *constants, const midge_prelu_s16_params *p)
MIDGE_BROADCAST_BODY(midge_prelu_s16_params, midge_int16, PRELU_S16)

void midge_squared_difference_s8(
    int8_t *arena, const int8_t *constants, const midge_squared_difference_s8_params *p)
MIDGE_BROADCAST_BODY(midge_squared_difference_s8_params, int8_t, SQUARED_S8)

void midge_squared_difference_s16(
    int8_t *arena, const int8_t *constants, const midge_squared_difference_s16_params *p)
MIDGE_BROADCAST_BODY(midge_squared_difference_s16_params, midge_int16, SQUARED_S16)

void midge_divide_s8(
    int8_t *arena, const int8_t *constants, const midge_divide_s8_params *p)
MIDGE_BROADCAST_BODY(midge_divide_s8_params, int8_t, DIVIDE_S8)
