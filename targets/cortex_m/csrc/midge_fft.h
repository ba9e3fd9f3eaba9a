/* Real Fourier transforms with KISS FFT's rounding (kernels/signal_fft.py), of the numbers that the
 * including file says: `midge_fft_number`, and in fixed point MIDGE_FFT_BITS, its fractional bits,
 * and `midge_fft_wide`, which holds a product and wraps into a number.
 */
#ifndef MIDGE_FFT_H
#define MIDGE_FFT_H

#include "midge_memory.h"

typedef struct {
    midge_fft_number r, i;
} midge_fft_pair;

/* The parameters that both transforms have. */
typedef struct {
    const midge_fft_number *roots;
    const midge_fft_number *half_roots;
    const midge_int32 *stages; /* of each: radix, distance of its inputs */
    int32_t stage_count;
    int32_t count; /* of complex numbers */
    int32_t sign;  /* -1; 1 for the inverse */
} midge_fft_plan;

#ifdef MIDGE_FFT_BITS

MIDGE_INLINE midge_fft_number midge_fft_round(midge_fft_wide a)
{
    return (midge_fft_number)((a + ((midge_fft_wide)1 << (MIDGE_FFT_BITS - 1))) >> MIDGE_FFT_BITS);
}

MIDGE_INLINE midge_fft_number midge_fft_scaled(midge_fft_number a, midge_fft_number b)
{
    return midge_fft_round((midge_fft_wide)a * b);
}

MIDGE_INLINE midge_fft_pair midge_fft_turned(midge_fft_pair a, midge_fft_pair b)
{
    const midge_fft_wide r = (midge_fft_wide)a.r * b.r - (midge_fft_wide)a.i * b.i;
    const midge_fft_wide i = (midge_fft_wide)a.r * b.i + (midge_fft_wide)a.i * b.r;
    const midge_fft_pair y = {midge_fft_round(r), midge_fft_round(i)};
    return y;
}

/* By a radix, so that a sum of as many fits. */
MIDGE_INLINE midge_fft_pair midge_fft_smaller(midge_fft_pair a, int32_t radix)
{
    const midge_fft_wide most = (midge_fft_wide)(((uint32_t)1 << MIDGE_FFT_BITS) - 1);
    const midge_fft_number part = (midge_fft_number)(most / radix);
    const midge_fft_pair y = {midge_fft_scaled(a.r, part), midge_fft_scaled(a.i, part)};
    return y;
}

/* What wraps in int32 wraps here; sums of int16 have room. */
MIDGE_INLINE midge_fft_number midge_fft_half_sum(midge_fft_number a, midge_fft_number b)
{
    return (midge_fft_number)((int32_t)((midge_fft_wide)a + b) >> 1);
}

MIDGE_INLINE midge_fft_number midge_fft_half_difference(midge_fft_number a, midge_fft_number b)
{
    return (midge_fft_number)((int32_t)((midge_fft_wide)a - b) >> 1);
}

MIDGE_INLINE midge_fft_number midge_fft_less_half(midge_fft_number a, midge_fft_number b)
{
    return (midge_fft_number)((midge_fft_wide)a - (b >> 1));
}

#else

typedef float midge_fft_wide;

MIDGE_INLINE float midge_fft_scaled(float a, float b)
{
    return a * b;
}

MIDGE_INLINE midge_fft_pair midge_fft_turned(midge_fft_pair a, midge_fft_pair b)
{
    const midge_fft_pair y = {a.r * b.r - a.i * b.i, a.r * b.i + a.i * b.r};
    return y;
}

MIDGE_INLINE midge_fft_pair midge_fft_smaller(midge_fft_pair a, int32_t radix)
{
    (void)radix;
    return a;
}

MIDGE_INLINE float midge_fft_half_sum(float a, float b)
{
    return (a + b) * 0.5f;
}

MIDGE_INLINE float midge_fft_half_difference(float a, float b)
{
    return (a - b) * 0.5f;
}

MIDGE_INLINE float midge_fft_less_half(float a, float b)
{
    return (float)((double)a - (double)b * 0.5);
}

#endif

MIDGE_INLINE midge_fft_pair midge_fft_load(const midge_fft_number *z, int32_t k)
{
    const midge_fft_pair a = {z[2 * k], z[2 * k + 1]};
    return a;
}

MIDGE_INLINE void midge_fft_store(midge_fft_number *z, int32_t k, midge_fft_pair a)
{
    z[2 * k] = a.r;
    z[2 * k + 1] = a.i;
}

