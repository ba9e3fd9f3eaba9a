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

/* Bits that are 1 in x xor w, or if `plain` in x and w, over `words` words. */
MIDGE_INLINE int32_t midge_count_bits(
    const midge_uint32 *x, const midge_uint32 *w, int32_t words, int plain)
{
#define MIDGE_WORD(i) (plain ? x[i] & w[i] : x[i] ^ w[i])
    uint32_t ones = 0, twos = 0, fours = 0, total = 0;
    while (words >= 8) {
        /* A byte counts at most 8 in each round: 31 rounds fit it. */
        int32_t rounds = words >> 3 < 31 ? words >> 3 : 31;
        uint32_t eights = 0;
        words -= rounds << 3;
        do {
            uint32_t a = midge_carry(&ones, MIDGE_WORD(0), MIDGE_WORD(1));
            uint32_t b = midge_carry(&ones, MIDGE_WORD(2), MIDGE_WORD(3));
            const uint32_t c = midge_carry(&twos, a, b);
            a = midge_carry(&ones, MIDGE_WORD(4), MIDGE_WORD(5));
            b = midge_carry(&ones, MIDGE_WORD(6), MIDGE_WORD(7));
            const uint32_t d = midge_carry(&twos, a, b);
            eights += midge_byte_counts(midge_carry(&fours, c, d));
            x += 8;
            w += 8;
        } while (--rounds > 0);
        total += 8 * midge_sum_bytes(eights);
    }
    for (; words >= 2; words -= 2, x += 2, w += 2) {
        const uint32_t carry = midge_carry(&ones, MIDGE_WORD(0), MIDGE_WORD(1));
        total += 2 * midge_sum_bytes(midge_byte_counts(carry));
    }
    if (words > 0)
        total += midge_sum_bytes(midge_byte_counts(MIDGE_WORD(0)));
#undef MIDGE_WORD
    total += midge_sum_bytes(
        midge_byte_counts(ones) + 2 * midge_byte_counts(twos) + 4 * midge_byte_counts(fours));
    return (int32_t)total;
}

#endif
