/* See midge_helium_bits.h. */
#include "midge_helium_bits.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>

#define ONES_2(n) (n), (n) + 1, (n) + 1, (n) + 2
#define ONES_4(n) ONES_2(n), ONES_2((n) + 1), ONES_2((n) + 1), ONES_2((n) + 2)
#define ONES_6(n) ONES_4(n), ONES_4((n) + 1), ONES_4((n) + 1), ONES_4((n) + 2)

/* Bits that are 1 in a byte. */
static const uint8_t ones[256] = {ONES_6(0), ONES_6(1), ONES_6(1), ONES_6(2)};

void midge_helium_bits_fold(midge_uint32 *x, int32_t triples)
{
    for (; triples > 0; triples--, x += MIDGE_BITS_TRIPLE * MIDGE_BITS_WORDS) {
        const uint32x4_t a = vldrwq_u32(x), b = vldrwq_u32(x + 4), c = vldrwq_u32(x + 8);
        const uint32x4_t p = veorq_u32(a, b);
        vstrwq_u32(x, veorq_u32(p, c));
        vstrwq_u32(x + 4, p);
        vstrwq_u32(x + 8, veorq_u32(a, c));
    }
}

int32_t midge_helium_bits_ones(const midge_uint32 *x, int32_t vectors)
{
    uint32_t total = 0;
    for (; vectors > 0; vectors--, x += MIDGE_BITS_WORDS)
        total = vaddvaq_u8(
            total, vldrbq_gather_offset_u8(ones, vreinterpretq_u8_u32(vldrwq_u32(x))));
    return (int32_t)total;
}

/* Offsets on the stack. */
#define X "0"
#define TRIPLES "4"
#define REST "8"
#define BLOCKS "12"

#define ENTER                                                                                     \
    "push {r4-r11, lr}\n\t"                                                                       \
    "vpush {d8-d15}\n\t"                                                                          \
    "sub sp, sp, #20\n\t"                                                                         \
    "str r1, [sp, #" X "]\n\t"                                                                    \
    "ldm r3, {r4, r5, r6}\n\t"                                                                    \
    "add r7, sp, #" TRIPLES "\n\t"                                                                \
    "stm r7, {r4, r5, r6}\n\t"                                                                    \
    "mov r3, r2\n\t"                                                                              \
    "mov r9, r0\n\t"                                                                              \
    "movw r5, #:lower16:%c0\n\t"                                                                  \
    "movt r5, #:upper16:%c0\n\t"                                                                  \
    "vmov.i8 q7, #2\n\t"
#define LEAVE                                                                                     \
    "add sp, sp, #20\n\t"                                                                         \
    "vpop {d8-d15}\n\t"                                                                           \
    "pop {r4-r11, pc}\n\t"

/* A filter's three vectors against those of x in q0 to q2. */
#define ADD_TRIPLE(at, sum)                                                                       \
    "vldrw.u32 q3, [r3, #48*" at "]\n\t"                                                          \
    "vldrw.u32 q4, [r3, #48*" at "+16]\n\t"                                                       \
    "vldrw.u32 q5, [r3, #48*" at "+32]\n\t"                                                       \
    "veor q3, q3, q0\n\t"                                                                         \
    "veor q4, q4, q1\n\t"                                                                         \
    "veor q5, q5, q2\n\t"                                                                         \
    "vldrb.u8 q6, [r5, q3]\n\t"                                                                   \
    "vorr q4, q4, q5\n\t"                                                                         \
    "veor q4, q4, q3\n\t"                                                                         \
    "vaddva.u8 " sum ", q6\n\t"                                                                   \
    "vldrb.u8 q5, [r5, q4]\n\t"                                                                   \
    "vmladava.u8 " sum ", q5, q7\n\t"
#define ADD_VECTOR(at, sum)                                                                       \
    "vldrw.u32 q3, [r3, #16*" at "]\n\t"                                                          \
    "veor q3, q3, q0\n\t"                                                                         \
    "vldrb.u8 q6, [r5, q3]\n\t"                                                                   \
    "vaddva.u8 " sum ", q6\n\t"
#define EIGHT(add)                                                                                \
    add("0", "r0") add("1", "r2") add("2", "r4") add("3", "r6")                                   \
    add("4", "r8") add("5", "r10") add("6", "r12") add("7", "lr")

/* Blocks, whose counts are in the even registers from r0 to lr. */
#define COUNTED(begin, end)                                                                       \
    ENTER                                                                                         \
    "1:\n\t"                                                                                      \
    begin                                                                                         \
    "ldrd r1, r7, [sp, #" X "]\n\t"                                                               \
    "cmp r7, #0\n\t"                                                                              \
    "beq 3f\n\t"                                                                                  \
    "2:\n\t"                                                                                      \
    "vldrw.u32 q0, [r1], #16\n\t"                                                                 \
    "vldrw.u32 q1, [r1], #16\n\t"                                                                 \
    "vldrw.u32 q2, [r1], #16\n\t"                                                                 \
    EIGHT(ADD_TRIPLE)                                                                             \
    "add r3, r3, #384\n\t"                                                                        \
    "subs r7, r7, #1\n\t"                                                                         \
    "bne 2b\n\t"                                                                                  \
    "3:\n\t"                                                                                      \
    "ldr r7, [sp, #" REST "]\n\t"                                                                 \
    "cmp r7, #0\n\t"                                                                              \
    "beq 5f\n\t"                                                                                  \
    "4:\n\t"                                                                                      \
    "vldrw.u32 q0, [r1], #16\n\t"                                                                 \
    EIGHT(ADD_VECTOR)                                                                             \
    "add r3, r3, #128\n\t"                                                                        \
    "subs r7, r7, #1\n\t"                                                                         \
    "bne 4b\n\t"                                                                                  \
    "5:\n\t"                                                                                      \
    end                                                                                           \
    "ldr r11, [sp, #" BLOCKS "]\n\t"                                                              \
    "subs r11, r11, #1\n\t"                                                                       \
    "str r11, [sp, #" BLOCKS "]\n\t"                                                              \
    "bne 1b\n\t"                                                                                  \
    LEAVE

