/* The innermost loops of int8 convolutions and fully connected layers. */
#include "midge_paired.h"

#include "midge_fixedpoint.h"

midge_int32 *midge_paired_widen(midge_int32 *to, const int8_t *x, int32_t count, int32_t pixels)
{
    return midge_paired_widen_inline(to, x, count, pixels);
}

midge_int32 *midge_paired_fill(midge_int32 *to, int32_t value, int32_t count, int32_t pixels)
{
    const midge_int32 both = midge_pair_of(value, value);
    for (; count > 0; count--, to += pixels)
        *to = both;
    return to;
}

void midge_clamp_bytes(int8_t *y, int32_t count, int32_t least, int32_t greatest)
{
    for (; count > 0; count--, y++)
        *y = (int8_t)midge_clamp(*y, least, greatest);
}

#if defined(MIDGE_THUMB_DSP)

/* The frame: x, x_end, where the first unit begins, zero, end, y[3]. Units are unrolled, so the
 * first round enters the loop where as many are left as divide the rest. All instructions of a
 * unit are 32 bits wide. r0 is x, r1 weights; each function says where the sums are. */
#define BEGIN(unrolled, unit_bytes)                                                               \
    "push {r4-r11, lr}\n"                                                                         \
    "sub sp, #36\n"                                                                               \
    "ldm r0, {r2-r10}\n"                                                                          \
    "rsb r4, r4, #0\n"                                                                            \
    "and r4, r4, #" #unrolled " - 1\n"                                                            \
    "mov r11, #" #unit_bytes "\n"                                                                 \
    "adr.w r12, 1f\n"                                                                             \
    "mla r4, r4, r11, r12\n"                                                                      \
    "orr r4, r4, #1\n" /* Thumb */                                                                \
    "stm sp, {r2-r9}\n"                                                                           \
    "mov r1, r10\n"

#define ENTER                                                                                     \
    "ldrd r0, lr, [sp]\n"                                                                         \
    "ldr.w pc, [sp, #8]\n"                                                                        \
    ".balign 4\n"                                                                                 \
    "1:\n"

#define LOOP                                                                                      \
    "cmp r0, lr\n"                                                                                \
    "bne.w 1b\n"

#define MAC(sum, x, w) "smlad " #sum ", " #x ", " #w ", " #sum "\n"

/* A sum doubled: the high half of its product with the multiplier, rounded, is TFLite's first
 * rounding; one less where the sum is negative, since the second rounds ties away from zero. */
#define SCALE(sum, multiplier, shift)                                                             \
    "smmlar r0, " #sum ", " #multiplier ", r11\n"                                                 \
    "add " #sum ", r0, " #sum ", asr #31\n" SHIFT(sum, shift)
/* That doesn't matter where what is under the zero point becomes it. */
#define SCALE_RELU(sum, multiplier, shift)                                                        \
    "smmlar " #sum ", " #sum ", " #multiplier ", r11\n" SHIFT(sum, shift)
#define SHIFT(sum, shift)                                                                         \
    "asr " #sum ", " #sum ", " #shift "\n"                                                        \
    "ssat " #sum ", #8, " #sum ", asr #1\n"

/* Twice the first filter's sum; of 256 times the second's. */
#define FIRST(SCALE, sum, multiplier, shift)                                                      \
    "lsl " #sum ", " #sum ", #1\n" SCALE(sum, multiplier, shift)
#define SECOND(SCALE, sum, multiplier, shift)                                                     \
    "asr " #sum ", " #sum ", #7\n" SCALE(sum, multiplier, shift)

#define SCALES(first, second, shift)                                                              \
    "ldmia r1!, {" #first ", " #second ", " #shift "}\n"                                          \
    "ldr r12, [sp, #12]\n"                                                                        \
    "lsl r11, r12, " #shift "\n"

#define NEXT_SCALE(shift)                                                                         \
    "lsr " #shift ", " #shift ", #8\n"                                                            \
    "lsl r11, r12, " #shift "\n"

#define STORE(first, second, y)                                                                   \
    "strb " #first ", [" #y "], #1\n"                                                             \
    "strb " #second ", [" #y "], #1\n"

#define END                                                                                       \
    "ldr r0, [sp, #16]\n"                                                                         \
    "cmp r1, r0\n"                                                                                \
    "bne.w 2b\n"                                                                                  \
    "add sp, #36\n"                                                                               \
    "pop {r4-r11, pc}\n"

