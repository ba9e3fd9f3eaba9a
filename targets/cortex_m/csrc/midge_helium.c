/* See midge_helium.h. */
#include "midge_helium.h"

#include "midge_fixedpoint.h"

void midge_helium_places(midge_helium_job *job, int32_t pixel)
{
    for (int32_t i = 0; i < 8; i++)
        job->places[i] = (uint16_t)((i >> 1) + (i & 1) * pixel);
}

/* Bits of y's bytes: `channels` of four, one pixel or two. */
static uint32_t mask_of(int32_t channels, int32_t pixels)
{
    const uint32_t of_pixels = pixels == 2 ? 0xFFFFu : 0x3333u;
    return channels >= MIDGE_CHANNELS ? of_pixels : of_pixels & ((1u << (4 * channels)) - 1u);
}

void midge_helium_run(
    midge_helium_job *job, midge_helium_loop *run, int32_t channels, int32_t count,
    int32_t block_bytes, int32_t block_step)
{
    const int32_t whole = channels / MIDGE_CHANNELS, left = channels % MIDGE_CHANNELS;
    job->pairs = (count + 1) / 2;
    if (whole > 0) {
        job->block_count = whole;
        job->mask = mask_of(MIDGE_CHANNELS, 2);
        job->last_mask = mask_of(MIDGE_CHANNELS, 2 - (count & 1));
        run(job);
    }
    if (left > 0) {
        job->blocks += whole * block_bytes;
        job->x += whole * block_step;
        job->y += whole * MIDGE_CHANNELS;
        job->block_count = 1;
        job->mask = mask_of(left, 2);
        job->last_mask = mask_of(left, 2 - (count & 1));
        run(job);
    }
}

#if defined(__ARM_FEATURE_MVE)
/* Offsets in a job on the stack. */
#define SLOT "0"
#define MORE_STEPS "4"
#define BLOCKS "8"
#define Y_STEP "12"
#define ZERO "16"
#define X "20"
#define Y "24"
#define PAIRS "28"
#define BLOCK_COUNT "32"
#define MASK "36"
#define PLACES "40"
#define LEAST "56"
#define GREATEST "60"
#define LAST_MASK "64"

/* The sums of the first pixel are r0, r2, r4, r6, those of the second r8, r10, r12, lr. */
#define ENTER                                                                                     \
    "push {r4-r11, lr}\n\t"                                                                       \
    "vpush {d8-d15}\n\t"                                                                          \
    "sub sp, sp, #68\n\t"                                                                         \
    "ldm r0!, {r1-r8}\n\t"                                                                        \
    "stm sp, {r1-r8}\n\t"                                                                         \
    "ldm r0, {r1-r9}\n\t"                                                                        \
    "add r12, sp, #32\n\t"                                                                        \
    "stm r12, {r1-r9}\n\t"
#define LEAVE                                                                                     \
    "add sp, sp, #68\n\t"                                                                         \
    "vpop {d8-d15}\n\t"                                                                           \
    "pop {r4-r11, pc}\n\t"

/* Constants of a block: q3 biases, q4 multipliers, q5 shifts; r3 its weights, which are kept. */
#define ENTER_BLOCK                                                                               \
    "ldr r3, [sp, #" BLOCKS "]\n\t"                                                               \
    "vldrw.u32 q3, [r3], #16\n\t"                                                                 \
    "vldrw.u32 q4, [r3], #16\n\t"                                                                 \
    "vldrw.u32 q5, [r3], #16\n\t"                                                                 \
    "str r3, [sp, #" BLOCKS "]\n\t"                                                               \
    "ldr r1, [sp, #" X "]\n\t"                                                                    \
    "ldr r5, [sp, #" Y "]\n\t"                                                                    \
    "ldr r7, [sp, #" PAIRS "]\n\t"                                                                \
    "ldr r0, [sp, #" MASK "]\n\t"                                                                 \
    "subs r7, r7, #1\n\t"                                                                         \
    "it eq\n\t"                                                                                   \
    "ldreq r0, [sp, #" LAST_MASK "]\n\t"                                                          \
    "vmsr p0, r0\n\t"
