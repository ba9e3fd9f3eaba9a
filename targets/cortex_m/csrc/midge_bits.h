/* Counting bits where no instruction does: carry-save adders make one count of eight words.
 *
 * Harley and Seal's method (Warren, Hacker's Delight, 5-1): `ones`, `twos` and `fours` hold sums of
 * bits by place, and only what carries out of `fours` is counted, as bytes that are added up once.
 * What the adders hold at the end is counted together, in fields that widen as sums grow.
 */
#ifndef MIDGE_BITS_H
#define MIDGE_BITS_H

#include "midge_memory.h"

/* Bits of each byte of x. */
MIDGE_INLINE uint32_t midge_byte_counts(uint32_t x)
{
    x -= (x >> 1) & 0x55555555u;
    x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
    return (x + (x >> 4)) & 0x0F0F0F0Fu;
}

/* Sums of the even and the odd bytes, in 16 bits each. */
MIDGE_INLINE uint32_t midge_pairs_of_bytes(uint32_t x)
{
    return (x & 0x00FF00FFu) + ((x >> 8) & 0x00FF00FFu);
}

/* Sum of four bytes. */
MIDGE_INLINE uint32_t midge_sum_bytes(uint32_t x)
{
    x = midge_pairs_of_bytes(x);
    return (x + (x >> 16)) & 0xFFFFu;
}

/* sum + a + b by place: the low bit stays in `sum`, the carry is the answer. */
MIDGE_INLINE uint32_t midge_carry(uint32_t *sum, uint32_t a, uint32_t b)
{
    const uint32_t half = *sum ^ a, other = a ^ b;
    const uint32_t carry = a ^ (half & other);
    *sum = half ^ b;
    return carry;
}

enum { MIDGE_MOST_WORDS = 255 }; /* that are counted in bytes */

/* Bits that differ between x and w, of any number of words. */
int32_t midge_count_different(const midge_uint32 *x, const midge_uint32 *w, int32_t words);

/* For each of `filters`, `words` of w each: how many bits differ from x. MIDGE_MOST_WORDS at most. */
void midge_count_each(
    int32_t *counts, const midge_uint32 *x, const midge_uint32 *w, int32_t words, int32_t filters);

/* The same for 32 filters at most as bits: whether twice the count is over the filter's limit. */
uint32_t midge_bits_over(
    const midge_uint32 *x, const midge_uint32 *w, int32_t words, const midge_int32 *limits,
    int32_t filters);

/* A bit that says, in the sign's place, that v is over the limit; neither is beyond 2^30. */
MIDGE_INLINE uint32_t midge_over(int32_t v, int32_t limit)
{
    return (uint32_t)(limit - v) & 0x80000000u;
}

/* Bits that are 1 in both x and w. */
int32_t midge_count_both(const midge_uint32 *x, const midge_uint32 *w, int32_t words);

#endif
