/* The innermost loops over weights of 16 bits. */
#include "midge_wide.h"

#include "midge_fixedpoint.h"
#include "midge_paired.h"

#if defined(MIDGE_THUMB_DSP)

/* Units are unrolled, so the first round enters the loop where as many are left as divide the rest:
 * at `1:` and `entry` bytes for each unit that is skipped. All instructions of a unit are 32 bits
 * wide. r0 is x, r1 weights, r2-r5 the sums. */
#define ENTRY(units, unit_bytes)                                                                  \
    "rsb " #units ", " #units ", #0\n"                                                            \
    "and " #units ", " #units ", #3\n"                                                            \
    "mov r11, #" #unit_bytes "\n"                                                                 \
    "adr.w r12, 1f\n"                                                                             \
    "mla " #units ", " #units ", r11, r12\n"                                                      \
    "orr " #units ", " #units ", #1\n" /* Thumb */

#define MAC(sum, x, w) "smlad " #sum ", " #x ", " #w ", " #sum "\n"
#define FOUR_WEIGHTS "ldmia.w r1!, {r10-r12, lr}\n"

/* A sum doubled: the high half of its product with the multiplier, rounded, is TFLite's first
 * rounding; one less where the sum is negative, since the second rounds ties away from zero. */
#define SCALE(sum, multiplier, offset, shift)                                                     \
    "smmlar r0, " #sum ", " #multiplier ", " #offset "\n"                                         \
    "add " #sum ", r0, " #sum ", asr #31\n" SHIFT(sum, shift)
/* That doesn't matter where what is under the zero point becomes it. */
#define SCALE_RELU(sum, multiplier, offset, shift)                                                \
    "smmlar " #sum ", " #sum ", " #multiplier ", " #offset "\n" SHIFT(sum, shift)
#define SHIFT(sum, shift)                                                                         \
    "asr " #sum ", " #sum ", " #shift "\n"                                                        \
    "ssat " #sum ", #8, " #sum ", asr #1\n"
#define STORE(first, second, y)                                                                   \
    "strb " #first ", [" #y "], #1\n"                                                             \
    "strb " #second ", [" #y "], #1\n"

/* A block has each of its two biases three times. Three pixels: sums in r2-r4 and r5-r7. */
#define FIRST3(w) MAC(r2, r8, w) MAC(r3, r9, w) MAC(r4, r10, w)
#define SECOND3(w) MAC(r5, r8, w) MAC(r6, r9, w) MAC(r7, r10, w)
#define INPUTS3 "ldmia.w r0!, {r8-r10}\n"
#define WEIGHTS3 "ldmia.w r1!, {r11, r12, lr}\n"
#define UNIT3 /* 31 instructions */                                                               \
    WEIGHTS3 INPUTS3 FIRST3(r11) SECOND3(r12)                                                     \
    INPUTS3 FIRST3(lr) WEIGHTS3 SECOND3(r11)                                                      \
    INPUTS3 FIRST3(r12) SECOND3(lr)                                                               \
    "ldmia.w r1!, {r11, r12}\n" INPUTS3 FIRST3(r11) SECOND3(r12)
#define FINISH3(SCALE)                                                                            \
    "ldmia.w r1!, {r8-r12, lr}\n"                                                                 \
    SCALE(r2, r8, r9, r10) SCALE(r3, r8, r9, r10) SCALE(r4, r8, r9, r10)                          \
    SCALE(r5, r11, r12, lr) SCALE(r6, r11, r12, lr) SCALE(r7, r11, r12, lr)                       \
    "add r12, sp, #16\n"                                                                          \
    "ldm r12, {r8-r10}\n" STORE(r2, r5, r8) STORE(r3, r6, r9) STORE(r4, r7, r10)                  \
    "stm r12, {r8-r10}\n"

/* Two: in r2, r3 and r5, r6. */
#define HALF_UNIT2                                                                                \
    "ldmia.w r0!, {r4, r7-r9}\n" FOUR_WEIGHTS MAC(r2, r4, r10) MAC(r3, r7, r10) MAC(r5, r4, r11)  \
    MAC(r6, r7, r11) MAC(r2, r8, r12) MAC(r3, r9, r12) MAC(r5, r8, lr) MAC(r6, r9, lr)
#define UNIT2 HALF_UNIT2 HALF_UNIT2 /* 20 instructions */
#define FINISH2(SCALE)                                                                            \
    "ldmia.w r1!, {r4, r7-r11}\n"                                                                 \
    SCALE(r2, r4, r7, r8) SCALE(r3, r4, r7, r8) SCALE(r5, r9, r10, r11) SCALE(r6, r9, r10, r11)   \
    "ldrd r7, r8, [sp, #16]\n" STORE(r2, r5, r7) STORE(r3, r6, r8)                                \
    "strd r7, r8, [sp, #16]\n"