/* On to the next pair; the last has a mask of its own. r7 is one less than the pairs to come. */
#define NEXT_PAIR(advance, again, last)                                                           \
    advance                                                                                       \
    "subs r7, r7, #1\n\t"                                                                         \
    "bgt " again "b\n\t"                                                                          \
    "blt " last "f\n\t"                                                                           \
    "ldr r11, [sp, #" LAST_MASK "]\n\t"                                                           \
    "vmsr p0, r11\n\t"                                                                            \
    "b " again "b\n\t"                                                                            \
    last ":\n\t"
/* r3 is where the next block begins. */
#define LEAVE_BLOCK(again)                                                                        \
    "str r3, [sp, #" BLOCKS "]\n\t"                                                               \
    "ldr r5, [sp, #" Y "]\n\t"                                                                    \
    "add r5, r5, #4\n\t"                                                                          \
    "str r5, [sp, #" Y "]\n\t"                                                                    \
    "ldr r11, [sp, #" BLOCK_COUNT "]\n\t"                                                         \
    "subs r11, r11, #1\n\t"                                                                       \
    "str r11, [sp, #" BLOCK_COUNT "]\n\t"                                                         \
    "bne " again "b\n\t"

/* Sums to vectors: q0 the first pixel, q1 the second. */
#define COLLECT                                                                                   \
    "vmov q0[2], q0[0], r0, r4\n\t"                                                               \
    "vmov q0[3], q0[1], r2, r6\n\t"                                                               \
    "vmov q1[2], q1[0], r8, r12\n\t"                                                              \
    "vmov q1[3], q1[1], r10, lr\n\t"
#define MULTIPLY                                                                                  \
    COLLECT                                                                                       \
    "vadd.i32 q0, q0, q3\n\t"                                                                     \
    "vadd.i32 q1, q1, q3\n\t"                                                                     \
    "vqrdmulh.s32 q0, q0, q4\n\t"                                                                 \
    "vqrdmulh.s32 q1, q1, q4\n\t"
#define SHIFT                                                                                     \
    "vrshl.s32 q0, q0, q5\n\t"                                                                    \
    "vrshl.s32 q1, q1, q5\n\t"

/* To outputs, `t` free. A rounding shift rounds half upwards: a negative number less one, unless
 * the shift is 0, rounds half away from zero. */
#define REQUANTIZE(t)                                                                             \
    MULTIPLY                                                                                      \
    "ldr r11, [sp, #" ZERO "]\n\t"                                                                \
    "vand " t ", q0, q5\n\t"                                                                      \
    "vshr.s32 " t ", " t ", #31\n\t"                                                              \
    "vadd.i32 q0, q0, " t "\n\t"                                                                  \
    "vand " t ", q1, q5\n\t"                                                                      \
    "vshr.s32 " t ", " t ", #31\n\t"                                                              \
    "vadd.i32 q1, q1, " t "\n\t"                                                                  \
    SHIFT                                                                                         \
    "vadd.i32 q0, q0, r11\n\t"                                                                    \
    "vadd.i32 q1, q1, r11\n\t"                                                                    \
    "vqmovnb.s32 q0, q0\n\t"                                                                      \
    "vqmovnt.s32 q0, q1\n\t"                                                                      \
    "vqmovnb.s16 q0, q0\n\t"
/* Negative numbers become 0, so it doesn't matter how they are rounded. */
#define RECTIFY                                                                                   \
    MULTIPLY                                                                                      \
    SHIFT                                                                                         \
    "vqmovunb.s32 q0, q0\n\t"                                                                     \
    "vqmovunt.s32 q0, q1\n\t"                                                                     \
    "vqmovnb.u16 q0, q0\n\t"

#define LOAD_PLACES(q) "vldrw.u32 " q ", [sp, #" PLACES "]\n\t"
#define STORE(places)                                                                             \
    "ldr r11, [sp, #" Y_STEP "]\n\t"                                                              \
    "vpst\n\t"                                                                                    \
    "vstrbt.16 q0, [r5, " places "]\n\t"                                                               \
    "add r5, r5, r11\n\t"

#define ADD_STEP(multiply)                                                                        \
    "vldrb.u8 q1, [r9], #16\n\t"                                                                  \
    "vldrb.u8 q0, [r1], #16\n\t"                                                                  \
    "vldrb.u8 q2, [r3, #16]\n\t" multiply " r2, q0, q2\n\t" multiply " r10, q1, q2\n\t"           \
    "vldrb.u8 q2, [r3, #32]\n\t" multiply " r4, q0, q2\n\t" multiply " r12, q1, q2\n\t"           \
    "vldrb.u8 q2, [r3, #48]\n\t" multiply " r6, q0, q2\n\t" multiply " lr, q1, q2\n\t"            \
    "vldrb.u8 q2, [r3], #64\n\t" multiply " r0, q0, q2\n\t" multiply " r8, q1, q2\n\t"

