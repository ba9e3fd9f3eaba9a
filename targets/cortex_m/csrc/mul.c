/* mul (kernels/mul.py). */
#include "midge_elementwise.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"

#define REQUANTIZED(p, a, b)                                                                      \
    midge_clamp(midge_scale(((a) + (p)->a_offset) * ((b) + (p)->b_offset), (p)->multiplier,       \
                            (p)->shift)                                                           \
                    + (p)->y_offset,                                                              \
                (p)->minimum, (p)->maximum)

/* int32 wraps, then clamps. */
#define PLAIN_S32(p, a, b)                                                                        \
    midge_clamp((int32_t)((uint32_t)(a) * (uint32_t)(b)), (p)->minimum, (p)->maximum)

#define PLAIN_F32(p, a, b)                                                                        \
    midge_clamp_float((a) * (b), midge_float_at(constants, (p)->limits)[0],                       \
                      midge_float_at(constants, (p)->limits)[1])

void midge_mul_s8(
    int8_t *arena, const int8_t *constants, const midge_mul_s8_params *p)
MIDGE_SAME_BODY(midge_mul_s8_params, int8_t, REQUANTIZED)

void midge_mul_row_s8(
    int8_t *arena, const int8_t *constants, const midge_mul_row_s8_params *p)
MIDGE_ROW_BODY(midge_mul_row_s8_params, int8_t, REQUANTIZED)

void midge_mul_broadcast_s8(
    int8_t *arena, const int8_t *constants, const midge_mul_broadcast_s8_params *p)
MIDGE_BROADCAST_BODY(midge_mul_broadcast_s8_params, int8_t, REQUANTIZED)

void midge_mul_s16(
    int8_t *arena, const int8_t *constants, const midge_mul_s16_params *p)
MIDGE_SAME_BODY(midge_mul_s16_params, midge_int16, REQUANTIZED)

void midge_mul_row_s16(
    int8_t *arena, const int8_t *constants, const midge_mul_row_s16_params *p)
MIDGE_ROW_BODY(midge_mul_row_s16_params, midge_int16, REQUANTIZED)

void midge_mul_broadcast_s16(
    int8_t *arena, const int8_t *constants, const midge_mul_broadcast_s16_params *p)
MIDGE_BROADCAST_BODY(midge_mul_broadcast_s16_params, midge_int16, REQUANTIZED)

void midge_mul_s32(
    int8_t *arena, const int8_t *constants, const midge_mul_s32_params *p)
MIDGE_SAME_BODY(midge_mul_s32_params, midge_int32, PLAIN_S32)

void midge_mul_row_s32(
    int8_t *arena, const int8_t *constants, const midge_mul_row_s32_params *p)
MIDGE_ROW_BODY(midge_mul_row_s32_params, midge_int32, PLAIN_S32)

void midge_mul_broadcast_s32(
    int8_t *arena, const int8_t *constants, const midge_mul_broadcast_s32_params *p)
MIDGE_BROADCAST_BODY(midge_mul_broadcast_s32_params, midge_int32, PLAIN_S32)

void midge_mul_f32(
    int8_t *arena, const int8_t *constants, const midge_mul_f32_params *p)
MIDGE_SAME_BODY(midge_mul_f32_params, midge_float, PLAIN_F32)

void midge_mul_row_f32(
    int8_t *arena, const int8_t *constants, const midge_mul_row_f32_params *p)
MIDGE_ROW_BODY(midge_mul_row_f32_params, midge_float, PLAIN_F32)

void midge_mul_broadcast_f32(
    int8_t *arena, const int8_t *constants, const midge_mul_broadcast_f32_params *p)
MIDGE_BROADCAST_BODY(midge_mul_broadcast_f32_params, midge_float, PLAIN_F32)
