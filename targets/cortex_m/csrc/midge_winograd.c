/* Winograd's transforms and products. */
#include "midge_winograd.h"

#include "midge_fixedpoint.h"
#include "midge_paired.h"

#if defined(MIDGE_THUMB_DSP)

/* Both halves of a word count as one number, so inputs are made positive by 128, and what comes out
 * of them by 2560: neither half ever borrows. r2-r7 are inputs 0 to 5, lr the stride. */
#define HALF(rotated)                                                                             \
    "ldm sp, {r2-r7}\n"                                                                           \
    "ldr r2, [r2, r0]\n"                                                                          \
    "ldr r3, [r3, r0]\n"                                                                          \
    "ldr r4, [r4, r0]\n"                                                                          \
    "ldr r5, [r5, r0]\n"                                                                          \
    "ldr r6, [r6, r0]\n"                                                                          \
    "ldr r7, [r7, r0]\n"                                                                          \
    "sxtab16 r2, r12, r2" rotated "\n"                                                            \
    "sxtab16 r3, r12, r3" rotated "\n"                                                            \
    "sxtab16 r4, r12, r4" rotated "\n"                                                            \
    "sxtab16 r5, r12, r5" rotated "\n"                                                            \
    "sxtab16 r6, r12, r6" rotated "\n"                                                            \
    "sxtab16 r7, r12, r7" rotated "\n"                                                            \
    "add r6, r6, #0x0A000A00\n"                                                                   \
    "sub r8, r6, r4, lsl #2\n"  /* x4 - 4 x2 */                                                   \
    "sub r9, r6, r4\n"          /* x4 - x2 */                                                     \
    "sub r10, r5, r3, lsl #2\n" /* x3 - 4 x1 */                                                   \
    "sub r11, r5, r3\n"         /* x3 - x1 */                                                     \
    "sub r4, r8, r4\n"                                                                            \
    "add r4, r4, r2, lsl #2\n"                                                                    \
    "sub r7, r7, r10\n"                                                                           \
    "sub r7, r7, r5, lsl #2\n"                                                                    \
    "add r7, r7, #0x0A000A00\n"                                                                   \
    "add r2, r8, r10\n"                                                                           \
    "sub r3, r8, r10\n"                                                                           \
    "add r5, r9, r11, lsl #1\n"                                                                   \
    "sub r6, r9, r11, lsl #1\n"                                                                   \
    "str r4, [r1]\n"                                                                              \
    "str r2, [r1, lr]\n"                                                                          \
    "str r3, [r1, lr, lsl #1]\n"                                                                  \
    "str r6, [r1, lr, lsl #2]\n"                                                                  \
    "add r8, r1, lr\n"                                                                            \
    "str r5, [r8, lr, lsl #1]\n"                                                                  \
    "str r7, [r8, lr, lsl #2]\n"                                                                  \
    "add r1, r1, #4\n"

__attribute__((naked)) void midge_winograd_transform(
    const int8_t *const *ends, midge_int32 *to, int32_t stride, int32_t channels)
{
    (void)ends, (void)to, (void)stride, (void)channels;
    __asm__ volatile(
        "push {r4-r11, lr}\n"
        "ldm r0, {r4-r9}\n"
        "push {r4-r9}\n"
        "rsb r0, r3, #0\n"
        "mov lr, r2\n"
        "mov r12, #0x00800080\n"
        "1:\n" HALF("") HALF(", ror #8")
        "adds r0, r0, #4\n"
        "bne.w 1b\n"
        "add sp, #24\n"
        "pop {r4-r11, pc}\n");
}

#define MAC(sum, x, w) "smlad " #sum ", " #x ", " #w ", " #sum "\n"
#define FILTER(sum)                                                                               \
    "ldmia.w r1!, {r10-r12, lr}\n" MAC(sum, r6, r10) MAC(sum, r7, r11) MAC(sum, r8, r12)          \
    MAC(sum, r9, lr)
#define FOUR_WORDS "ldmia.w r0!, {r6-r9}\n" FILTER(r2) FILTER(r3) FILTER(r4) FILTER(r5)

/* The frame: x_end of this product, x_end, stride, sums. */
__attribute__((naked)) const midge_int32 *midge_winograd_products(
    const midge_winograd_job *job, const midge_int32 *w)
{
    (void)job, (void)w;
    __asm__ volatile(
        "push {r4-r11, lr}\n"
        "sub sp, #16\n"
        "ldm r0, {r3-r6}\n"
        "mov r0, r3\n"
        "add r3, r3, r5\n"
        "stm sp, {r3-r6}\n"
        "2:\n"
        "ldmia r1!, {r2-r5}\n"
        "1:\n" FOUR_WORDS FOUR_WORDS FOUR_WORDS
        "ldr lr, [sp]\n"
        "cmp r0, lr\n"
        "bne.w 1b\n"
        "add r6, sp, #4\n"
        "ldm r6, {r7-r9}\n"
        "stmia r9!, {r2-r5}\n"
        "str r9, [r6, #8]\n"
        "add r8, r0, r8\n"
        "str r8, [sp]\n"
        "cmp r0, r7\n"
        "bne.w 2b\n"
        "mov r0, r1\n"
        "add sp, #16\n"
        "pop {r4-r11, pc}\n");
}

/* Of a sum doubled; one less where it is negative, since ties are rounded away from zero. */
#define SCALE(sum)                                                                                \
    "smmlar r11, " #sum ", r5, r8\n"                                                              \
    "add " #sum ", r11, " #sum ", asr #31\n"                                                      \
    "asr " #sum ", " #sum ", r10\n"                                                               \
    "ssat " #sum ", #8, " #sum ", asr #1\n"

