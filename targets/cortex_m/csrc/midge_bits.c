/* Counting bits by carry-save adders: see midge_bits.h. */
#include "midge_bits.h"

/* The state of the adders, and what carried out of them: bits of eight words, by byte. */
typedef struct {
    uint32_t ones;
    uint32_t twos;
    uint32_t fours;
    uint32_t eights;
} carry_save;

/* `rounds` times eight words of x xor w through the adders; x and w are moved on. */
#if defined(__thumb2__) && defined(__GNUC__)
#define MIDGE_XOR2(a, b) "ldrd r8, r9, [%[w]], #8\n\teor " a ", " a ", r8\n\teor " b ", " b ", r9\n\t"
/* r8 is room; the carry replaces a. */
#define MIDGE_CARRY(sum, a, b)                                                                    \
    "eor " b ", " a ", " b "\n\teor r8, " sum ", " a "\n\teor " sum ", " sum ", " b               \
    "\n\tand r8, r8, " b "\n\teor " a ", " a ", r8\n\t"

/* A compiler's own choice of registers spills some of them in every round. */
static void xor_rounds(
    carry_save *adders, const midge_uint32 **x, const midge_uint32 **w, int32_t rounds)
{
    const midge_uint32 *a = *x, *b = *w;
    uint32_t ones = adders->ones, twos = adders->twos, fours = adders->fours;
    uint32_t eights = adders->eights;
    __asm volatile(
        "1:\n\t"
        "ldmia %[x]!, {r2, r3, r4, r5}\n\t"
        MIDGE_XOR2("r2", "r3") MIDGE_CARRY("%[ones]", "r2", "r3")
        MIDGE_XOR2("r4", "r5") MIDGE_CARRY("%[ones]", "r4", "r5")
        MIDGE_CARRY("%[twos]", "r2", "r4")
        "ldrd r3, r4, [%[x]], #8\n\t"
        MIDGE_XOR2("r3", "r4") MIDGE_CARRY("%[ones]", "r3", "r4")
        "ldrd r4, r5, [%[x]], #8\n\t"
        MIDGE_XOR2("r4", "r5") MIDGE_CARRY("%[ones]", "r4", "r5")
        MIDGE_CARRY("%[twos]", "r3", "r4")
        MIDGE_CARRY("%[fours]", "r2", "r3")
        "and r3, r2, #0xAAAAAAAA\n\t"
        "sub r2, r2, r3, lsr #1\n\t"
        "and r3, r2, #0xCCCCCCCC\n\t"
        "bic r2, r2, #0xCCCCCCCC\n\t"
        "add r2, r2, r3, lsr #2\n\t"
        "add r2, r2, r2, lsr #4\n\t"
        "and r2, r2, #0x0F0F0F0F\n\t"
        "add %[eights], %[eights], r2\n\t"
        "subs %[rounds], %[rounds], #1\n\t"
        "bne 1b\n\t"
        : [x] "+r"(a), [w] "+r"(b), [ones] "+r"(ones), [twos] "+r"(twos), [fours] "+r"(fours),
          [eights] "+r"(eights), [rounds] "+r"(rounds)
        :
        : "r2", "r3", "r4", "r5", "r8", "r9", "cc", "memory");
    *x = a;
    *w = b;
    *adders = (carry_save){ones, twos, fours, eights};
}
#else
static void xor_rounds(
    carry_save *adders, const midge_uint32 **x, const midge_uint32 **w, int32_t rounds)
{
    const midge_uint32 *a = *x, *b = *w;
    carry_save now = *adders;
    do {
        uint32_t c = midge_carry(&now.ones, a[0] ^ b[0], a[1] ^ b[1]);
        uint32_t d = midge_carry(&now.ones, a[2] ^ b[2], a[3] ^ b[3]);
        const uint32_t e = midge_carry(&now.twos, c, d);
        c = midge_carry(&now.ones, a[4] ^ b[4], a[5] ^ b[5]);
        d = midge_carry(&now.ones, a[6] ^ b[6], a[7] ^ b[7]);
        const uint32_t f = midge_carry(&now.twos, c, d);
        now.eights += midge_byte_counts(midge_carry(&now.fours, e, f));
        a += 8;
        b += 8;
    } while (--rounds > 0);
    *adders = now;
    *x = a;
    *w = b;
}
#endif

/* Bits that the adders hold, by their weights: fields of 2, 4, 8 and 16 bits never overflow. */
static uint32_t held(const carry_save *adders)
{
    const uint32_t ones = adders->ones - ((adders->ones >> 1) & 0x55555555u);
    const uint32_t twos = adders->twos - ((adders->twos >> 1) & 0x55555555u);
    const uint32_t fours = adders->fours - ((adders->fours >> 1) & 0x55555555u);
    uint32_t low = (ones & 0x33333333u) + ((ones >> 2) & 0x33333333u);
    low += 2 * ((twos & 0x33333333u) + ((twos >> 2) & 0x33333333u));
    uint32_t high = (fours & 0x33333333u) + ((fours >> 2) & 0x33333333u);
    low = (low & 0x0F0F0F0Fu) + ((low >> 4) & 0x0F0F0F0Fu);
    high = (high + (high >> 4)) & 0x0F0F0F0Fu;
    low += 4 * high;
    const uint32_t eights = adders->eights;
    low = (low & 0x00FF00FFu) + ((low >> 8) & 0x00FF00FFu);
    low += 8 * ((eights & 0x00FF00FFu) + ((eights >> 8) & 0x00FF00FFu));
    return (low + (low >> 16)) & 0xFFFFu;
}

int32_t midge_count_different(const midge_uint32 *x, const midge_uint32 *w, int32_t words)
{
    carry_save adders = {0, 0, 0, 0};
    uint32_t total = 0;
    for (; words >= 8 * 31; words -= 8 * 31) { /* a byte holds 8 of each of 31 rounds */
        xor_rounds(&adders, &x, &w, 31);
        total += 8 * midge_sum_bytes(adders.eights);
        adders.eights = 0;
    }
    if (words >= 8) {
        xor_rounds(&adders, &x, &w, words >> 3);
        words &= 7;
    }
    for (; words >= 2; words -= 2, x += 2, w += 2) {
        const uint32_t carry = midge_carry(&adders.ones, x[0] ^ w[0], x[1] ^ w[1]);
        total += 2 * midge_sum_bytes(midge_byte_counts(carry));
    }
    if (words > 0)
        total += midge_sum_bytes(midge_byte_counts(x[0] ^ w[0]));
    return (int32_t)(total + held(&adders));
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