/* The steps after the first are taken in twos, after one if their number is odd. */
#define PRODUCTS(set_up, requantize, store)                                                              \
    ENTER                                                                                         \
    set_up                                                                                        \
    "1:\n\t"                                                                                      \
    ENTER_BLOCK                                                                                   \
    "ldr r11, [sp, #" SLOT "]\n\t"                                                                \
    "add r9, r1, r11\n\t"                                                                         \
    "2:\n\t"                                                                                      \
    ADD_STEP("vmladav.s8")                                                                        \
    "ldr r11, [sp, #" MORE_STEPS "]\n\t"                                                          \
    "lsrs r11, r11, #1\n\t"                                                                       \
    "bcc 3f\n\t"                                                                                  \
    ADD_STEP("vmladava.s8")                                                                       \
    "3:\n\t"                                                                                      \
    "beq 5f\n\t"                                                                                  \
    "4:\n\t"                                                                                      \
    ADD_STEP("vmladava.s8")                                                                       \
    ADD_STEP("vmladava.s8")                                                                       \
    "subs r11, r11, #1\n\t"                                                                       \
    "bne 4b\n\t"                                                                                  \
    "5:\n\t"                                                                                      \
    requantize                                                                                    \
    store                                                                                   \
    NEXT_PAIR(                                                                                    \
        "ldr r11, [sp, #" SLOT "]\n\t"                                                            \
        "ldr r3, [sp, #" BLOCKS "]\n\t"                                                           \
        "mov r1, r9\n\t"                                                                          \
        "add r9, r9, r11\n\t",                                                                    \
        "2", "6")                                                                                 \
    "ldr r11, [sp, #" MORE_STEPS "]\n\t"                                                          \
    "add r11, r11, #1\n\t"                                                                        \
    "add r3, r3, r11, lsl #6\n\t"                                                                 \
    LEAVE_BLOCK("1")                                                                              \
    LEAVE

__attribute__((naked)) void midge_helium_products(const midge_helium_job *job)
{
    (void)job;
    __asm__ volatile(PRODUCTS(
        "ldr r0, [sp, #" LEAST "]\n\t"
        "vdup.8 q6, r0\n\t"
        "ldr r0, [sp, #" GREATEST "]\n\t"
        "vdup.8 q7, r0\n\t",
        REQUANTIZE("q2")
        "vmax.s8 q0, q0, q6\n\t"
        "vmin.s8 q0, q0, q7\n\t",
        LOAD_PLACES("q2") STORE("q2")));
}

__attribute__((naked)) void midge_helium_products_rectified(const midge_helium_job *job)
{
    (void)job;
    __asm__ volatile(PRODUCTS(
        "vmov.i8 q7, #0x80\n\t" LOAD_PLACES("q6"), RECTIFY "veor q0, q0, q7\n\t", STORE("q6")));
}

#define ADD_UNIT(multiply, c, sum) "vldrw.u32 q1, [r3, #16*" c "]\n\t" multiply " " sum ", q0, q1\n\t"
#define ADD_UNITS(multiply)                                                                       \
    "vldrb.u8 q0, [r1], #16\n\t"                                                                  \
    ADD_UNIT(multiply, "1", "r2") ADD_UNIT(multiply, "2", "r4") ADD_UNIT(multiply, "3", "r6")     \
    ADD_UNIT(multiply, "4", "r8") ADD_UNIT(multiply, "5", "r10") ADD_UNIT(multiply, "6", "r12")   \
    ADD_UNIT(multiply, "7", "lr")                                                                 \
    "vldrw.u32 q1, [r3], #128\n\t" multiply " r0, q0, q1\n\t"