/* Sums in r2-r4 and r5-r7. */
#define WORD3(w)                                                                                  \
    "ldmia r0!, {r8-r10}\n" MAC(r5, r8, w) MAC(r6, r9, w) MAC(r7, r10, w)                         \
    "sxtb16 " #w ", " #w "\n" MAC(r2, r8, w) MAC(r3, r9, w) MAC(r4, r10, w)
#define HALF_UNIT3 "ldmia r1!, {r11, r12}\n" WORD3(r11) WORD3(r12)
#define UNIT3 HALF_UNIT3 HALF_UNIT3 /* 34 instructions */

#define PRODUCT3(SCALE)                                                                           \
    BEGIN(4, 136)                                                                                 \
    "2:\n"                                                                                        \
    "ldmia r1!, {r2, r5}\n"                                                                       \
    "mov r3, r2\n"                                                                                \
    "mov r4, r2\n"                                                                                \
    "mov r6, r5\n"                                                                                \
    "mov r7, r5\n"                                                                                \
    ENTER UNIT3 UNIT3 UNIT3 UNIT3 LOOP                                                                        \
    "sub r5, r5, r2\n"                                                                            \
    "sub r6, r6, r3\n"                                                                            \
    "sub r7, r7, r4\n"                                                                            \
    SCALES(r8, r9, r10)                                                                           \
    FIRST(SCALE, r2, r8, r10) FIRST(SCALE, r3, r8, r10) FIRST(SCALE, r4, r8, r10)                 \
    NEXT_SCALE(r10)                                                                               \
    SECOND(SCALE, r5, r9, r10) SECOND(SCALE, r6, r9, r10) SECOND(SCALE, r7, r9, r10)              \
    "add r12, sp, #20\n"                                                                          \
    "ldm r12, {r8-r10}\n"                                                                         \
    STORE(r2, r5, r8) STORE(r3, r6, r9) STORE(r4, r7, r10)                                        \
    "stm r12, {r8-r10}\n"                                                                         \
    END

__attribute__((naked)) static void product3(const midge_paired_job *job)
{
    (void)job;
    __asm__ volatile(PRODUCT3(SCALE));
}

__attribute__((naked)) static void product3_relu(const midge_paired_job *job)
{
    (void)job;
    __asm__ volatile(PRODUCT3(SCALE_RELU));
}

/* Sums in r2, r3 and r4, r5. */
#define WORD2(x, y, w)                                                                            \
    MAC(r4, x, w) MAC(r5, y, w) "sxtb16 " #w ", " #w "\n" MAC(r2, x, w) MAC(r3, y, w)
#define HALF_UNIT2                                                                                \
    "ldmia r1!, {r10, r11}\n"                                                                     \
    "ldmia r0!, {r6-r9}\n" WORD2(r6, r7, r10) WORD2(r8, r9, r11)
#define UNIT2 HALF_UNIT2 HALF_UNIT2 /* 24 instructions */

#define PRODUCT2(SCALE)                                                                           \
    BEGIN(4, 96)                                                                                  \
    "2:\n"                                                                                        \
    "ldmia r1!, {r2, r4}\n"                                                                       \
    "mov r3, r2\n"                                                                                \
    "mov r5, r4\n"                                                                                \
    ENTER UNIT2 UNIT2 UNIT2 UNIT2 LOOP                                                                        \
    "sub r4, r4, r2\n"                                                                            \
    "sub r5, r5, r3\n"                                                                            \
    SCALES(r6, r7, r8)                                                                            \
    FIRST(SCALE, r2, r6, r8) FIRST(SCALE, r3, r6, r8)                                             \
    NEXT_SCALE(r8)                                                                                \
    SECOND(SCALE, r4, r7, r8) SECOND(SCALE, r5, r7, r8)                                           \
    "ldrd r6, r7, [sp, #20]\n"                                                                    \
    STORE(r2, r4, r6) STORE(r3, r5, r7)                                                           \
    "strd r6, r7, [sp, #20]\n"                                                                    \
    END

__attribute__((naked)) static void product2(const midge_paired_job *job)
{
    (void)job;
    __asm__ volatile(PRODUCT2(SCALE));
}

__attribute__((naked)) static void product2_relu(const midge_paired_job *job)
{
    (void)job;
    __asm__ volatile(PRODUCT2(SCALE_RELU));
}