MIDGE_INLINE midge_fft_pair midge_fft_plus(midge_fft_pair a, midge_fft_pair b)
{
    const midge_fft_pair y = {
        (midge_fft_number)((midge_fft_wide)a.r + b.r),
        (midge_fft_number)((midge_fft_wide)a.i + b.i)};
    return y;
}

MIDGE_INLINE midge_fft_pair midge_fft_minus(midge_fft_pair a, midge_fft_pair b)
{
    const midge_fft_pair y = {
        (midge_fft_number)((midge_fft_wide)a.r - b.r),
        (midge_fft_number)((midge_fft_wide)a.i - b.i)};
    return y;
}

MIDGE_INLINE midge_fft_pair midge_fft_conjugate(midge_fft_pair a)
{
    const midge_fft_pair y = {a.r, (midge_fft_number)(-(midge_fft_wide)a.i)};
    return y;
}

/* Times i, or with a sign of -1 times -i. */
MIDGE_INLINE midge_fft_pair midge_fft_times_i(midge_fft_pair a, int32_t sign)
{
    const midge_fft_pair left = {(midge_fft_number)(-(midge_fft_wide)a.i), a.r};
    const midge_fft_pair right = {a.i, (midge_fft_number)(-(midge_fft_wide)a.r)};
    return sign > 0 ? left : right;
}

MIDGE_INLINE midge_fft_pair midge_fft_times(midge_fft_pair a, midge_fft_number b)
{
    const midge_fft_pair y = {midge_fft_scaled(a.r, b), midge_fft_scaled(a.i, b)};
    return y;
}

/* ---- one butterfly: its first input's place k, its others' distance, its roots' step ---------- */

/* A stage's input, made smaller and turned. */
MIDGE_INLINE midge_fft_pair midge_fft_term(
    const midge_fft_plan *plan, const midge_fft_number *z, int32_t k, int32_t radix, int32_t root)
{
    const midge_fft_pair a = midge_fft_smaller(midge_fft_load(z, k), radix);
    return midge_fft_turned(a, midge_fft_load(plan->roots, root));
}

MIDGE_INLINE void midge_fft_two(
    const midge_fft_plan *plan, midge_fft_number *z, int32_t k, int32_t size, int32_t root)
{
    const midge_fft_pair a = midge_fft_smaller(midge_fft_load(z, k), 2);
    const midge_fft_pair b = midge_fft_term(plan, z, k + size, 2, root);
    midge_fft_store(z, k, midge_fft_plus(a, b));
    midge_fft_store(z, k + size, midge_fft_minus(a, b));
}

MIDGE_INLINE void midge_fft_four(
    const midge_fft_plan *plan, midge_fft_number *z, int32_t k, int32_t size, int32_t root)
{
    const midge_fft_pair a = midge_fft_smaller(midge_fft_load(z, k), 4);
    const midge_fft_pair b = midge_fft_term(plan, z, k + size, 4, root);
    const midge_fft_pair c = midge_fft_term(plan, z, k + 2 * size, 4, 2 * root);
    const midge_fft_pair d = midge_fft_term(plan, z, k + 3 * size, 4, 3 * root);
    const midge_fft_pair even = midge_fft_plus(a, c), odd = midge_fft_plus(b, d);
    const midge_fft_pair rest = midge_fft_minus(a, c);
    const midge_fft_pair turned = midge_fft_times_i(midge_fft_minus(b, d), plan->sign);
    midge_fft_store(z, k, midge_fft_plus(even, odd));
    midge_fft_store(z, k + size, midge_fft_plus(rest, turned));
    midge_fft_store(z, k + 2 * size, midge_fft_minus(even, odd));
    midge_fft_store(z, k + 3 * size, midge_fft_minus(rest, turned));
}

MIDGE_INLINE void midge_fft_three(
    const midge_fft_plan *plan, midge_fft_number *z, int32_t k, int32_t size, int32_t root,
    int32_t third)
{
    const midge_fft_pair a = midge_fft_smaller(midge_fft_load(z, k), 3);
    const midge_fft_pair b = midge_fft_term(plan, z, k + size, 3, root);
    const midge_fft_pair c = midge_fft_term(plan, z, k + 2 * size, 3, 2 * root);
    const midge_fft_pair both = midge_fft_plus(b, c);
    const midge_fft_pair rest = midge_fft_times(midge_fft_minus(b, c), plan->roots[2 * third + 1]);
    const midge_fft_pair turned = midge_fft_times_i(rest, 1);
    const midge_fft_pair middle = {
        midge_fft_less_half(a.r, both.r), midge_fft_less_half(a.i, both.i)};
    midge_fft_store(z, k, midge_fft_plus(a, both));
    midge_fft_store(z, k + size, midge_fft_plus(middle, turned));
    midge_fft_store(z, k + 2 * size, midge_fft_minus(middle, turned));
}