/* As REQUANTIZE; the second four units have constants of their own, which r9 points to. */
#define REQUANTIZE_UNITS(q, t, number)                                                            \
    "vldrw.u32 " t ", [r9, #16*" number "]\n\t"                                                   \
    "vadd.i32 " q ", " q ", " t "\n\t"                                                            \
    "vldrw.u32 " t ", [r9, #16*" number "+32]\n\t"                                                \
    "vqrdmulh.s32 " q ", " q ", " t "\n\t"                                                        \
    "vldrw.u32 " t ", [r9, #16*" number "+64]\n\t"                                                \
    "vand q3, " q ", " t "\n\t"                                                                   \
    "vshr.s32 q3, q3, #31\n\t"                                                                    \
    "vadd.i32 " q ", " q ", q3\n\t"                                                               \
    "vrshl.s32 " q ", " q ", " t "\n\t"                                                           \
    "vadd.i32 " q ", " q ", r11\n\t"

__attribute__((naked)) void midge_helium_units(const midge_helium_job *job)
{
    (void)job;
    __asm__ volatile(
        ENTER
        "ldr r0, [sp, #" LEAST "]\n\t"
        "vdup.8 q6, r0\n\t"
        "ldr r0, [sp, #" GREATEST "]\n\t"
        "vdup.8 q7, r0\n\t"
        "vldrw.u32 q5, [sp, #" PLACES "]\n\t"
        "ldr r9, [sp, #" BLOCKS "]\n\t"
        "ldr r5, [sp, #" Y "]\n\t"
        "ldr r7, [sp, #" BLOCK_COUNT "]\n\t"
        "ldr r0, [sp, #" MASK "]\n\t"
        "vmsr p0, r0\n\t"
        "1:\n\t"
        "add r3, r9, #96\n\t"
        "ldr r1, [sp, #" X "]\n\t"
        ADD_UNITS("vmladav.s8")
        "ldr r11, [sp, #" MORE_STEPS "]\n\t"
        "lsrs r11, r11, #1\n\t"
        "bcc 4f\n\t"
        ADD_UNITS("vmladava.s8")
        "4:\n\t"
        "beq 3f\n\t"
        "2:\n\t"
        ADD_UNITS("vmladava.s8")
        ADD_UNITS("vmladava.s8")
        "subs r11, r11, #1\n\t"
        "bne 2b\n\t"
        "3:\n\t"
        "ldr r11, [sp, #" ZERO "]\n\t"
        COLLECT
        REQUANTIZE_UNITS("q0", "q2", "0")
        REQUANTIZE_UNITS("q1", "q2", "1")
        "vqmovnb.s32 q0, q0\n\t"
        "vqmovnt.s32 q0, q1\n\t"
        "vqmovnb.s16 q0, q0\n\t"
        "vmax.s8 q0, q0, q6\n\t"
        "vmin.s8 q0, q0, q7\n\t"
        "vpst\n\t"
        "vstrbt.16 q0, [r5, q5]\n\t"
        "add r5, r5, #8\n\t"
        "mov r9, r3\n\t"
        "subs r7, r7, #1\n\t"
        "bne 1b\n\t"
        LEAVE);
}

static const uint32_t columns[4] = {0, MIDGE_COLUMN, 2 * MIDGE_COLUMN, 3 * MIDGE_COLUMN};

/* A channel of two pixels one column apart: the same four columns, other weights. */
#define ADD_CHANNEL(c, a, b)                                                                      \
    "vldrw.u32 q0, [q7, #4*" c "]\n\t"                                                            \
    "vldrb.u8 q1, [r3, #16*" c "+4]\n\t"                                                          \
    "vldrb.u8 q2, [r3, #16*" c "]\n\t"                                                            \
    "vmladav.s8 " a ", q0, q1\n\t"                                                                \
    "vmladav.s8 " b ", q0, q2\n\t"
/* Of two pixels two columns apart. */
#define ADD_CHANNEL_STRIDE2(c, a, b)                                                              \
    "vldrb.u8 q1, [r3, #16*" c "+4]\n\t"                                                          \
    "vldrw.u32 q0, [q7, #4*" c "]\n\t"                                                            \
    "vldrw.u32 q2, [q7, #4*" c "+128]\n\t"                                                        \
    "vmladav.s8 " a ", q0, q1\n\t"                                                                \
    "vmladav.s8 " b ", q2, q1\n\t"

