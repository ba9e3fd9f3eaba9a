/* Comparisons (kernels/compare.py). */
#include "midge_elementwise.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"

/* Bit 0 of a mask is less, then equal, greater, and none of them. */
#define HOLDS(p, a, b) (((p)->mask >> ((a) < (b) ? 0 : (a) == (b) ? 1 : (a) > (b) ? 2 : 3)) & 1)

MIDGE_INLINE int32_t rescaled(const midge_compare_rescaled_s8_params *p, int32_t a, int32_t b)
{
    const int32_t left = midge_scale((a + p->a_offset) * 256, p->a_multiplier, p->a_shift);
    const int32_t right = midge_scale((b + p->b_offset) * 256, p->b_multiplier, p->b_shift);
    return HOLDS(p, left, right);
}

void midge_compare_rescaled_s8(
    int8_t *arena, const int8_t *constants, const midge_compare_rescaled_s8_params *p)
MIDGE_FLAT_BODY(midge_compare_rescaled_s8_params, int8_t, int8_t, rescaled)

void midge_compare_s8(
    int8_t *arena, const int8_t *constants, const midge_compare_s8_params *p)
MIDGE_FLAT_BODY(midge_compare_s8_params, int8_t, int8_t, HOLDS)

void midge_compare_s16(
    int8_t *arena, const int8_t *constants, const midge_compare_s16_params *p)
MIDGE_FLAT_BODY(midge_compare_s16_params, midge_int16, int8_t, HOLDS)

void midge_compare_s32(
    int8_t *arena, const int8_t *constants, const midge_compare_s32_params *p)
MIDGE_FLAT_BODY(midge_compare_s32_params, midge_int32, int8_t, HOLDS)

void midge_compare_s64(
    int8_t *arena, const int8_t *constants, const midge_compare_s64_params *p)
MIDGE_FLAT_BODY(midge_compare_s64_params, midge_int64, int8_t, HOLDS)

void midge_compare_f32(
    int8_t *arena, const int8_t *constants, const midge_compare_f32_params *p)
MIDGE_FLAT_BODY(midge_compare_f32_params, midge_float, int8_t, HOLDS)