/* Sums in r2 and r3. */
#define UNIT1 /* 14 instructions */                                                               \
    "ldmia.w r0!, {r4-r7}\n"                                                                      \
    "ldmia r1!, {r8-r11}\n" MAC(r3, r4, r8) MAC(r3, r5, r9) MAC(r3, r6, r10) MAC(r3, r7, r11)     \
    "sxtb16 r8, r8\n"                                                                             \
    "sxtb16 r9, r9\n"                                                                             \
    "sxtb16 r10, r10\n"                                                                           \
    "sxtb16 r11, r11\n" MAC(r2, r4, r8) MAC(r2, r5, r9) MAC(r2, r6, r10) MAC(r2, r7, r11)

#define PRODUCT1(SCALE)                                                                           \
    BEGIN(8, 56)                                                                                  \
    "2:\n"                                                                                        \
    "ldmia r1!, {r2, r3}\n"                                                                       \
    ENTER UNIT1 UNIT1 UNIT1 UNIT1 UNIT1 UNIT1 UNIT1 UNIT1 LOOP                                                            \
    "sub r3, r3, r2\n"                                                                            \
    SCALES(r4, r5, r6)                                                                            \
    FIRST(SCALE, r2, r4, r6)                                                                      \
    NEXT_SCALE(r6)                                                                                \
    SECOND(SCALE, r3, r5, r6)                                                                     \
    "ldr r4, [sp, #20]\n"                                                                         \
    STORE(r2, r3, r4)                                                                             \
    "str r4, [sp, #20]\n"                                                                         \
    END

__attribute__((naked)) void midge_paired_product1(const midge_paired_job *job)
{
    (void)job;
    __asm__ volatile(PRODUCT1(SCALE));
}

__attribute__((naked)) static void product1_relu(const midge_paired_job *job)
{
    (void)job;
    __asm__ volatile(PRODUCT1(SCALE_RELU));
}

/* Sums in r4, r5 of two filters and r6, r7 of the next two. The frame: x, x_end, where the first
 * inputs begin, zero, end, y. All instructions of a FOUR are 32 bits wide. */
#define FOUR(even, odd)                                                                           \
    "ldmia.w r1!, {r10, r11, r12, lr}\n"                                                          \
    MAC(r5, even, r10) MAC(r5, odd, r11) MAC(r7, even, r12) MAC(r7, odd, lr)                      \
    "sxtb16 r10, r10\n"                                                                           \
    "sxtb16 r11, r11\n"                                                                           \
    "sxtb16 r12, r12\n"                                                                           \
    "sxtb16 lr, lr\n"                                                                             \
    MAC(r4, even, r10) MAC(r4, odd, r11) MAC(r6, even, r12) MAC(r6, odd, lr)
#define EIGHT /* 31 instructions */                                                               \
    "ldmia.w r0!, {r2, r8}\n"                                                                     \
    "sxtb16 r9, r2\n"                                                                             \
    "sxtb16 r2, r2, ror #8\n" FOUR(r9, r2)                                                        \
    "sxtb16 r9, r8\n"                                                                             \
    "sxtb16 r8, r8, ror #8\n" FOUR(r9, r8)

__attribute__((naked)) void midge_paired_bytes_product(const midge_paired_bytes_job *job)
{
    (void)job;
    __asm__ volatile(
        "push {r4-r11, lr}\n"
        "sub sp, #28\n"
        "ldm r0, {r2-r8}\n"
        "adr.w r9, 1f\n"
        "adr.w r10, 3f\n"
        "cmp r4, #0\n"
        "it ne\n"
        "movne r9, r10\n"
        "orr r4, r9, #1\n" /* Thumb */
        "stm sp, {r2-r7}\n"
        "mov r1, r8\n"
        "2:\n"
        "ldmia.w r1!, {r4-r7}\n"
        "ldrd r0, r3, [sp]\n"
        "ldr.w pc, [sp, #8]\n"
        ".balign 4\n"
        "1:\n" EIGHT EIGHT
        "3:\n" EIGHT EIGHT
        "cmp r0, r3\n"
        "bne.w 1b\n"
        "sub r5, r5, r4\n"
        "sub r7, r7, r6\n"
        SCALES(r8, r9, r10)
        FIRST(SCALE, r4, r8, r10)
        NEXT_SCALE(r10)
        SECOND(SCALE, r5, r9, r10)
        SCALES(r8, r9, r10)
        FIRST(SCALE, r6, r8, r10)
        NEXT_SCALE(r10)
        SECOND(SCALE, r7, r9, r10)
        "ldrd r9, r8, [sp, #16]\n" /* end, y */
        STORE(r4, r5, r8) STORE(r6, r7, r8)
        "str r8, [sp, #20]\n"
        "cmp r1, r9\n"
        "bne.w 2b\n"
        "add sp, #28\n"
        "pop {r4-r11, pc}\n");
}