/* Of two pixels one column apart, and every fourth column. */
static const uint32_t rows[4] = {0, 4 * MIDGE_COLUMN, 8 * MIDGE_COLUMN, 12 * MIDGE_COLUMN};
#define ADD_CHANNEL_ROWS(c, a, b)                                                                 \
    "vldrb.u8 q1, [r3, #16*" c "]\n\t"                                                            \
    "vldrw.u32 q0, [q7, #4*" c "]\n\t"                                                            \
    "vldrw.u32 q2, [q7, #4*" c "+64]\n\t"                                                         \
    "vmladav.s8 " a ", q0, q1\n\t"                                                                \
    "vmladav.s8 " b ", q2, q1\n\t"

/* q7 has the addresses of four columns of the block's first channel. */
#define WINDOWS(channel, advance, weights, requantize, store)                                                     \
    ENTER                                                                                         \
    "1:\n\t"                                                                                      \
    ENTER_BLOCK                                                                                   \
    LOAD_PLACES("q6")                                                                             \
    "movw r11, #:lower16:%c0\n\t"                                                                 \
    "movt r11, #:upper16:%c0\n\t"                                                                 \
    "vldrw.u32 q7, [r11]\n\t"                                                                     \
    "vadd.i32 q7, q7, r1\n\t"                                                                     \
    "add r1, r1, #16\n\t"                                                                         \
    "str r1, [sp, #" X "]\n\t"                                                                    \
    "mov r9, #" advance "\n\t"                                                                    \
    "2:\n\t"                                                                                      \
    channel("0", "r0", "r8") channel("1", "r2", "r10")                                            \
    channel("2", "r4", "r12") channel("3", "r6", "lr")                                            \
    requantize                                                                                    \
    store                                                                                   \
    NEXT_PAIR("vadd.i32 q7, q7, r9\n\t", "2", "6")                                                \
    "add r3, r3, #" weights "\n\t"                                                                         \
    LEAVE_BLOCK("1")                                                                              \
    LEAVE
#define CLAMPED                                                                                   \
    REQUANTIZE("q6")                                                                              \
    "ldr r11, [sp, #" LEAST "]\n\t"                                                               \
    "vdup.8 q1, r11\n\t"                                                                          \
    "ldr r11, [sp, #" GREATEST "]\n\t"                                                            \
    "vdup.8 q2, r11\n\t"                                                                          \
    "vmax.s8 q0, q0, q1\n\t"                                                                      \
    "vmin.s8 q0, q0, q2\n\t"
#define RECTIFIED                                                                                 \
    RECTIFY                                                                                       \
    "vmov.i8 q1, #0x80\n\t"                                                                       \
    "veor q0, q0, q1\n\t"

__attribute__((naked)) void midge_helium_windows(const midge_helium_job *job)
{
    (void)job;
    __asm__ volatile(WINDOWS(ADD_CHANNEL, "128", "80", CLAMPED, LOAD_PLACES("q1") STORE("q1")) : : "i"(columns));
}

__attribute__((naked)) void midge_helium_windows_rectified(const midge_helium_job *job)
{
    (void)job;
    __asm__ volatile(WINDOWS(ADD_CHANNEL, "128", "80", RECTIFIED, STORE("q6")) : : "i"(columns));
}

__attribute__((naked)) void midge_helium_windows_stride2(const midge_helium_job *job)
{
    (void)job;
    __asm__ volatile(WINDOWS(ADD_CHANNEL_STRIDE2, "256", "80", CLAMPED, LOAD_PLACES("q1") STORE("q1")) : : "i"(columns));
}

__attribute__((naked)) void midge_helium_windows_stride2_rectified(const midge_helium_job *job)
{
    (void)job;
    __asm__ volatile(WINDOWS(ADD_CHANNEL_STRIDE2, "256", "80", RECTIFIED, STORE("q6")) : : "i"(columns));
}

__attribute__((naked)) void midge_helium_rows(const midge_helium_job *job)
{
    (void)job;
    __asm__ volatile(WINDOWS(ADD_CHANNEL_ROWS, "128", "64", CLAMPED, LOAD_PLACES("q1") STORE("q1")) : : "i"(rows));
}

__attribute__((naked)) void midge_helium_rows_rectified(const midge_helium_job *job)
{
    (void)job;
    __asm__ volatile(WINDOWS(ADD_CHANNEL_ROWS, "128", "64", RECTIFIED, STORE("q6")) : : "i"(rows));
}

#else

