/* The innermost loop of int8 depthwise convolutions. */
#include "midge_quads.h"

#include "midge_fixedpoint.h"
#include "midge_paired.h"

#if defined(MIDGE_THUMB_DSP)

/* Bytes of a pair of taps are put side by side, so that each SXTB16 gives one channel's. */
#define PAIR /* 18 instructions of 32 bits */ "ldrd r8, r9, [r2], #8\n" PAIR_FROM_R8_R9
#define PAIR_FROM_R8_R9                                                                           \
    "ldr.w r8, [r0, r8]\n"                                                                        \
    "ldr.w r9, [r0, r9]\n"                                                                        \
    "ldrd r12, lr, [r1], #8\n"                                                                    \
    "pkhbt r10, r8, r9, lsl #16\n"                                                                \
    "pkhtb r11, r9, r8, asr #16\n"                                                                \
    "sxtb16 r8, r10\n"                                                                            \
    "sxtb16 r9, r12\n"                                                                            \
    "smlad r4, r8, r9, r4\n"                                                                      \
    "sxtb16 r10, r10, ror #8\n"                                                                   \
    "sxtb16 r12, r12, ror #8\n"                                                                   \
    "smlad r5, r10, r12, r5\n"                                                                    \
    "sxtb16 r8, r11\n"                                                                            \
    "sxtb16 r9, lr\n"                                                                             \
    "smlad r6, r8, r9, r6\n"                                                                      \
    "sxtb16 r11, r11, ror #8\n"                                                                   \
    "sxtb16 lr, lr, ror #8\n"                                                                     \
    "smlad r7, r11, lr, r7\n"
#define SINGLE_FROM_R8                                                                            \
    "ldr.w r8, [r0, r8]\n"                                                                        \
    "ldr r12, [r1], #4\n"                                                                         \
    "sxtb16 r9, r8\n"                                                                             \
    "sxtb16 r10, r8, ror #8\n"                                                                    \
    "sxtb16 r11, r12\n"                                                                           \
    "sxtb16 r12, r12, ror #8\n"                                                                   \
    "smlabb r4, r9, r11, r4\n"                                                                    \
    "smlabb r5, r10, r12, r5\n"                                                                   \
    "smlatt r6, r9, r11, r6\n"                                                                    \
    "smlatt r7, r10, r12, r7\n"

/* A multiplier m is kept as 2 * m - 2**32, so that the high half of its product with a sum, rounded,
 * plus the sum is TFLite's first rounding. One is taken off where the sum is negative, since the
 * second rounds ties away from zero; that doesn't matter where what is under the zero point becomes
 * it. r12 holds the four shifts, one after the other in its low byte, r3 the zero point. */
#define SCALE(sum, multiplier)                                                                    \
    "smmlar lr, " #sum ", " #multiplier ", " #sum "\n"                                            \
    "add " #sum ", lr, " #sum ", asr #31\n" SHIFT(sum)
#define SCALE_RELU(sum, multiplier)                                                               \
    "smmlar " #sum ", " #sum ", " #multiplier ", " #sum "\n" SHIFT(sum)
#define SHIFT(sum)                                                                                \
    "asr " #sum ", " #sum ", r12\n"                                                               \
    "add " #sum ", " #sum ", r3\n"                                                                \
    "ssat " #sum ", #8, " #sum ", asr #1\n"
#define SCALE_FOUR(SCALE)                                                                         \
    "ldmia r1!, {r8-r12}\n" SCALE(r4, r8)                                                         \
    "lsr r12, r12, #8\n" SCALE(r5, r9)                                                            \
    "lsr r12, r12, #8\n" SCALE(r6, r10)                                                           \
    "lsr r12, r12, #8\n" SCALE(r7, r11)

/* Goes on with the next four channels; end and y are on the stack. */
#define STORE_FOUR(end, y)                                                                        \
    "ldrd r9, r8, [sp, #" #end "]\n"                                                              \
    "strb r4, [r8], #1\n"                                                                         \
    "strb r5, [r8], #1\n"                                                                         \
    "strb r6, [r8], #1\n"                                                                         \
    "strb r7, [r8], #1\n"                                                                         \
    "str r8, [sp, #" #y "]\n"                                                                     \
    "add r0, r0, #4\n"                                                                            \
    "cmp r1, r9\n"                                                                                \
    "bne.w 2b\n"

