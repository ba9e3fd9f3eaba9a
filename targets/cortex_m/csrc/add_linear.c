/* int8 sums as a linear function (kernels/linear_add.py), four elements at a time. */
#include "midge_kernels.h"
#include "midge_paired.h"

#define FRACTION_BITS 21

MIDGE_INLINE int8_t sum_of(const midge_add_linear_s8_params *p, int32_t a, int32_t b)
{
    const int64_t scaled_a = ((int64_t)p->a_scale * a) >> 8;
    const int64_t scaled_b = ((int64_t)p->b_scale * b) >> 8;
    const int32_t sum = (int32_t)(scaled_a + scaled_b + p->offset) >> FRACTION_BITS;
    return (int8_t)(sum < -128 ? -128 : sum > 127 ? 127 : sum);
}

#if defined(MIDGE_THUMB_DSP)

/* The two numbers at odd bytes, and after a shift those at even ones, times 256 and 16 bits wide:
 * SMLAWB and SMLAWT multiply them, and drop 16 bits. `count` is a multiple of four, not 0. */
static void add_fours(
    const midge_add_linear_s8_params *p, const int8_t *a, const int8_t *b, int8_t *y, int32_t count)
{
    const int8_t *const end = y + count;
    int32_t a0, a1, b0, b1, s0, s1;
    __asm__ volatile(
        "1:\n\t"
        "ldr %[a1], [%[a]], #4\n\t"
        "ldr %[b1], [%[b]], #4\n\t"
        "and %[a0], %[mask], %[a1], lsl #8\n\t"
        "and %[b0], %[mask], %[b1], lsl #8\n\t"
        "and %[a1], %[a1], %[mask]\n\t"
        "and %[b1], %[b1], %[mask]\n\t"
        "smlawb %[s0], %[sa], %[a0], %[offset]\n\t"
        "smlawb %[s1], %[sa], %[a1], %[offset]\n\t"
        "smlawt %[a0], %[sa], %[a0], %[offset]\n\t"
        "smlawt %[a1], %[sa], %[a1], %[offset]\n\t"
        "smlawb %[s0], %[sb], %[b0], %[s0]\n\t"
        "smlawb %[s1], %[sb], %[b1], %[s1]\n\t"
        "smlawt %[a0], %[sb], %[b0], %[a0]\n\t"
        "smlawt %[a1], %[sb], %[b1], %[a1]\n\t"
        "ssat %[s0], #8, %[s0], asr #21\n\t"
        "ssat %[s1], #8, %[s1], asr #21\n\t"
        "ssat %[a0], #8, %[a0], asr #21\n\t"
        "ssat %[a1], #8, %[a1], asr #21\n\t"
        "strb %[s0], [%[y]], #4\n\t"
        "strb %[s1], [%[y], #-3]\n\t"
        "strb %[a0], [%[y], #-2]\n\t"
        "strb %[a1], [%[y], #-1]\n\t"
        "cmp %[y], %[end]\n\t"
        "bne 1b"
        : [a] "+r"(a), [b] "+r"(b), [y] "+r"(y), [a0] "=&r"(a0), [a1] "=&r"(a1), [b0] "=&r"(b0),
          [b1] "=&r"(b1), [s0] "=&r"(s0), [s1] "=&r"(s1)
        : [end] "r"(end), [mask] "r"(0xFF00FF00), [sa] "r"(p->a_scale), [sb] "r"(p->b_scale),
          [offset] "r"(p->offset)
        : "cc", "memory");
}

#else

static void add_fours(
    const midge_add_linear_s8_params *p, const int8_t *a, const int8_t *b, int8_t *y, int32_t count)
{
    for (; count > 0; count--)
        *y++ = sum_of(p, *a++, *b++);
}

#endif

void midge_add_linear_s8(
    int8_t *arena, const int8_t *constants, const midge_add_linear_s8_params *p)
{
    const midge_int32 *a_rows = midge_int32_at(constants, p->a);
    const midge_int32 *b_rows = midge_int32_at(constants, p->b);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    const int32_t fours = p->count & ~3;
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *a = arena + a_rows[row], *b = arena + b_rows[row];
        int8_t *y = arena + y_rows[row];
        if (fours > 0)
            add_fours(p, a, b, y, fours);
        for (int32_t i = fours; i < p->count; i++)
            y[i] = sum_of(p, a[i], b[i]);
        if (p->least > -128 || p->greatest < 127)
            midge_clamp_bytes(y, p->count, p->least, p->greatest);
    }
}