/* Eight sums to outputs: four channels of two pixels, or eight channels. */
static void make_outputs(
    const midge_helium_job *job, int8_t *y, const int8_t *block, const int32_t *sums,
    int32_t channels, uint32_t mask)
{
    const midge_int32 *constants = midge_int32_at(block, 0);
    for (int32_t i = 0; i < 8; i++) {
        const int32_t number = (i & 1) * 4 + (i >> 1), channel = number % channels;
        const int32_t sum = (int32_t)((uint32_t)sums[number] + (uint32_t)constants[channel]);
        const int32_t scaled =
            midge_scale(sum, constants[channels + channel], constants[2 * channels + channel]);
        if ((mask >> (2 * i) & 1) != 0)
            y[job->places[i]] =
                (int8_t)midge_clamp(scaled + job->zero, job->least, job->greatest);
    }
}

void midge_helium_products(const midge_helium_job *job)
{
    const int32_t steps = job->more_steps + 1;
    const int8_t *block = job->blocks;
    for (int32_t b = 0; b < job->block_count; b++, block += 48 + 64 * steps) {
        const int8_t *x = job->x;
        int8_t *y = job->y + MIDGE_CHANNELS * b;
        for (int32_t pair = 0; pair < job->pairs; pair++, x += 2 * job->slot, y += job->y_step) {
            int32_t sums[8] = {0};
            for (int32_t i = 0; i < 8; i++)
                for (int32_t k = 0; k < steps * MIDGE_STEP; k++)
                    sums[i] += x[(i >> 2) * job->slot + k] *
                               block[48 + (k & ~15) * 4 + (i & 3) * 16 + (k & 15)];
            make_outputs(
                job, y, block, sums, MIDGE_CHANNELS,
                pair + 1 < job->pairs ? job->mask : job->last_mask);
        }
    }
}

void midge_helium_products_rectified(const midge_helium_job *job) { midge_helium_products(job); }

void midge_helium_units(const midge_helium_job *job)
{
    const int32_t steps = job->more_steps + 1;
    const int8_t *block = job->blocks;
    for (int32_t b = 0; b < job->block_count; b++, block += 96 + 128 * steps) {
        int32_t sums[8] = {0};
        for (int32_t i = 0; i < 8; i++)
            for (int32_t k = 0; k < steps * MIDGE_STEP; k++)
                sums[i] += job->x[k] * block[96 + (k & ~15) * 8 + i * 16 + (k & 15)];
        make_outputs(job, job->y + 8 * b, block, sums, 8, job->mask);
    }
}

/* What the windows of a loop look like: the distance of two pixels and of two columns of a window,
 * in columns, where the weights of a channel begin, and how many there are. */
typedef struct {
    int32_t stride, apart, first, taps, block_bytes;
} window_shape;

static void windows(const midge_helium_job *job, window_shape s)
{
    const int8_t *block = job->blocks;
    for (int32_t b = 0; b < job->block_count; b++, block += s.block_bytes) {
        const int8_t *x = job->x + 16 * b;
        int8_t *y = job->y + MIDGE_CHANNELS * b;
        for (int32_t pair = 0; pair < job->pairs; pair++, y += job->y_step) {
            int32_t sums[8] = {0};
            for (int32_t i = 0; i < 8; i++)
                for (int32_t k = 0; k < s.taps; k++)
                    sums[i] += x[((i >> 2) * s.stride + (k >> 2) * s.apart) * MIDGE_COLUMN +
                                 4 * (i & 3) + (k & 3)] *
                               block[48 + 16 * (i & 3) + s.first + k];
            make_outputs(
                job, y, block, sums, MIDGE_CHANNELS,
                pair + 1 < job->pairs ? job->mask : job->last_mask);
            x += 2 * s.stride * MIDGE_COLUMN;
        }
    }
}

static const window_shape stride1 = {1, 1, 4, 12, 128}, stride2 = {2, 1, 4, 12, 128},
                          in_rows = {1, 4, 0, 16, 112};

void midge_helium_windows(const midge_helium_job *job) { windows(job, stride1); }

void midge_helium_windows_rectified(const midge_helium_job *job) { windows(job, stride1); }

void midge_helium_windows_stride2(const midge_helium_job *job) { windows(job, stride2); }

void midge_helium_windows_stride2_rectified(const midge_helium_job *job) { windows(job, stride2); }

void midge_helium_rows(const midge_helium_job *job) { windows(job, in_rows); }

void midge_helium_rows_rectified(const midge_helium_job *job) { windows(job, in_rows); }

#endif
