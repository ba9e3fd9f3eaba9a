/* Counting bits by carry-save adders: see midge_bits.h. */
#include "midge_bits.h"

#if defined(__GNUC__)
#define APART __attribute__((noinline))
#else
#define APART
#endif

/* Bits by place, and what carried out of them: bits of eight words, by byte. */
typedef struct {
    uint32_t ones;
    uint32_t twos;
    uint32_t fours;
    uint32_t eights; /* a byte holds 8 of each of 31 rounds */
} carry_save;

/* `rounds` times eight words of x xor w through the adders, and then all that they hold. */
#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && defined(__GNUC__)
#define XOR2(a, b) "ldrd r8, r9, [%[w]], #8\n\teor " a ", " a ", r8\n\teor " b ", " b ", r9\n\t"
/* r8 is room; the carry replaces a. */
#define CARRY(sum, a, b)                                                                          \
    "eor " b ", " a ", " b "\n\teor r8, " sum ", " a "\n\teor " sum ", " sum ", " b               \
    "\n\tand r8, r8, " b "\n\teor " a ", " a ", r8\n\t"
/* Fields of 2, of 4 and of 8 bits from those half as wide; r3 is room. */
#define BY_2(a) "and r3, " a ", #0xAAAAAAAA\n\tsub " a ", " a ", r3, lsr #1\n\t"
#define BY_4(a)                                                                                   \
    "and r3, " a ", #0xCCCCCCCC\n\tbic " a ", " a ", #0xCCCCCCCC"                                   \
    "\n\tadd " a ", " a ", r3, lsr #2\n\t"
#define BY_8(a) "add " a ", " a ", " a ", lsr #4\n\tand " a ", " a ", #0x0F0F0F0F\n\t"