MIDGE_INLINE void midge_fft_five(
    const midge_fft_plan *plan, midge_fft_number *z, int32_t k, int32_t size, int32_t root,
    int32_t fifth)
{
    const midge_fft_pair a = midge_fft_smaller(midge_fft_load(z, k), 5);
    const midge_fft_pair b = midge_fft_term(plan, z, k + size, 5, root);
    const midge_fft_pair c = midge_fft_term(plan, z, k + 2 * size, 5, 2 * root);
    const midge_fft_pair d = midge_fft_term(plan, z, k + 3 * size, 5, 3 * root);
    const midge_fft_pair e = midge_fft_term(plan, z, k + 4 * size, 5, 4 * root);
    const midge_fft_pair near = midge_fft_load(plan->roots, fifth);
    const midge_fft_pair far = midge_fft_load(plan->roots, 2 * fifth);
    const midge_fft_pair outer = midge_fft_plus(b, e), inner = midge_fft_plus(c, d);
    const midge_fft_pair outer_turn = midge_fft_times_i(midge_fft_minus(b, e), -1);
    const midge_fft_pair inner_turn = midge_fft_times_i(midge_fft_minus(c, d), -1);
    const midge_fft_pair here = midge_fft_plus(
        midge_fft_plus(a, midge_fft_times(outer, near.r)), midge_fft_times(inner, far.r));
    const midge_fft_pair there = midge_fft_plus(
        midge_fft_plus(a, midge_fft_times(outer, far.r)), midge_fft_times(inner, near.r));
    const midge_fft_pair here_turn = midge_fft_plus(
        midge_fft_times(outer_turn, near.i), midge_fft_times(inner_turn, far.i));
    const midge_fft_pair there_turn = midge_fft_minus(
        midge_fft_times(inner_turn, near.i), midge_fft_times(outer_turn, far.i));
    midge_fft_store(z, k, midge_fft_plus(a, midge_fft_plus(outer, inner)));
    midge_fft_store(z, k + size, midge_fft_minus(here, here_turn));
    midge_fft_store(z, k + 2 * size, midge_fft_plus(there, there_turn));
    midge_fft_store(z, k + 3 * size, midge_fft_minus(there, there_turn));
    midge_fft_store(z, k + 4 * size, midge_fft_plus(here, here_turn));
}

/* ---- whole transforms ------------------------------------------------------------------------- */

/* Where complex number k goes before the first stage. */
static int32_t midge_fft_place(const midge_fft_plan *plan, int32_t k)
{
    int32_t place = 0;
    for (int32_t stage = 0; stage < plan->stage_count; stage++) {
        const int32_t radix = plan->stages[2 * stage];
        place += k % radix * plan->stages[2 * stage + 1];
        k /= radix;
    }
    return place;
}

/* In place, of numbers that are in their places. */
static void midge_fft_transform(const midge_fft_plan *plan, midge_fft_number *z)
{
    for (int32_t stage = plan->stage_count - 1; stage >= 0; stage--) {
        const int32_t radix = plan->stages[2 * stage], size = plan->stages[2 * stage + 1];
        const int32_t step = plan->count / (radix * size);
        for (int32_t block = 0; block < plan->count; block += radix * size)
            for (int32_t i = 0; i < size; i++) {
                if (radix == 4)
                    midge_fft_four(plan, z, block + i, size, i * step);
                else if (radix == 2)
                    midge_fft_two(plan, z, block + i, size, i * step);
                else if (radix == 3)
                    midge_fft_three(plan, z, block + i, size, i * step, size * step);
                else
                    midge_fft_five(plan, z, block + i, size, i * step, size * step);
            }
    }
}

