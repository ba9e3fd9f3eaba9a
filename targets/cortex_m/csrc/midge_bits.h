/* Counting bits where no instruction does: carry-save adders make one count of eight words.
 *
 * Harley and Seal's method (Warren, Hacker's Delight, 5-1): `ones`, `twos` and `fours` hold sums of
 * bits by place, and only what carries out of `fours` is counted, as bytes that are added up once.
 */
#ifndef MIDGE_BITS_H
#define MIDGE_BITS_H

#include "midge_memory.h"

typedef uint32_t MIDGE_MAY_ALIAS midge_uint32;

/* Bits of each byte of x. */
MIDGE_INLINE uint32_t midge_byte_counts(uint32_t x)
{
    x -= (x >> 1) & 0x55555555u;
    x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
    return (x + (x >> 4)) & 0x0F0F0F0Fu;
}

/* Sum of four bytes. */
MIDGE_INLINE uint32_t midge_sum_bytes(uint32_t x)
{
    x = (x & 0x00FF00FFu) + ((x >> 8) & 0x00FF00FFu);
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

/* Bits that differ between x and w. */
int32_t midge_count_different(const midge_uint32 *x, const midge_uint32 *w, int32_t words);

/* Bits that are 1 in both x and w. */
int32_t midge_count_both(const midge_uint32 *x, const midge_uint32 *w, int32_t words);

#endif