/* One: in r2 and r5. */
#define HALF_UNIT1(x, next)                                                                       \
    FOUR_WEIGHTS MAC(r2, x, r10) MAC(r5, x, r11) MAC(r2, next, r12) MAC(r5, next, lr)
#define UNIT1 "ldmia.w r0!, {r6-r9}\n" HALF_UNIT1(r6, r7) HALF_UNIT1(r8, r9) /* 11 instructions */
#define FINISH1(SCALE)                                                                            \
    "ldmia.w r1!, {r6-r11}\n" SCALE(r2, r6, r7, r8) SCALE(r5, r9, r10, r11)                       \
    "ldr r6, [sp, #16]\n" STORE(r2, r5, r6)                                                       \
    "str r6, [sp, #16]\n"

/* The frame: x, x_end, where the first unit begins, end, y[3]. */
#define PRODUCT(UNIT, unit_bytes, FINISH)                                                         \
    "push {r4-r11, lr}\n"                                                                         \
    "sub sp, #28\n"                                                                               \
    "ldm r0, {r2-r9}\n" ENTRY(r4, unit_bytes)                                                     \
    "stm sp, {r2-r8}\n"                                                                           \
    "mov r1, r9\n"                                                                                \
    "2:\n"                                                                                        \
    "ldmia.w r1!, {r2-r7}\n"                                                                      \
    "ldr r0, [sp]\n"                                                                              \
    "ldr.w pc, [sp, #8]\n"                                                                        \
    ".balign 4\n"                                                                                 \
    "1:\n" UNIT UNIT UNIT UNIT                                                                    \
    "ldr lr, [sp, #4]\n"                                                                          \
    "cmp r0, lr\n"                                                                                \
    "bne.w 1b\n" FINISH                                                                           \
    "ldr r0, [sp, #12]\n"                                                                         \
    "cmp r1, r0\n"                                                                                \
    "bne.w 2b\n"                                                                                  \
    "add sp, #28\n"                                                                               \
    "pop {r4-r11, pc}\n"

__attribute__((naked)) static void product3(const midge_wide_job *job)
{
    (void)job;
    __asm__ volatile(PRODUCT(UNIT3, 124, FINISH3(SCALE)));
}

__attribute__((naked)) static void product3_relu(const midge_wide_job *job)
{
    (void)job;
    __asm__ volatile(PRODUCT(UNIT3, 124, FINISH3(SCALE_RELU)));
}

__attribute__((naked)) static void product2(const midge_wide_job *job)
{
    (void)job;
    __asm__ volatile(PRODUCT(UNIT2, 80, FINISH2(SCALE)));
}

__attribute__((naked)) static void product2_relu(const midge_wide_job *job)
{
    (void)job;
    __asm__ volatile(PRODUCT(UNIT2, 80, FINISH2(SCALE_RELU)));
}

__attribute__((naked)) static void product1(const midge_wide_job *job)
{
    (void)job;
    __asm__ volatile(PRODUCT(UNIT1, 44, FINISH1(SCALE)));
}

void midge_wide_product(const midge_wide_job *job, int32_t pixels, int32_t relu)
{
    if (pixels == 3)
        (relu ? product3_relu : product3)(job);
    else if (pixels == 2)
        (relu ? product2_relu : product2)(job);
    else
        product1(job);
}

/* Sums of four units in r2-r5; four words of inputs in r6-r9. */
#define FOUR_UNITS                                                                                \
    FOUR_WEIGHTS MAC(r2, r6, r10) MAC(r2, r7, r11) MAC(r2, r8, r12) MAC(r2, r9, lr)               \
    FOUR_WEIGHTS MAC(r3, r6, r10) MAC(r3, r7, r11) MAC(r3, r8, r12) MAC(r3, r9, lr)               \
    FOUR_WEIGHTS MAC(r4, r6, r10) MAC(r4, r7, r11) MAC(r4, r8, r12) MAC(r4, r9, lr)               \
    FOUR_WEIGHTS MAC(r5, r6, r10) MAC(r5, r7, r11) MAC(r5, r8, r12) MAC(r5, r9, lr)
#define SCALES "ldmia.w r1!, {r6-r11}\n"
#define WORDS "ldmia.w r0!, {r6-r9}\n" FOUR_UNITS
#define BYTES                                                                                     \
    "ldr r7, [r0], #4\n"                                                                          \
    "ldr r9, [r0], #4\n"                                                                          \
    "sxtb16 r6, r7\n"                                                                             \
    "sxtb16 r7, r7, ror #8\n"                                                                     \
    "sxtb16 r8, r9\n"                                                                             \
    "sxtb16 r9, r9, ror #8\n" FOUR_UNITS

