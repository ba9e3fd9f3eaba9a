/* The innermost loops of integer convolutions on a core with the DSP extension.
 *
 * More values live in them than compilers keep in registers, so they are assembly; what doesn't fit
 * waits in memory. Without the extension this file is empty.
 */
#include "midge_dot.h"

#if defined(MIDGE_DSP)

/* Four filters whose w_zero is 0, over a multiple of four bytes, at least four.
 *
 * Thirteen values live in the loop: all registers that there are besides a frame pointer. Compilers
 * spill the sums, so this is assembly, and the offset of x waits in memory.
 */
void midge_dot4_words_s8(
    int32_t sums[4], const int8_t *x, const int8_t *w, ptrdiff_t stride, int32_t length,
    int32_t x_zero_negated)
{
    const uint32_t x_offset = midge_pair(x_zero_negated);
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    const int8_t *w2 = w + 2 * stride;
    const int8_t *const end = x + length;
    uint32_t even, odd, a, b;
    __asm__ volatile(
        "1:\n\t"
        "ldr %[b], %[x_offset]\n\t"
        "ldr %[a], [%[x]], #4\n\t"
        "sxtab16 %[even], %[b], %[a]\n\t"
        "sxtab16 %[odd], %[b], %[a], ror #8\n\t"
        "ldr %[a], [%[w], %[stride]]\n\t" /* filter 1 */
        "sxtb16 %[b], %[a]\n\t"
        "sxtb16 %[a], %[a], ror #8\n\t"
        "smlad %[s1], %[even], %[b], %[s1]\n\t"
        "smlad %[s1], %[odd], %[a], %[s1]\n\t"
        "ldr %[a], [%[w]], #4\n\t" /* filter 0 */
        "sxtb16 %[b], %[a]\n\t"
        "sxtb16 %[a], %[a], ror #8\n\t"
        "smlad %[s0], %[even], %[b], %[s0]\n\t"
        "smlad %[s0], %[odd], %[a], %[s0]\n\t"
        "ldr %[a], [%[w2], %[stride]]\n\t" /* filter 3 */
        "sxtb16 %[b], %[a]\n\t"
        "sxtb16 %[a], %[a], ror #8\n\t"
        "smlad %[s3], %[even], %[b], %[s3]\n\t"
        "smlad %[s3], %[odd], %[a], %[s3]\n\t"
        "ldr %[a], [%[w2]], #4\n\t" /* filter 2 */
        "sxtb16 %[b], %[a]\n\t"
        "sxtb16 %[a], %[a], ror #8\n\t"
        "smlad %[s2], %[even], %[b], %[s2]\n\t"
        "smlad %[s2], %[odd], %[a], %[s2]\n\t"
        "cmp %[x], %[end]\n\t"
        "bne 1b"
        : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [x] "+r"(x), [w] "+r"(w),
          [w2] "+r"(w2), [even] "=&r"(even), [odd] "=&r"(odd), [a] "=&r"(a), [b] "=&r"(b)
        : [stride] "r"(stride), [end] "r"(end), [x_offset] "m"(x_offset)
        : "cc", "memory");
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

/* The even and odd bytes are widened to pairs, of which each half is one product. */
void midge_depthwise4_s8(
    int32_t sums[4], const int8_t *x, const int8_t *w, const midge_tap *taps, int32_t count,
    int32_t x_zero_negated)
{
    const uint32_t x_offset = midge_pair(x_zero_negated);
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    const midge_tap *const end = taps + count;
    uint32_t even, odd, a, b;
    __asm__ volatile(
        "1:\n\t"
        "ldrd %[a], %[b], [%[taps]], #8\n\t"
        "ldr %[a], [%[x], %[a]]\n\t"
        "ldr %[b], [%[w], %[b]]\n\t"
        "sxtab16 %[even], %[x_offset], %[a]\n\t"
        "sxtab16 %[odd], %[x_offset], %[a], ror #8\n\t"
        "sxtb16 %[a], %[b]\n\t"
        "sxtb16 %[b], %[b], ror #8\n\t"
        "smlabb %[s0], %[even], %[a], %[s0]\n\t"
        "smlabb %[s1], %[odd], %[b], %[s1]\n\t"
        "smlatt %[s2], %[even], %[a], %[s2]\n\t"
        "smlatt %[s3], %[odd], %[b], %[s3]\n\t"
        "cmp %[taps], %[end]\n\t"
        "bne 1b"
        : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [taps] "+r"(taps),
          [even] "=&r"(even), [odd] "=&r"(odd), [a] "=&r"(a), [b] "=&r"(b)
        : [end] "r"(end), [x] "r"(x), [w] "r"(w), [x_offset] "r"(x_offset)
        : "cc", "memory");
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

void midge_dot4_words_columns(
    int32_t sums[4], const midge_int16 *x, const int8_t *w, ptrdiff_t stride, int32_t length)
{
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    const int8_t *w2 = w + 2 * stride;
    const midge_int16 *const end = x + length;
    uint32_t even, odd, a, b;
    __asm__ volatile(
        "1:\n\t"
        "ldrd %[even], %[odd], [%[x]], #8\n\t"
        "ldr %[a], [%[w], %[stride]]\n\t" /* filter 1 */
        "sxtb16 %[b], %[a]\n\t"
        "sxtb16 %[a], %[a], ror #8\n\t"
        "smlad %[s1], %[even], %[b], %[s1]\n\t"
        "smlad %[s1], %[odd], %[a], %[s1]\n\t"
        "ldr %[a], [%[w]], #4\n\t" /* filter 0 */
        "sxtb16 %[b], %[a]\n\t"
        "sxtb16 %[a], %[a], ror #8\n\t"
        "smlad %[s0], %[even], %[b], %[s0]\n\t"
        "smlad %[s0], %[odd], %[a], %[s0]\n\t"
        "ldr %[a], [%[w2], %[stride]]\n\t" /* filter 3 */
        "sxtb16 %[b], %[a]\n\t"
        "sxtb16 %[a], %[a], ror #8\n\t"
        "smlad %[s3], %[even], %[b], %[s3]\n\t"
        "smlad %[s3], %[odd], %[a], %[s3]\n\t"
        "ldr %[a], [%[w2]], #4\n\t" /* filter 2 */
        "sxtb16 %[b], %[a]\n\t"
        "sxtb16 %[a], %[a], ror #8\n\t"
        "smlad %[s2], %[even], %[b], %[s2]\n\t"
        "smlad %[s2], %[odd], %[a], %[s2]\n\t"
        "cmp %[x], %[end]\n\t"
        "bne 1b"
        : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [x] "+r"(x), [w] "+r"(w),
          [w2] "+r"(w2), [even] "=&r"(even), [odd] "=&r"(odd), [a] "=&r"(a), [b] "=&r"(b)
        : [stride] "r"(stride), [end] "r"(end)
        : "cc", "memory");
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

#else

/* ISO C has no empty files. */
typedef int midge_dot_has_no_functions;

#endif