/* A compiler's own choice of registers spills some of them in every round. */
MIDGE_INLINE uint32_t counted(
    carry_save adders, const midge_uint32 *x, const midge_uint32 *w, int32_t rounds)
{
    uint32_t ones = adders.ones, twos = adders.twos, fours = adders.fours, eights = 0;
    __asm(
        "1:\n\t"
        "ldmia %[x]!, {r2, r3, r4, r5}\n\t"
        XOR2("r2", "r3") CARRY("%[ones]", "r2", "r3")
        XOR2("r4", "r5") CARRY("%[ones]", "r4", "r5")
        CARRY("%[twos]", "r2", "r4")
        "ldrd r3, r4, [%[x]], #8\n\t"
        XOR2("r3", "r4") CARRY("%[ones]", "r3", "r4")
        "ldrd r4, r5, [%[x]], #8\n\t"
        XOR2("r4", "r5") CARRY("%[ones]", "r4", "r5")
        CARRY("%[twos]", "r3", "r4")
        CARRY("%[fours]", "r2", "r3")
        BY_2("r2") BY_4("r2") BY_8("r2")
        "add %[eights], %[eights], r2\n\t"
        "subs %[rounds], %[rounds], #1\n\t"
        "bne 1b\n\t"
        BY_2("%[ones]") BY_4("%[ones]")
        BY_2("%[twos]") BY_4("%[twos]")
        "add %[ones], %[ones], %[twos], lsl #1\n\t" /* at most 12 in 4 bits */
        "and r3, %[ones], #0xF0F0F0F0\n\t"
        "bic %[ones], %[ones], #0xF0F0F0F0\n\t"
        "add %[ones], %[ones], r3, lsr #4\n\t"
        BY_2("%[fours]") BY_4("%[fours]") BY_8("%[fours]")
        "add %[ones], %[ones], %[fours], lsl #2\n\t"
        "usad8 %[ones], %[ones], %[rounds]\n\t" /* which is 0 */
        "usad8 %[eights], %[eights], %[rounds]\n\t"
        "add %[ones], %[ones], %[eights], lsl #3\n\t"
        : [x] "+r"(x), [w] "+r"(w), [ones] "+r"(ones), [twos] "+r"(twos), [fours] "+r"(fours),
          [eights] "+r"(eights), [rounds] "+r"(rounds)
        :
        : "r2", "r3", "r4", "r5", "r8", "r9", "cc", "memory");
    return ones;
}
#else
MIDGE_INLINE uint32_t by_4(uint32_t x)
{
    x -= (x >> 1) & 0x55555555u;
    return (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
}

MIDGE_INLINE uint32_t counted(
    carry_save now, const midge_uint32 *x, const midge_uint32 *w, int32_t rounds)
{
    for (; rounds > 0; rounds--, x += 8, w += 8) {
        uint32_t c = midge_carry(&now.ones, x[0] ^ w[0], x[1] ^ w[1]);
        uint32_t d = midge_carry(&now.ones, x[2] ^ w[2], x[3] ^ w[3]);
        const uint32_t e = midge_carry(&now.twos, c, d);
        c = midge_carry(&now.ones, x[4] ^ w[4], x[5] ^ w[5]);
        d = midge_carry(&now.ones, x[6] ^ w[6], x[7] ^ w[7]);
        const uint32_t f = midge_carry(&now.twos, c, d);
        now.eights += midge_byte_counts(midge_carry(&now.fours, e, f));
    }
    uint32_t low = by_4(now.ones) + 2 * by_4(now.twos); /* at most 12 in 4 bits */
    uint32_t high = by_4(now.fours);
    low = (low & 0x0F0F0F0Fu) + ((low >> 4) & 0x0F0F0F0Fu);
    high = (high + (high >> 4)) & 0x0F0F0F0Fu;
    low = midge_pairs_of_bytes(low + 4 * high) + 8 * midge_pairs_of_bytes(now.eights);
    return (low + (low >> 16)) & 0xFFFFu;
}
#endif

/* Bits that differ between x and w, of MIDGE_MOST_WORDS at most. Words that are no whole round come
 * first, into empty adders. Inline in a loop it would leave the loop no register. */
APART static int32_t differing(const midge_uint32 *x, const midge_uint32 *w, int32_t words)
{
    carry_save adders = {0, 0, 0, 0};
    if (words & 1)
        adders.ones = *x++ ^ *w++;
    if (words & 2) {
        adders.twos = midge_carry(&adders.ones, x[0] ^ w[0], x[1] ^ w[1]);
        x += 2;
        w += 2;
    }
    if (words & 4) {
        const uint32_t c = midge_carry(&adders.ones, x[0] ^ w[0], x[1] ^ w[1]);
        const uint32_t d = midge_carry(&adders.ones, x[2] ^ w[2], x[3] ^ w[3]);
        adders.fours = midge_carry(&adders.twos, c, d);
        x += 4;
        w += 4;
    }
    if (words >= 8)
        return (int32_t)counted(adders, x, w, words >> 3);
    return (int32_t)midge_sum_bytes(
        midge_byte_counts(adders.ones) + 2 * midge_byte_counts(adders.twos)
        + 4 * midge_byte_counts(adders.fours));
}

void midge_count_each(
    int32_t *counts, const midge_uint32 *x, const midge_uint32 *w, int32_t words, int32_t filters)
{
    for (int32_t *end = counts + filters; counts < end; counts++, w += words)
        *counts = differing(x, w, words);
}

uint32_t midge_bits_over(
    const midge_uint32 *x, const midge_uint32 *w, int32_t words, const midge_int32 *limits,
    int32_t filters)
{
    uint32_t word = 0;
    for (const midge_int32 *end = limits + filters; limits < end; limits++, w += words)
        word = word >> 1 | midge_over(2 * differing(x, w, words), *limits);
    return word >> (32 - filters);
}

int32_t midge_count_different(const midge_uint32 *x, const midge_uint32 *w, int32_t words)
{
    int32_t total = 0;
    for (; words > MIDGE_MOST_WORDS; words -= MIDGE_MOST_WORDS) {
        total += differing(x, w, MIDGE_MOST_WORDS);
        x += MIDGE_MOST_WORDS;
        w += MIDGE_MOST_WORDS;
    }
    return total + differing(x, w, words);
}

int32_t midge_count_both(const midge_uint32 *x, const midge_uint32 *w, int32_t words)
{
    uint32_t ones = 0, total = 0;
    for (; words >= 2; words -= 2, x += 2, w += 2) {
        const uint32_t carry = midge_carry(&ones, x[0] & w[0], x[1] & w[1]);
        total += 2 * midge_sum_bytes(midge_byte_counts(carry));
    }
    if (words > 0)
        total += midge_sum_bytes(midge_byte_counts(x[0] & w[0]));
    return (int32_t)(total + midge_sum_bytes(midge_byte_counts(ones)));
}