/* The frame: x, x_end, end, y. */
#define VECTOR(INPUTS)                                                                            \
    "push {r4-r11, lr}\n"                                                                         \
    "sub sp, #16\n"                                                                               \
    "ldm r0, {r2-r6}\n"                                                                           \
    "stm sp, {r2-r5}\n"                                                                           \
    "mov r1, r6\n"                                                                                \
    "2:\n"                                                                                        \
    "ldmia.w r1!, {r2-r5}\n"                                                                      \
    "ldr r0, [sp]\n"                                                                              \
    "1:\n" INPUTS INPUTS                                                                          \
    "ldr lr, [sp, #4]\n"                                                                          \
    "cmp r0, lr\n"                                                                                \
    "bne.w 1b\n" SCALES SCALE(r2, r6, r7, r8) SCALE(r3, r9, r10, r11)                             \
    SCALES SCALE(r4, r6, r7, r8) SCALE(r5, r9, r10, r11)                                          \
    "ldr r6, [sp, #12]\n" STORE(r2, r3, r6) STORE(r4, r5, r6)                                     \
    "str r6, [sp, #12]\n"                                                                         \
    "ldr r0, [sp, #8]\n"                                                                          \
    "cmp r1, r0\n"                                                                                \
    "bne.w 2b\n"                                                                                  \
    "add sp, #16\n"                                                                               \
    "pop {r4-r11, pc}\n"

__attribute__((naked)) static void vector_of_words(const midge_wide_vector_job *job)
{
    (void)job;
    __asm__ volatile(VECTOR(WORDS));
}

__attribute__((naked)) static void vector_of_bytes(const midge_wide_vector_job *job)
{
    (void)job;
    __asm__ volatile(VECTOR(BYTES));
}

void midge_wide_vector_product(const midge_wide_vector_job *job)
{
    (job->bytes ? vector_of_bytes : vector_of_words)(job);
}

#else

/* Both products of a word, which wrap at 32 bits with their sum, as the instructions' do. */
MIDGE_INLINE uint32_t product_of(int32_t x_low, int32_t x_high, midge_int32 w)
{
    return (uint32_t)(x_low * (int16_t)(w & 0xFFFF) + x_high * (int16_t)((uint32_t)w >> 16));
}

MIDGE_INLINE uint32_t word_product(midge_int32 x, midge_int32 w)
{
    return product_of((int16_t)(x & 0xFFFF), (int16_t)((uint32_t)x >> 16), w);
}

/* The output of a doubled sum, by a multiplier, an offset and a shift less one. */
static int8_t scaled(uint32_t sum, const midge_int32 *scale)
{
    const int32_t zero = ((scale[1] >> scale[2]) - 1) / 2;
    return (int8_t)midge_clamp(
        midge_scale((int32_t)sum / 2, scale[0], -scale[2] - 1) + zero, -128, 127);
}

void midge_wide_product(const midge_wide_job *job, int32_t pixels, int32_t relu)
{
    const int32_t words = job->units * MIDGE_WIDE_UNIT;
    int32_t filter = 0;
    (void)relu;
    for (const midge_int32 *w = job->w; w != job->end; w += 2 * words + 12, filter += 2)
        for (int32_t pixel = 0; pixel < pixels; pixel++)
            for (int32_t i = 0; i < 2; i++) {
                uint32_t sum = (uint32_t)w[3 * i];
                for (int32_t k = 0; k < words; k++)
                    sum += word_product(job->x[k * pixels + pixel], w[6 + 2 * k + i]);
                job->y[pixel][filter + i] = scaled(sum, w + 6 + 2 * words + 3 * i);
            }
}

void midge_wide_vector_product(const midge_wide_vector_job *job)
{
    const midge_int32 *words = job->x;
    const int8_t *bytes = job->x;
    const ptrdiff_t size = (const int8_t *)job->x_end - bytes;
    const int32_t count = (int32_t)(job->bytes ? size / 2 : size / 4);
    int8_t *y = job->y;
    for (const midge_int32 *w = job->w; w != job->end; w += 4 * count + 16)
        for (int32_t unit = 0; unit < 4; unit++) {
            uint32_t sum = (uint32_t)w[unit];
            for (int32_t k = 0; k < count; k++) {
                const midge_int32 weights = w[4 + k / 4 * 16 + 4 * unit + k % 4];
                const int8_t *x = bytes + k / 2 * 4 + k % 2;
                sum += job->bytes ? product_of(x[0], x[2], weights)
                                  : word_product(words[k], weights);
            }
            *y++ = scaled(sum, w + 4 + 4 * count + 3 * unit);
        }
}

#endif