/* The transform of `known` real numbers, and zeros behind them. */
static void midge_fft_real(
    const midge_fft_plan *plan, const midge_fft_number *x, int32_t known, midge_fft_number *z)
{
    const int32_t count = plan->count;
    for (int32_t k = 0; k < count; k++) {
        const midge_fft_pair a = {
            2 * k < known ? x[2 * k] : 0, 2 * k + 1 < known ? x[2 * k + 1] : 0};
        midge_fft_store(z, midge_fft_place(plan, k), a);
    }
    midge_fft_transform(plan, z);
    const midge_fft_pair a = midge_fft_smaller(midge_fft_load(z, 0), 2);
    const midge_fft_pair first = {(midge_fft_number)((midge_fft_wide)a.r + a.i), 0};
    const midge_fft_pair last = {(midge_fft_number)((midge_fft_wide)a.r - a.i), 0};
    midge_fft_store(z, 0, first);
    midge_fft_store(z, count, last);
    for (int32_t k = 1; k <= count / 2; k++) {
        const midge_fft_pair here = midge_fft_smaller(midge_fft_load(z, k), 2);
        const midge_fft_pair there =
            midge_fft_smaller(midge_fft_conjugate(midge_fft_load(z, count - k)), 2);
        const midge_fft_pair even = midge_fft_plus(here, there);
        const midge_fft_pair odd = midge_fft_turned(
            midge_fft_minus(here, there), midge_fft_load(plan->half_roots, k - 1));
        const midge_fft_pair low = {
            midge_fft_half_sum(even.r, odd.r), midge_fft_half_sum(even.i, odd.i)};
        const midge_fft_pair high = {
            midge_fft_half_difference(even.r, odd.r), midge_fft_half_difference(odd.i, even.i)};
        midge_fft_store(z, k, low);
        midge_fft_store(z, count - k, high);
    }
}

/* The real numbers whose transform x is. */
static void midge_fft_inverse(
    const midge_fft_plan *plan, const midge_fft_number *x, midge_fft_number *z)
{
    const int32_t count = plan->count;
    const midge_fft_pair ends = {
        (midge_fft_number)((midge_fft_wide)x[0] + x[2 * count]),
        (midge_fft_number)((midge_fft_wide)x[0] - x[2 * count])};
    midge_fft_store(z, 0, midge_fft_smaller(ends, 2));
    for (int32_t k = 1; k <= count / 2; k++) {
        const midge_fft_pair here = midge_fft_smaller(midge_fft_load(x, k), 2);
        const midge_fft_pair there =
            midge_fft_smaller(midge_fft_conjugate(midge_fft_load(x, count - k)), 2);
        const midge_fft_pair even = midge_fft_plus(here, there);
        const midge_fft_pair odd = midge_fft_turned(
            midge_fft_minus(here, there), midge_fft_load(plan->half_roots, k - 1));
        midge_fft_store(z, midge_fft_place(plan, k), midge_fft_plus(even, odd));
        midge_fft_store(
            z, midge_fft_place(plan, count - k),
            midge_fft_conjugate(midge_fft_minus(even, odd)));
    }
    midge_fft_transform(plan, z);
}

/* The plan that a kernel's parameters p describe. */
#define MIDGE_FFT_PLAN(direction)                                                                 \
    {                                                                                             \
        (const midge_fft_number *)(const void *)(constants + p->twiddles),                        \
            (const midge_fft_number *)(const void *)(constants + p->half_twiddles),               \
            midge_int32_at(constants, p->stages), p->stage_count, p->length / 2, direction        \
    }

#define MIDGE_FFT_FORWARD                                                                         \
    {                                                                                             \
        const midge_fft_plan plan = MIDGE_FFT_PLAN(-1);                                           \
        const midge_fft_number *x = (const midge_fft_number *)(const void *)(arena + p->x);       \
        midge_fft_number *y = (midge_fft_number *)(void *)(arena + p->y);                         \
        for (int32_t row = 0; row < p->rows; row++, x += p->count, y += p->length + 2)            \
            midge_fft_real(&plan, x, p->count, y);                                                \
    }

#define MIDGE_FFT_BACKWARD                                                                        \
    {                                                                                             \
        const midge_fft_plan plan = MIDGE_FFT_PLAN(1);                                            \
        const midge_fft_number *x = (const midge_fft_number *)(const void *)(arena + p->x);       \
        midge_fft_number *y = (midge_fft_number *)(void *)(arena + p->y);                         \
        for (int32_t row = 0; row < p->rows; row++, x += p->length + 2, y += p->length)           \
            midge_fft_inverse(&plan, x, y);                                                       \
    }

#endif