midge_paired_function *const midge_paired_plain[MIDGE_PAIRED_PIXELS] = {
    midge_paired_product1, product2, product3};
midge_paired_function *const midge_paired_relu[MIDGE_PAIRED_PIXELS] = {
    product1_relu, product2_relu, product3_relu};

#else

/* The two inputs or weights of a word. */
MIDGE_INLINE int32_t low(midge_int32 word)
{
    return (int16_t)(word & 0xFFFF);
}

MIDGE_INLINE int32_t high(midge_int32 word)
{
    return (int16_t)((uint32_t)word >> 16);
}

static int8_t scaled(int32_t zero, int32_t sum, int32_t multiplier, int32_t shift)
{
    return (int8_t)midge_clamp(
        midge_scale(sum, multiplier, -shift - 1) + (zero - 1) / 2, -128, 127);
}

/* Sums wrap at 32 bits, as the instructions' do; what is left of them at the end fits. */
MIDGE_INLINE void product(const midge_paired_job *job, int32_t pixels)
{
    const int32_t words = job->units * MIDGE_PAIRED_UNIT;
    int32_t filter = 0;
    for (const midge_int32 *w = job->w; w != job->end; w += words + 5, filter += 2)
        for (int32_t pixel = 0; pixel < pixels; pixel++) {
            const midge_int32 *x = job->x + pixel;
            const midge_int32 *scale = w + 2 + words;
            uint32_t first = (uint32_t)w[0], both = (uint32_t)w[1];
            for (int32_t i = 0; i < words; i++, x += pixels) {
                const midge_int32 weights = w[2 + i];
                both += (uint32_t)(low(*x) * low(weights) + high(*x) * high(weights));
                first += (uint32_t)(low(*x) * (int8_t)low(weights)
                                    + high(*x) * (int8_t)high(weights));
            }
            int8_t *y = job->y[pixel] + filter;
            y[0] = scaled(job->zero, (int32_t)first, scale[0], scale[2] & 0xFF);
            y[1] = scaled(job->zero, (int32_t)(both - first) / 256, scale[1], scale[2] >> 8);
        }
}

void midge_paired_product1(const midge_paired_job *job) { product(job, 1); }

static void product2(const midge_paired_job *job) { product(job, 2); }

static void product3(const midge_paired_job *job) { product(job, 3); }

midge_paired_function *const midge_paired_plain[MIDGE_PAIRED_PIXELS] = {
    midge_paired_product1, product2, product3};
midge_paired_function *const midge_paired_relu[MIDGE_PAIRED_PIXELS] = {
    midge_paired_product1, product2, product3};

void midge_paired_bytes_product(const midge_paired_bytes_job *job)
{
    int8_t *y = job->y;
    for (const midge_int32 *w = job->w; w != job->end; y += 4) {
        uint32_t sums[4] = {(uint32_t)w[0], (uint32_t)w[1], (uint32_t)w[2], (uint32_t)w[3]};
        w += 4;
        for (const int8_t *x = job->x; x != job->x_end; x += 4)
            for (int32_t i = 0; i < 4; i++, w++) { /* of two filters, bytes 0 and 2, 1 and 3 */
                const int8_t *const two = x + i % 2;
                uint32_t *const first = sums + i / 2 * 2;
                first[0] += (uint32_t)(two[0] * (int8_t)low(*w) + two[2] * (int8_t)high(*w));
                first[1] += (uint32_t)(two[0] * low(*w) + two[2] * high(*w));
            }
        for (int32_t i = 0; i < 4; i += 2, w += 3) {
            const int32_t second = (int32_t)(sums[i + 1] - sums[i]) / 256;
            y[i] = scaled(job->zero, (int32_t)sums[i], w[0], w[2] & 0xFF);
            y[i + 1] = scaled(job->zero, second, w[1], w[2] >> 8);
        }
    }
}

#endif
