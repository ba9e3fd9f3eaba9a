/* add and sub, which is addition with a negated multiplier or sign (kernels/add.py). */
#include "midge_elementwise.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"

/* Both operands come to a common scale with as many fractional bits as fit, then to y's. */
#define RESCALED(p, a, b)                                                                         \
    midge_clamp(                                                                                  \
        midge_scale(                                                                              \
            midge_scale(midge_shift_left((a) + (p)->a_offset, (p)->a_left), (p)->a_multiplier,    \
                        (p)->a_shift)                                                             \
                + midge_scale(midge_shift_left((b) + (p)->b_offset, (p)->b_left),                 \
                              (p)->b_multiplier,                                                  \
                              (p)->b_shift),                                                      \
            (p)->y_multiplier, (p)->y_shift)                                                      \
            + (p)->y_offset,                                                                      \
        (p)->minimum, (p)->maximum)

/* int32 wraps, then clamps. */
#define PLAIN_S32(p, a, b)                                                                        \
    midge_clamp((int32_t)((uint32_t)(a) * (uint32_t)(p)->a_sign                                   \
                          + (uint32_t)(b) * (uint32_t)(p)->b_sign),                               \
                (p)->minimum, (p)->maximum)

#define PLAIN_F32(p, a, b)                                                                        \
    midge_clamp_float((float)(p)->a_sign * (a) + (float)(p)->b_sign * (b),                        \
                      midge_float_at(constants, (p)->limits)[0],                                  \
                      midge_float_at(constants, (p)->limits)[1])

void midge_add_s8(
    int8_t *arena, const int8_t *constants, const midge_add_s8_params *p)
MIDGE_SAME_BODY(midge_add_s8_params, int8_t, RESCALED)

void midge_add_row_s8(
    int8_t *arena, const int8_t *constants, const midge_add_row_s8_params *p)
MIDGE_ROW_BODY(midge_add_row_s8_params, int8_t, RESCALED)

void midge_add_broadcast_s8(
    int8_t *arena, const int8_t *constants, const midge_add_broadcast_s8_params *p)
MIDGE_BROADCAST_BODY(midge_add_broadcast_s8_params, int8_t, RESCALED)

void midge_add_s16(
    int8_t *arena, const int8_t *constants, const midge_add_s16_params *p)
MIDGE_SAME_BODY(midge_add_s16_params, midge_int16, RESCALED)

void midge_add_row_s16(
    int8_t *arena, const int8_t *constants, const midge_add_row_s16_params *p)
MIDGE_ROW_BODY(midge_add_row_s16_params, midge_int16, RESCALED)

void midge_add_broadcast_s16(
    int8_t *arena, const int8_t *constants, const midge_add_broadcast_s16_params *p)
MIDGE_BROADCAST_BODY(midge_add_broadcast_s16_params, midge_int16, RESCALED)

void midge_add_s32(
    int8_t *arena, const int8_t *constants, const midge_add_s32_params *p)
MIDGE_SAME_BODY(midge_add_s32_params, midge_int32, PLAIN_S32)

void midge_add_row_s32(
    int8_t *arena, const int8_t *constants, const midge_add_row_s32_params *p)
MIDGE_ROW_BODY(midge_add_row_s32_params, midge_int32, PLAIN_S32)

void midge_add_broadcast_s32(
    int8_t *arena, const int8_t *constants, const midge_add_broadcast_s32_params *p)
MIDGE_BROADCAST_BODY(midge_add_broadcast_s32_params, midge_int32, PLAIN_S32)

void midge_add_f32(
    int8_t *arena, const int8_t *constants, const midge_add_f32_params *p)
MIDGE_SAME_BODY(midge_add_f32_params, midge_float, PLAIN_F32)

void midge_add_row_f32(
    int8_t *arena, const int8_t *constants, const midge_add_row_f32_params *p)
MIDGE_ROW_BODY(midge_add_row_f32_params, midge_float, PLAIN_F32)

void midge_add_broadcast_f32(
    int8_t *arena, const int8_t *constants, const midge_add_broadcast_f32_params *p)
MIDGE_BROADCAST_BODY(midge_add_broadcast_f32_params, midge_float, PLAIN_F32)

/* int16 with scales that are all powers of two. */
#define SHIFTED(p, a, b)                                                                          \
    midge_clamp((p)->a_sign * midge_divide_by_pot(a, (p)->a_shift)                                \
                    + (p)->b_sign * midge_divide_by_pot(b, (p)->b_shift),                         \
                (p)->minimum, (p)->maximum)

void midge_add_pot_s16(
    int8_t *arena, const int8_t *constants, const midge_add_pot_s16_params *p)
MIDGE_SAME_BODY(midge_add_pot_s16_params, midge_int16, SHIFTED)
