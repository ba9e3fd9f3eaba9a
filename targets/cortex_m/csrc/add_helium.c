/* Sums of two int8 tensors of one shape, four elements at a time; `add.c` has its arithmetic. */
#include "midge_fixedpoint.h"
#include "midge_kernels.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>

/* One less where a number is negative: a rounding shift of half a number goes upwards. */
static inline int32x4_t shifted(int32x4_t x, int32_t shift)
{
    return shift == 0 ? x : vrshlq_n_s32(vaddq_s32(x, vshrq_n_s32(x, 31)), shift);
}

static inline int32x4_t rescaled(
    int32x4_t x, int32_t left, int32_t offset, int32_t multiplier, int32_t shift)
{
    const int32x4_t moved = vshlq_r_s32(vaddq_n_s32(x, offset), left);
    return shifted(vqrdmulhq_n_s32(moved, multiplier), shift);
}

static inline int32x4_t sum_of(int32x4_t a, int32x4_t b, const midge_add_helium_s8_params *q)
{
    const int32x4_t sum = vaddq_s32(
        rescaled(a, q->a_left, q->a_offset, q->a_multiplier, q->a_shift),
        rescaled(b, q->b_left, q->b_offset, q->b_multiplier, q->b_shift));
    return vaddq_n_s32(shifted(vqrdmulhq_n_s32(sum, q->y_multiplier), q->y_shift), q->y_offset);
}

static void add_row(
    int8_t *y, const int8_t *a, const int8_t *b, const midge_add_helium_s8_params *p)
{
    const midge_add_helium_s8_params q = *p;
    const int32x4_t least = vdupq_n_s32(q.minimum), greatest = vdupq_n_s32(q.maximum);
    for (int32_t i = q.count >> 2; i > 0; i--, a += 4, b += 4, y += 4) {
        const int32x4_t sum = sum_of(vldrbq_s32(a), vldrbq_s32(b), &q);
        vstrbq_s32(y, vminq_s32(vmaxq_s32(sum, least), greatest));
    }
    const mve_pred16_t rest = vctp32q((uint32_t)(q.count & 3));
    const int32x4_t sum = sum_of(vldrbq_z_s32(a, rest), vldrbq_z_s32(b, rest), &q);
    vstrbq_p_s32(y, vminq_s32(vmaxq_s32(sum, least), greatest), rest);
}

#else

static void add_row(
    int8_t *y, const int8_t *a, const int8_t *b, const midge_add_helium_s8_params *p)
{
    for (int32_t i = 0; i < p->count; i++) {
        const int32_t scaled_a = midge_scale(
            midge_shift_left(a[i] + p->a_offset, p->a_left), p->a_multiplier, p->a_shift);
        const int32_t scaled_b = midge_scale(
            midge_shift_left(b[i] + p->b_offset, p->b_left), p->b_multiplier, p->b_shift);
        const int32_t scaled = midge_scale(scaled_a + scaled_b, p->y_multiplier, p->y_shift);
        y[i] = (int8_t)midge_clamp(scaled + p->y_offset, p->minimum, p->maximum);
    }
}

#endif

void midge_add_helium_s8(
    int8_t *arena, const int8_t *constants, const midge_add_helium_s8_params *p)
{
    const midge_int32 *a_rows = midge_int32_at(constants, p->a);
    const midge_int32 *b_rows = midge_int32_at(constants, p->b);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    for (int32_t row = 0; row < p->rows; row++)
        add_row(arena + y_rows[row], arena + a_rows[row], arena + b_rows[row], p);
}
