/* Fully connected layers for cores with many registers: two products by one multiplication.
 *
 * As in midge_packed.h, but weights share words: w + 128, a byte each, so that a mask takes two of
 * four and a shift the others. The sum of the inputs says what the 128 have added. Weights are
 * blocks of eight units: biases and multipliers, int32; exponents of right shifts, a byte each; in
 * 16 bits, how often sums are taken apart; two bytes of nothing. Then come groups of at most 64
 * inputs: the word of bits, and eight weights for each input.
 */
#include <string.h>

#include "midge_fixedpoint.h"
#include "midge_kernels.h"

enum { UNITS = 8, HEAD = 76, EXPONENTS = 2 * 4 * UNITS, TIMES = 36, GROUP = 64 };

#if defined(__riscv) && __riscv_xlen == 32

/* Four units: t4 are their weights, t6 is the input. `odd` gets some of the third unit, too. */
#define RV_FOUR(at, even, odd)                                                                    \
    "lw t4, " at "(a2)\n\t"                                                                       \
    "and t5, t4, s9\n\t"                                                                          \
    "srli t4, t4, 8\n\t"                                                                          \
    "mul a4, t5, t6\n\t"                                                                          \
    "mul a5, t4, t6\n\t"                                                                          \
    "add " even ", " even ", a4\n\t"                                                              \
    "add " odd ", " odd ", a5\n\t"
#define RV_STEP(k)                                                                                \
    "lb t6, " k "(a1)\n\t"                                                                        \
    "add s8, s8, t6\n\t"                                                                          \
    RV_FOUR("8*" k, "t0", "t1") RV_FOUR("8*" k "+4", "t2", "t3")
/* The upper sum goes to `high`; `total` has both. a4 and a5 are what the 128 have added. */
#define RV_APART(even, odd, even_high, odd_high, even_total, odd_total)                           \
    "sub " even ", " even ", a4\n\t"                                                              \
    "srai t4, " even ", 16\n\t"                                                                   \
    "add " even_high ", " even_high ", t4\n\t"                                                    \
    "add " even_total ", " even_total ", " even "\n\t"                                            \
    "mv " even ", a7\n\t"                                                                         \
    "slli t4, t4, 8\n\t"                                                                          \
    "sub " odd ", " odd ", t4\n\t"                                                                \
    "sub " odd ", " odd ", a5\n\t"                                                                \
    "srai t4, " odd ", 16\n\t"                                                                    \
    "add " odd_high ", " odd_high ", t4\n\t"                                                      \
    "add " odd_total ", " odd_total ", " odd "\n\t"                                               \
    "mv " odd ", a7\n\t"
#define RV_PERHAPS                                                                                \
    "bgez a6, 3f\n\t"                                                                             \
    "mul a4, s8, s10\n\t"                                                                         \
    "slli a5, s8, 15\n\t"                                                                         \
    "add a5, a5, a4\n\t"                                                                          \
    "li s8, 0\n\t"                                                                                \
    RV_APART("t0", "t1", "s0", "s1", "s4", "s5") RV_APART("t2", "t3", "s2", "s3", "s6", "s7")     \
    "3:\n\t"                                                                                      \
    "slli a6, a6, 1\n\t"
#define RV_SAVED(rule)                                                                            \
    rule("s0", "0") rule("s1", "4") rule("s2", "8") rule("s3", "12") rule("s4", "16")             \
    rule("s5", "20") rule("s6", "24") rule("s7", "28") rule("s8", "32") rule("s9", "36")          \
    rule("s10", "40") rule("s11", "44")
#define RV_SUMS(rule)                                                                             \
    rule("s0", "0") rule("s1", "4") rule("s2", "8") rule("s3", "12") rule("s4", "16")             \
    rule("s5", "20") rule("s6", "24") rule("s7", "28")
#define RV_SAVE(name, at) "sw " name ", " at "(sp)\n\t"
#define RV_RESTORE(name, at) "lw " name ", " at "(sp)\n\t"
#define RV_BEGIN(name, at) "lw " name ", " at "(a0)\n\t"
#define RV_END(high, total, at)                                                                   \
    "slli a4, " high ", 16\n\t"                                                                   \
    "sub a4, " total ", a4\n\t"                                                                   \
    "sw a4, " at "(a0)\n\t"                                                                       \
    "sw " high ", " at "+8(a0)\n\t"

/* sums: what the upper sums and the totals of the pairs begin with, to the sums of the units. More
 * values live in the loop than the compiler keeps in registers. */