/* The frame: taps, taps_end, where the first pair begins, where to go after the pairs, zero, end,
 * y. r0 is x, r1 weights, r2 and r3 the taps and their end; sums are in r4-r7. */
__attribute__((naked)) void midge_quads_product(const midge_quads_job *job)
{
    (void)job;
    __asm__ volatile(
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "ldm r0, {r2-r10}\n"
        "rsb r4, r4, #0\n"
        "and r4, r4, #3\n"
        "mov r11, #72\n"
        "adr.w r12, 1f\n"
        "mla r4, r4, r11, r12\n"
        "orr r4, r4, #1\n" /* Thumb */
        "cmp r5, #0\n"
        "adr.w r5, 3f\n"
        "adr.w r11, 4f\n"
        "it eq\n"
        "moveq r5, r11\n"
        "orr r5, r5, #1\n"
        "stm sp, {r2-r8}\n"
        "mov r0, r9\n"
        "mov r1, r10\n"
        "2:\n"
        "ldmia.w r1!, {r4-r7}\n"
        "ldrd r2, r3, [sp]\n"
        "ldr.w pc, [sp, #8]\n"
        ".balign 4\n"
        "1:\n" PAIR PAIR PAIR PAIR
        "cmp r2, r3\n"
        "bne.w 1b\n"
        "ldr.w pc, [sp, #12]\n"
        ".balign 4\n"
        "3:\n"
        "ldr.w r8, [r2]\n" SINGLE_FROM_R8
        ".balign 4\n"
        "4:\n"
        "ldr r3, [sp, #16]\n" SCALE_FOUR(SCALE) STORE_FOUR(20, 24)
        "add sp, #28\n"
        "pop {r4-r11, pc}\n");
}

/* Nine taps, of which r2 is the first. The frame: end, y. */
__attribute__((naked)) void midge_quads_nine_relu(const midge_quads_job *job)
{
    (void)job;
    __asm__ volatile(
        "push {r4-r11, lr}\n"
        "sub sp, #12\n"
        "ldm r0, {r2-r10}\n"
        "strd r7, r8, [sp]\n"
        "mov r3, r6\n"
        "mov r0, r9\n"
        "mov r1, r10\n"
        "2:\n"
        "ldmia.w r1!, {r4-r7}\n"
        "ldrd r8, r9, [r2]\n" PAIR_FROM_R8_R9
        "ldrd r8, r9, [r2, #8]\n" PAIR_FROM_R8_R9
        "ldrd r8, r9, [r2, #16]\n" PAIR_FROM_R8_R9
        "ldrd r8, r9, [r2, #24]\n" PAIR_FROM_R8_R9
        "ldr r8, [r2, #32]\n" SINGLE_FROM_R8
        SCALE_FOUR(SCALE_RELU) STORE_FOUR(0, 4)
        "add sp, #12\n"
        "pop {r4-r11, pc}\n");
}

#else

/* A byte of a word, the lowest first. */
MIDGE_INLINE int32_t byte_of(midge_int32 word, int32_t place)
{
    return (int8_t)((uint32_t)word >> (8 * place) & 0xFFu);
}

void midge_quads_product(const midge_quads_job *job)
{
    const int8_t *x = job->x;
    int8_t *y = job->y;
    for (const midge_int32 *w = job->w; w != job->end; x += 4, y += 4) {
        const midge_int32 *bias = w, *tap = job->taps;
        int32_t sums[4] = {bias[0], bias[1], bias[2], bias[3]};
        w += 4;
        for (int32_t pair = 0; pair < job->pairs; pair++, tap += 2, w += 2)
            for (int32_t i = 0; i < 4; i++)
                sums[i] += x[tap[0] + i] * byte_of(w[i / 2], i & 1)
                           + x[tap[1] + i] * byte_of(w[i / 2], (i & 1) + 2);
        for (int32_t i = 0; job->odd && i < 4; i++)
            sums[i] += x[*tap + i] * byte_of(*w, i);
        w += job->odd;
        for (int32_t i = 0; i < 4; i++) {
            const int32_t scaled = midge_scale(
                sums[i], (int32_t)((uint32_t)w[i] >> 1), -byte_of(w[4], i) - 1);
            y[i] = (int8_t)midge_clamp(scaled + (job->zero - 1) / 2, -128, 127);
        }
        w += 5;
    }
}

void midge_quads_nine_relu(const midge_quads_job *job) { midge_quads_product(job); }

#endif