#define EVEN "{r0, r2, r4, r6, r8, r10, r12, lr}"
#define NOTHING(sum) "mov.w " sum ", #0\n\t"
#define SIGN(sum) "lsls " sum ", " sum ", #1\n\tadc r11, r11, r11\n\t"

__attribute__((naked)) void midge_helium_bits_count(
    midge_int32 *counts, const midge_uint32 *x, const int8_t *blocks,
    const midge_helium_bits *shape)
{
    (void)counts, (void)x, (void)blocks, (void)shape;
    __asm__ volatile(
        COUNTED(
            NOTHING("r0") NOTHING("r2") NOTHING("r4") NOTHING("r6")
            NOTHING("r8") NOTHING("r10") NOTHING("r12") NOTHING("lr"),
            "stmia r9!, " EVEN "\n\t")
        : : "i"(ones));
}

__attribute__((naked)) void midge_helium_bits_over(
    int8_t *y, const midge_uint32 *x, const int8_t *blocks, const midge_helium_bits *shape)
{
    (void)y, (void)x, (void)blocks, (void)shape;
    __asm__ volatile(
        COUNTED(
            "ldmia r3!, " EVEN "\n\t",
            SIGN("lr") SIGN("r12") SIGN("r10") SIGN("r8")
            SIGN("r6") SIGN("r4") SIGN("r2") SIGN("r0")
            "mvn r11, r11\n\t"
            "strb r11, [r9], #1\n\t")
        : : "i"(ones));
}

#else

void midge_helium_bits_fold(midge_uint32 *x, int32_t triples)
{
    for (; triples > 0; triples--, x += MIDGE_BITS_TRIPLE * MIDGE_BITS_WORDS)
        for (int32_t i = 0; i < MIDGE_BITS_WORDS; i++) {
            const uint32_t a = x[i], b = x[i + 4], c = x[i + 8];
            x[i] = a ^ b ^ c;
            x[i + 4] = a ^ b;
            x[i + 8] = a ^ c;
        }
}

int32_t midge_helium_bits_ones(const midge_uint32 *x, int32_t vectors)
{
    uint32_t total = 0;
    for (int32_t i = 0; i < vectors * MIDGE_BITS_WORDS; i++)
        total += midge_sum_bytes(midge_byte_counts(x[i]));
    return (int32_t)total;
}

/* Bits of one filter, whose first vector w is; behind the block's other filters come more. */
static int32_t differing(
    const midge_uint32 *x, const midge_uint32 *w, const midge_helium_bits *shape, int32_t filter)
{
    uint32_t total = 0;
    const int32_t triple = MIDGE_BITS_TRIPLE * MIDGE_BITS_WORDS;
    for (int32_t t = 0; t < shape->triples; t++, x += triple, w += triple * MIDGE_BITS_FILTERS)
        for (int32_t i = 0; i < MIDGE_BITS_WORDS; i++) {
            const midge_uint32 *own = w + triple * filter;
            const uint32_t s = x[i] ^ own[i];
            const uint32_t c = s ^ ((x[i + 4] ^ own[i + 4]) | (x[i + 8] ^ own[i + 8]));
            total += midge_sum_bytes(midge_byte_counts(s) + 2 * midge_byte_counts(c));
        }
    for (int32_t i = 0; i < shape->rest * MIDGE_BITS_WORDS; i++) {
        const int32_t at = i / MIDGE_BITS_WORDS * MIDGE_BITS_FILTERS + filter;
        total += midge_sum_bytes(
            midge_byte_counts(x[i] ^ w[at * MIDGE_BITS_WORDS + i % MIDGE_BITS_WORDS]));
    }
    return (int32_t)total;
}

/* Words of a block without its limits. */
static int32_t block_words(const midge_helium_bits *shape)
{
    return (shape->triples * MIDGE_BITS_TRIPLE + shape->rest) * MIDGE_BITS_WORDS
           * MIDGE_BITS_FILTERS;
}

void midge_helium_bits_count(
    midge_int32 *counts, const midge_uint32 *x, const int8_t *blocks,
    const midge_helium_bits *shape)
{
    const midge_uint32 *w = (const midge_uint32 *)(const void *)blocks;
    for (int32_t b = 0; b < shape->blocks; b++, w += block_words(shape))
        for (int32_t i = 0; i < MIDGE_BITS_FILTERS; i++)
            *counts++ = differing(x, w, shape, i);
}

void midge_helium_bits_over(
    int8_t *y, const midge_uint32 *x, const int8_t *blocks, const midge_helium_bits *shape)
{
    const midge_uint32 *w = (const midge_uint32 *)(const void *)blocks;
    for (int32_t b = 0; b < shape->blocks; b++, w += block_words(shape)) {
        const midge_int32 *limits = (const midge_int32 *)w;
        uint32_t over = 0;
        w += MIDGE_BITS_FILTERS;
        for (int32_t i = 0; i < MIDGE_BITS_FILTERS; i++)
            over |= (uint32_t)(limits[i] + differing(x, w, shape, i) >= 0) << i;
        y[b] = (int8_t)over;
    }
}

#endif