__attribute__((naked)) const midge_int32 *midge_winograd_outputs(
    const midge_int32 *sums, const midge_int32 *scales, int8_t *y, int32_t step)
{
    (void)sums, (void)scales, (void)y, (void)step;
    __asm__ volatile(
        "push {r4-r11, lr}\n"
        "mov r12, r1\n"
        "mov r1, r2\n"
        "mov r2, r3\n"
        "add r3, r3, r3, lsl #1\n"
        "movw lr, #0xAAAB\n"
        "movt lr, #0xAAAA\n" /* 1 / 3 */
        "1:\n"
        "ldr r5, [r0, #16]\n"
        "ldr r6, [r0, #32]\n"
        "ldr r7, [r0, #48]\n"
        "ldr r8, [r0, #64]\n"
        "ldr r9, [r0, #80]\n"
        "ldr r4, [r0], #4\n"
        "add r5, r5, r6\n"
        "sub r6, r5, r6, lsl #1\n"
        "add r7, r7, r8\n"
        "sub r8, r7, r8, lsl #1\n"
        "add r4, r4, r5, lsl #2\n"
        "add r4, r4, r7\n"
        "add r9, r9, r6\n"
        "add r9, r9, r8, lsl #1\n"
        "add r6, r8, r6, lsl #1\n"
        "add r7, r5, r7\n"
        "mul r4, r4, lr\n"
        "mul r6, r6, lr\n"
        "mul r7, r7, lr\n"
        "mul r9, r9, lr\n"
        "asr r4, r4, #2\n"
        "asr r6, r6, #1\n"
        "ldmia r12!, {r5, r8, r10}\n" SCALE(r4) SCALE(r6) SCALE(r7) SCALE(r9)
        "strb r6, [r1, r2]\n"
        "strb r7, [r1, r2, lsl #1]\n"
        "strb r9, [r1, r3]\n"
        "strb r4, [r1], #1\n"
        "tst r0, #15\n"
        "bne.w 1b\n"
        "mov r0, r12\n"
        "pop {r4-r11, pc}\n");
}

#else

void midge_winograd_transform(
    const int8_t *const *ends, midge_int32 *to, int32_t stride, int32_t channels)
{
    static const int8_t by[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0},
                                    {0, 4, -4, -1, 1, 0}, {0, -2, -1, 2, 1, 0},
                                    {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
    for (int32_t at = -channels; at < 0; at += 4)
        for (int32_t odd = 0; odd < 2; odd++, to++)
            for (int32_t t = 0; t < MIDGE_WINOGRAD_INPUTS; t++) {
                int32_t low = 2560, high = 2560;
                for (int32_t i = 0; i < MIDGE_WINOGRAD_INPUTS; i++) {
                    low += by[t][i] * (ends[i][at + odd] + 128);
                    high += by[t][i] * (ends[i][at + odd + 2] + 128);
                }
                to[t * stride / 4] = midge_pair_of(low, high);
            }
}

const midge_int32 *midge_winograd_products(const midge_winograd_job *job, const midge_int32 *w)
{
    const int32_t words = job->stride / 4;
    midge_int32 *sums = job->sums;
    for (const midge_int32 *x = job->x; x != job->x_end; x += words) {
        for (int32_t filter = 0; filter < MIDGE_WINOGRAD_FILTERS; filter++) {
            const midge_int32 *weights = w + 4 + 4 * filter;
            uint32_t sum = (uint32_t)w[filter];
            for (int32_t k = 0; k < words; k++) {
                const uint32_t a = (uint32_t)x[k], b = (uint32_t)weights[k / 4 * 16 + k % 4];
                sum += (uint32_t)((int16_t)(a & 0xFFFFu) * (int16_t)(b & 0xFFFFu)
                                  + (int16_t)(a >> 16) * (int16_t)(b >> 16));
            }
            *sums++ = (midge_int32)sum;
        }
        w += 4 + 4 * words;
    }
    return w;
}

static int8_t scaled(uint32_t sum, int32_t shift, const midge_int32 *scale)
{
    const int32_t zero = ((scale[1] >> scale[2]) - 1) / 2;
    const int32_t exact = (int32_t)(sum * 0xAAAAAAABu) >> shift;
    return (int8_t)midge_clamp(midge_scale(exact, scale[0], -scale[2] - 1) + zero, -128, 127);
}

const midge_int32 *midge_winograd_outputs(
    const midge_int32 *sums, const midge_int32 *scales, int8_t *y, int32_t step)
{
    for (int32_t filter = 0; filter < MIDGE_WINOGRAD_FILTERS; filter++, sums++, scales += 3, y++) {
        const uint32_t both = (uint32_t)sums[4] + (uint32_t)sums[8];
        const uint32_t apart = (uint32_t)sums[4] - (uint32_t)sums[8];
        const uint32_t far_both = (uint32_t)sums[12] + (uint32_t)sums[16];
        const uint32_t far_apart = (uint32_t)sums[12] - (uint32_t)sums[16];
        y[0] = scaled((uint32_t)sums[0] + 4 * both + far_both, 3, scales);
        y[step] = scaled(2 * apart + far_apart, 2, scales);
        y[2 * step] = scaled(both + far_both, 1, scales);
        y[3 * step] = scaled(apart + 2 * far_apart + (uint32_t)sums[20], 1, scales);
    }
    return scales;
}

#endif
