/* Dot products of int8 runs, (x - x_zero) * (w - w_zero), added to int32 sums.
 *
 * With the DSP extension (Armv7E-M) four bytes are widened to two pairs of 16 bits, the bytes 0 and
 * 2 and the bytes 1 and 3, and each pair is one SMLAD.
 */
#ifndef MIDGE_DOT_H
#define MIDGE_DOT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "midge_memory.h"

/* The zero points of a dot product, negated: what is added to each byte. */
typedef struct {
    int32_t x;
    int32_t w;
} midge_offsets;

/* A tap of a depthwise convolution: bytes from x and from w to its channel 0. */
typedef struct {
    midge_int32 x;
    midge_int32 w;
} midge_tap;

#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
#define MIDGE_DSP 1

MIDGE_INLINE uint32_t midge_load4(const int8_t *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* An offset in both halves of a word. */
MIDGE_INLINE uint32_t midge_pair(int32_t offset)
{
    return ((uint32_t)offset & 0xFFFFu) | ((uint32_t)offset << 16);
}

/* Bytes 0 and 2 of `bytes`, each plus its half of `offsets`. */
MIDGE_INLINE uint32_t midge_widen_even(uint32_t offsets, uint32_t bytes)
{
    uint32_t pair;
    __asm__("sxtab16 %0, %1, %2" : "=r"(pair) : "r"(offsets), "r"(bytes));
    return pair;
}

/* Bytes 1 and 3. */
MIDGE_INLINE uint32_t midge_widen_odd(uint32_t offsets, uint32_t bytes)
{
    uint32_t pair;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(pair) : "r"(offsets), "r"(bytes));
    return pair;
}

MIDGE_INLINE int32_t midge_mac2(int32_t sum, uint32_t a, uint32_t b)
{
    int32_t result;
    __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

/* Four neighbouring channels over `count` taps, at least one; w_zero is 0. */
void midge_depthwise4_s8(
    int32_t sums[4], const int8_t *x, const int8_t *w, const midge_tap *taps, int32_t count,
    int32_t x_zero_negated);

/* Four filters over `length` widened numbers, a multiple of four and at least that. */
void midge_dot4_words_columns(
    int32_t sums[4], const midge_int16 *x, const int8_t *w, ptrdiff_t stride, int32_t length);
#endif

/* One filter. */
MIDGE_INLINE int32_t midge_dot_s8(
    int32_t sum, const int8_t *x, const int8_t *w, int32_t length, midge_offsets offsets)
{
    const int8_t *const end = x + length;
#if defined(MIDGE_DSP)
    const uint32_t x_offset = midge_pair(offsets.x), w_offset = midge_pair(offsets.w);
    for (; end - x >= 4; x += 4, w += 4) {
        const uint32_t x4 = midge_load4(x), w4 = midge_load4(w);
        sum = midge_mac2(sum, midge_widen_even(x_offset, x4), midge_widen_even(w_offset, w4));
        sum = midge_mac2(sum, midge_widen_odd(x_offset, x4), midge_widen_odd(w_offset, w4));
    }
#endif
    for (; x < end; x++, w++)
        sum += (*x + offsets.x) * (*w + offsets.w);
    return sum;
}

#if defined(MIDGE_DSP)
/* Four filters whose w_zero is 0, over a multiple of four bytes, at least four.
 *
 * Thirteen values live in the loop: all registers that there are besides a frame pointer. Compilers
 * spill the sums, so this is assembly, and the offset of x waits in memory.
 */
void midge_dot4_words_s8(
    int32_t sums[4], const int8_t *x, const int8_t *w, ptrdiff_t stride, int32_t length,
    int32_t x_zero_negated);
#endif

/* Four filters, `stride` bytes apart, over the same x. */
MIDGE_INLINE void midge_dot4_s8(
    int32_t sums[4], const int8_t *x, const int8_t *w, ptrdiff_t stride, int32_t length,
    midge_offsets offsets)
{
#if defined(MIDGE_DSP)
    if (offsets.w == 0 && length >= 4) {
        const int32_t whole = length & ~3;
        midge_dot4_words_s8(sums, x, w, stride, whole, offsets.x);
        x += whole;
        w += whole;
        length -= whole;
    }
#endif
    for (; length > 0; length--, x++, w++) {
        const int32_t value = *x + offsets.x;
        sums[0] += value * (w[0] + offsets.w);
        sums[1] += value * (w[stride] + offsets.w);
        sums[2] += value * (w[2 * stride] + offsets.w);
        sums[3] += value * (w[3 * stride] + offsets.w);
    }
}

/* Widened numbers, each less its zero point. The DSP extension takes bytes 0 and 2 of four weights
 * as one pair and bytes 1 and 3 as the other, so each four numbers are kept in that order; what is
 * left over at the end stays in its own. */
MIDGE_INLINE void midge_widen_s8(
    midge_int16 *to, const int8_t *x, int32_t count, int32_t x_zero_negated)
{
#if defined(MIDGE_DSP)
    const uint32_t offset = midge_pair(x_zero_negated);
    for (; count >= 4; count -= 4, x += 4, to += 4) {
        const uint32_t x4 = midge_load4(x);
        ((midge_int32 *)(void *)to)[0] = (int32_t)midge_widen_even(offset, x4);
        ((midge_int32 *)(void *)to)[1] = (int32_t)midge_widen_odd(offset, x4);
    }
#endif
    for (; count > 0; count--)
        *to++ = (int16_t)(*x++ + x_zero_negated);
}

/* One filter over widened numbers. */
MIDGE_INLINE int32_t midge_dot_columns(
    int32_t sum, const midge_int16 *x, const int8_t *w, int32_t length, int32_t w_offset)
{
#if defined(MIDGE_DSP)
    const uint32_t offset = midge_pair(w_offset);
    for (; length >= 4; length -= 4, x += 4, w += 4) {
        const midge_int32 *pair = (const midge_int32 *)(const void *)x;
        const uint32_t w4 = midge_load4(w);
        sum = midge_mac2(sum, (uint32_t)pair[0], midge_widen_even(offset, w4));
        sum = midge_mac2(sum, (uint32_t)pair[1], midge_widen_odd(offset, w4));
    }
#endif
    for (; length > 0; length--)
        sum += *x++ * (*w++ + w_offset);
    return sum;
}

/* Four filters, `length` bytes each, over the same widened numbers. */
MIDGE_INLINE void midge_dot4_columns(
    int32_t sums[4], const midge_int16 *x, const int8_t *w, int32_t length, int32_t w_offset)
{
#if defined(MIDGE_DSP)
    const int32_t whole = length & ~3;
    if (w_offset != 0) {
        for (int32_t i = 0; i < 4; i++, w += length)
            sums[i] = midge_dot_columns(sums[i], x, w, length, w_offset);
        return;
    }
    if (whole > 0)
        midge_dot4_words_columns(sums, x, w, length, whole);
#else
    const int32_t whole = 0;
#endif
    for (int32_t i = whole; i < length; i++) {
        const int32_t value = x[i];
        sums[0] += value * (w[i] + w_offset);
        sums[1] += value * (w[length + i] + w_offset);
        sums[2] += value * (w[2 * length + i] + w_offset);
        sums[3] += value * (w[3 * length + i] + w_offset);
    }
}

#endif
