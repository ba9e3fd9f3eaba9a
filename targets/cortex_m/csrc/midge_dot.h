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

/* The product of the low halves alone. */
MIDGE_INLINE int32_t midge_mac_low(int32_t sum, uint32_t a, uint32_t b)
{
    int32_t result;
    __asm__("smlabb %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

/* The product of the high halves alone. */
MIDGE_INLINE int32_t midge_mac_high(int32_t sum, uint32_t a, uint32_t b)
{
    int32_t result;
    __asm__("smlatt %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}
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

/* Four filters, `stride` bytes apart, over the same x. */
MIDGE_INLINE void midge_dot4_s8(
    int32_t sums[4], const int8_t *x, const int8_t *w, ptrdiff_t stride, int32_t length,
    midge_offsets offsets)
{
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    const int8_t *const end = x + length;
#if defined(MIDGE_DSP)
    const uint32_t x_offset = midge_pair(offsets.x), w_offset = midge_pair(offsets.w);
    for (const int8_t *const last = end - 3; x < last; x += 4) {
        const uint32_t x4 = midge_load4(x);
        const uint32_t even = midge_widen_even(x_offset, x4), odd = midge_widen_odd(x_offset, x4);
        const int8_t *const w2 = w + 2 * stride;
        uint32_t w4 = midge_load4(w);
        s0 = midge_mac2(s0, even, midge_widen_even(w_offset, w4));
        s0 = midge_mac2(s0, odd, midge_widen_odd(w_offset, w4));
        w4 = midge_load4(w + stride);
        s1 = midge_mac2(s1, even, midge_widen_even(w_offset, w4));
        s1 = midge_mac2(s1, odd, midge_widen_odd(w_offset, w4));
        w4 = midge_load4(w2);
        s2 = midge_mac2(s2, even, midge_widen_even(w_offset, w4));
        s2 = midge_mac2(s2, odd, midge_widen_odd(w_offset, w4));
        w4 = midge_load4(w2 + stride);
        s3 = midge_mac2(s3, even, midge_widen_even(w_offset, w4));
        s3 = midge_mac2(s3, odd, midge_widen_odd(w_offset, w4));
        w += 4;
    }
#endif
    for (; x < end; x++, w++) {
        const int32_t value = *x + offsets.x;
        s0 += value * (w[0] + offsets.w);
        s1 += value * (w[stride] + offsets.w);
        s2 += value * (w[2 * stride] + offsets.w);
        s3 += value * (w[3 * stride] + offsets.w);
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

#endif
