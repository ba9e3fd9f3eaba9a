/* Logarithm of softmax of int8 (kernels/log_softmax.py). */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif
#include "midge_fixedpoint.h"
#include "midge_gemmlowp.h"
#include "midge_kernels.h"

enum { OUTPUT_SHIFT = 22 };

/* The greater of two powers of two, of Q12.19, in Q6.25. */
static int32_t power_of(int32_t whole, int32_t near)
{
    const int32_t unit = 1 << 25;
    const int32_t above = (11 - whole) * unit + unit / 4, below = (12 - near) * unit - unit / 4;
    return above > below ? above : below;
}

/* log of a value from 1, in Q12.19; the result is Q5.26 (kernels/gemmlowp.py). */
static int32_t log_of(int32_t value)
{
    const int32_t sqrt_half = 1518500250, root = 1805811301; /* root: sqrt(sqrt(1/2)) */
    const int32_t whole = midge_leading_zeros((uint32_t)value) - 1;
    const int32_t near =
        midge_leading_zeros((uint32_t)midge_high_mul(value, sqrt_half)) - 1;
    const int32_t below = midge_saturating_shift_left(
        midge_high_mul(midge_shift_left(value, whole), sqrt_half), 1);
    const int32_t other = midge_saturating_shift_left(value, near);
    const int32_t r = below < other ? below : other;
    const int32_t q = 2 * (r - root);
    const int32_t square = midge_high_mul(q, q);
    const int32_t above =
        midge_high_mul(q, r) + midge_high_mul(midge_high_mul(q, square), 117049297);
    const int32_t inner = 1057819769 + q + midge_high_mul(square, 127690142);
    const int32_t middle = (int32_t)(((int64_t)r + root + 1) >> 1);
    const int32_t under = midge_high_mul(middle, inner) + midge_high_mul(q, 638450708);
    const int32_t rest =
        midge_high_mul(midge_divide_by_pot(above, 6), midge_one_over_one_plus_x(under));
    const int32_t power = midge_high_mul(power_of(whole, near), 1488522236); /* log 2 */
    return midge_saturating_shift_left(power + rest, 1);
}

static void log_softmax_pixel(
    const int8_t *x, int8_t *y, const midge_log_softmax_s8_params *p, const midge_int32 *terms,
    const midge_int32 *differences)
{
    int32_t greatest = -128, total = 0;
    for (int32_t i = 0; i < p->depth; i++)
        greatest = x[i] > greatest ? x[i] : greatest;
    for (int32_t i = 0; i < p->depth; i++)
        total += terms[greatest - x[i]];
    const int32_t less = log_of(total);
    const int32_t near = -midge_scale(less + INT32_MIN, p->multiplier, p->shift);
    for (int32_t i = 0; i < p->depth; i++) {
        const int32_t distance = greatest - x[i];
        int32_t result = INT8_MIN;
        if (distance <= p->radius && distance < near) {
            const int32_t held = differences[distance] - less;
            result = midge_clamp(
                midge_divide_by_pot(held, OUTPUT_SHIFT) + INT8_MAX, INT8_MIN, INT8_MAX);
        }
        y[i] = (int8_t)result;
    }
}

void midge_log_softmax_s8(
    int8_t *arena, const int8_t *constants, const midge_log_softmax_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    const midge_int32 *terms = midge_int32_at(constants, p->terms);
    const midge_int32 *differences = midge_int32_at(constants, p->differences);
    for (int32_t row = 0; row < p->rows; row++)
        for (int32_t pixel = 0; pixel < p->pixels; pixel++)
            log_softmax_pixel(
                arena + x_rows[row] + pixel * p->depth, arena + y_rows[row] + pixel * p->depth, p,
                terms, differences);
}
