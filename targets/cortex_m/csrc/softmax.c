/* Softmax over the last axis (kernels/softmax.py). */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif
#include "midge_fixedpoint.h"
#include "midge_gemmlowp.h"
#include "midge_kernels.h"

enum { SUM_BITS = 12 };

/* A rounding shift of a number >= 0. By 32 or more TFLite's x86 build shifts by the low five bits
 * and adds one, which the reference keeps. */
static int32_t shift_right(int32_t value, int32_t right)
{
    if (right > 31)
        return (value >> (right & 31)) + 1;
    return midge_divide_by_pot(value, right);
}

/* `bytes` is the size of an output element. */
MIDGE_INLINE void softmax_pixel(
    const int8_t *x, int8_t *y, int32_t depth, const midge_int32 *table, int32_t bytes)
{
    int32_t greatest = -128;
    for (int32_t i = 0; i < depth; i++)
        greatest = x[i] > greatest ? x[i] : greatest;
    uint32_t total = 0;
    for (int32_t i = 0; i < depth; i++)
        total += (uint32_t)midge_divide_by_pot(table[greatest - x[i]], SUM_BITS);
    const int32_t headroom = midge_leading_zeros(total);
    const int32_t reciprocal =
        midge_one_over_one_plus_x((int32_t)((total << headroom) - 0x80000000u));
    const int32_t right = SUM_BITS - headroom + 31 - 8 * bytes;
    const int32_t least = -(1 << (8 * bytes - 1)), most = (1 << (8 * bytes - 1)) - 1;
    for (int32_t i = 0; i < depth; i++) {
        const int32_t exponential = table[greatest - x[i]];
        int32_t result = least;
        if (exponential != 0) {
            const int32_t shifted = shift_right(midge_high_mul(reciprocal, exponential), right);
            /* `shifted` may be near 2**31, so `least` is compared, not added, first. */
            result = shifted > most - least ? most : shifted + least;
        }
        if (bytes == 1)
            y[i] = (int8_t)result;
        else
            ((midge_int16 *)(void *)y)[i] = (int16_t)result;
    }
}

void midge_softmax_s8(
    int8_t *arena, const int8_t *constants, const midge_softmax_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    const midge_int32 *table = midge_int32_at(constants, p->exponentials);
    for (int32_t row = 0; row < p->rows; row++)
        for (int32_t pixel = 0; pixel < p->pixels; pixel++)
            softmax_pixel(
                arena + x_rows[row] + pixel * p->depth, arena + y_rows[row] + pixel * p->depth,
                p->depth, table, 1);
}

void midge_softmax_s8_s16(
    int8_t *arena, const int8_t *constants, const midge_softmax_s8_s16_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    const midge_int32 *table = midge_int32_at(constants, p->exponentials);
    for (int32_t row = 0; row < p->rows; row++)
        for (int32_t pixel = 0; pixel < p->pixels; pixel++)
            softmax_pixel(
                arena + x_rows[row] + pixel * p->depth, arena + y_rows[row] + 2 * pixel * p->depth,
                p->depth, table, 2);
}

/* The table's function at int16 numbers, by linear interpolation between its 513 entries. */
static int32_t look_up(int32_t value, const midge_int32 *table)
{
    const midge_int32 *entry = table + 256 + (value >> 7);
    return entry[0] + (((entry[1] - entry[0]) * (value & 0x7F) + 64) >> 7);
}

void midge_softmax_s16(
    int8_t *arena, const int8_t *constants, const midge_softmax_s16_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    const midge_int32 *exponentials = midge_int32_at(constants, p->exponentials);
    const midge_int32 *reciprocals = midge_int32_at(constants, p->reciprocals);
    for (int32_t row = 0; row < p->rows; row++)
        for (int32_t pixel = 0; pixel < p->pixels; pixel++) {
            const midge_int16 *x =
                (const midge_int16 *)(const void *)(arena + x_rows[row]) + pixel * p->depth;
            midge_int16 *y = (midge_int16 *)(void *)(arena + y_rows[row]) + pixel * p->depth;
            int32_t greatest = INT16_MIN;
            for (int32_t i = 0; i < p->depth; i++)
                greatest = x[i] > greatest ? x[i] : greatest;
            uint32_t total = 0;
            for (int32_t i = 0; i < p->depth; i++) {
                /* In place: the exponential waits where its probability will stand. */
                const int32_t scaled = midge_scale(x[i] - greatest, p->multiplier, p->shift);
                const int32_t at = midge_clamp(scaled + INT16_MAX, INT16_MIN, INT16_MAX);
                const int32_t exponential = look_up(at, exponentials);
                y[i] = (int16_t)exponential;
                total += (uint32_t)exponential;
            }
            const int32_t headroom = midge_leading_zeros(total), right = 31 - headroom;
            const int64_t shifted =
                (((int64_t)total << (headroom - 1)) + (1 << 13)) >> 14;
            const int32_t at = midge_clamp(
                (int32_t)(shifted - (1 << 15) - (1 << 16)), INT16_MIN, INT16_MAX);
            const int32_t reciprocal = look_up(at, reciprocals);
            for (int32_t i = 0; i < p->depth; i++) {
                const int64_t product = (int64_t)y[i] * reciprocal;
                y[i] = (int16_t)midge_clamp(
                    (int32_t)((product + ((int64_t)1 << (right - 1))) >> right), 0, INT16_MAX);
            }
        }
}