__attribute__((naked)) static void add_products(
    int32_t sums[UNITS], const int8_t *x, const int8_t *w, int32_t quads)
{
    (void)sums, (void)x, (void)w, (void)quads;
    __asm__ volatile(
        "addi sp, sp, -48\n\t"
        RV_SAVED(RV_SAVE)
        RV_SUMS(RV_BEGIN)
        "lui a7, 8\n\t"
        "mv t0, a7\n\t"
        "mv t1, a7\n\t"
        "mv t2, a7\n\t"
        "mv t3, a7\n\t"
        "li s8, 0\n\t"
        "li s9, 0x00ff00ff\n\t"
        "li s10, 0x00800080\n\t"
        "slli a3, a3, 2\n\t"
        "add a3, a1, a3\n\t" /* the end of x */
        "1:\n\t"
        "lw a6, 0(a2)\n\t"
        "addi a2, a2, 4\n\t"
        "addi s11, a1, 64\n\t" /* the group's end */
        "bleu s11, a3, 2f\n\t"
        "mv s11, a3\n\t"
        "2:\n\t"
        RV_STEP("0") RV_STEP("1") RV_PERHAPS
        RV_STEP("2") RV_STEP("3") RV_PERHAPS
        "addi a1, a1, 4\n\t"
        "addi a2, a2, 32\n\t"
        "bltu a1, s11, 2b\n\t"
        "bltu a1, a3, 1b\n\t"
        RV_END("s0", "s4", "0") RV_END("s1", "s5", "4")
        RV_END("s2", "s6", "16") RV_END("s3", "s7", "20")
        RV_SAVED(RV_RESTORE)
        "addi sp, sp, 48\n\t"
        "ret");
}

/* Which units share a word. */
static void begin(int32_t sums[UNITS], const midge_int32 *bias, int32_t times)
{
    for (int32_t pair = 0; pair < UNITS / 2; pair++) {
        const int32_t unit = pair / 2 * 4 + pair % 2;
        const uint32_t high = (uint32_t)bias[unit + 2];
        sums[pair] = bias[unit + 2];
        sums[UNITS / 2 + pair] =
            (int32_t)((uint32_t)bias[unit] + (high << 16) - ((uint32_t)times << 15));
    }
}

#else

static void add_products(int32_t sums[UNITS], const int8_t *x, const int8_t *w, int32_t quads)
{
    for (int32_t k = 0; k < 4 * quads; k++, w += UNITS) {
        w += k % GROUP == 0 ? 4 : 0;
        for (int32_t i = 0; i < UNITS; i++)
            sums[i] += x[k] * ((w[i] & 0xFF) - 128);
    }
}

static void begin(int32_t sums[UNITS], const midge_int32 *bias, int32_t times)
{
    (void)times;
    for (int32_t i = 0; i < UNITS; i++)
        sums[i] = bias[i];
}

#endif

static void one_batch(
    int8_t *y, const int8_t *x, const int8_t *w, const midge_fully_connected_packed_s8_params *p)
{
    const midge_output output = {p->output_zero, p->least, p->greatest};
    const int32_t quads = (p->depth + 3) / 4, groups = (4 * quads + GROUP - 1) / GROUP;
    for (int32_t first = 0; first < p->units; first += UNITS) {
        const int32_t times = ((const midge_uint16 *)(const void *)w)[TIMES];
        const midge_int32 *const multiplier = midge_int32_at(w, 4 * UNITS);
        int32_t sums[UNITS];
        begin(sums, midge_int32_at(w, 0), times);
        add_products(sums, x, w + HEAD, quads);
        for (int32_t i = 0; i < UNITS && first + i < p->units; i++)
            *y++ = midge_output_of(sums[i], multiplier[i], w[EXPONENTS + i], output, 0);
        w += HEAD + 4 * groups + 4 * UNITS * quads;
    }
}

void midge_fully_connected_packed_s8(
    int8_t *arena, const int8_t *constants, const midge_fully_connected_packed_s8_params *p)
{
    const int8_t *x = arena + p->x;
    int8_t *y = arena + p->y;
    for (int32_t batch = 0; batch < p->batches; batch++, x += p->depth, y += p->units) {
        const int8_t *whole = x;
        if (p->depth % 4) /* what stands behind the inputs may not be read */
            whole = memcpy(arena + p->padded, x, (size_t)p->depth);
        one_batch(y, whole, constants + p->weights, p);
    }
}
