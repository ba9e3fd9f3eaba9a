/* See midge_blocked.h. */
#include "midge_blocked.h"

enum { CHANNELS = 8, HEAD = 3 * CHANNELS * 4 };

/* `do_one(c)` for each channel of a block. */
#define EACH(do_one) do_one(0) do_one(1) do_one(2) do_one(3) do_one(4) do_one(5) do_one(6) do_one(7)

/* The outputs of a block's first `count` channels. */
static void make_outputs(
    int8_t *y, const int32_t sums[CHANNELS], const midge_int32 *head, int32_t count,
    midge_output output)
{
    midge_requantize(
        y, sums, count < CHANNELS ? count : CHANNELS, head + CHANNELS, head + 2 * CHANNELS,
        output);
}

#if defined(__riscv) && __riscv_xlen == 32

/* A channel of both pixels: a5 and a6 are their inputs. */
#define RV_MAC(offset, first, second)                                                             \
    "lb a7, " offset "(a3)\n\t"                                                                   \
    "mul s9, a7, a5\n\t"                                                                          \
    "mul s10, a7, a6\n\t"                                                                         \
    "add " first ", " first ", s9\n\t"                                                            \
    "add " second ", " second ", s10\n\t"
/* Product `k` of eight channels. */
#define RV_STEP(k)                                                                                \
    "lb a5, " k "(a1)\n\t"                                                                        \
    "lb a6, " k "(a2)\n\t"                                                                        \
    RV_MAC("8*" k "+0", "t0", "s1") RV_MAC("8*" k "+1", "t1", "s2")                               \
    RV_MAC("8*" k "+2", "t2", "s3") RV_MAC("8*" k "+3", "t3", "s4")                               \
    RV_MAC("8*" k "+4", "t4", "s5") RV_MAC("8*" k "+5", "t5", "s6")                               \
    RV_MAC("8*" k "+6", "t6", "s7") RV_MAC("8*" k "+7", "s0", "s8")
/* `rule` for each saved register and its place on the stack. */
#define RV_SAVED(rule)                                                                            \
    rule("s0", "0") rule("s1", "4") rule("s2", "8") rule("s3", "12") rule("s4", "16")             \
    rule("s5", "20") rule("s6", "24") rule("s7", "28") rule("s8", "32") rule("s9", "36")          \
    rule("s10", "40")
#define RV_SUMS(rule)                                                                             \
    rule("t0", "0") rule("t1", "4") rule("t2", "8") rule("t3", "12") rule("t4", "16")             \
    rule("t5", "20") rule("t6", "24") rule("s0", "28")
#define RV_MORE_SUMS(rule)                                                                        \
    rule("s1", "32") rule("s2", "36") rule("s3", "40") rule("s4", "44") rule("s5", "48")          \
    rule("s6", "52") rule("s7", "56") rule("s8", "60")
#define RV_SAVE(name, at) "sw " name ", " at "(sp)\n\t"
#define RV_RESTORE(name, at) "lw " name ", " at "(sp)\n\t"
#define RV_BEGIN(name, at) "lw " name ", " at "(a0)\n\t"
#define RV_BEGIN_SECOND(name, at) "lw " name ", " at "-32(a0)\n\t"
#define RV_END(name, at) "sw " name ", " at "(a0)\n\t"

/* Adds the products of two pixels to `sums`: eight biases, which stand for both pixels. More values
 * live in the loop than the compiler keeps in registers. */
__attribute__((naked)) static void add_products(
    int32_t sums[2 * CHANNELS], const int8_t *x0, const int8_t *x1, const int8_t *w,
    int32_t products)
{
    (void)sums, (void)x0, (void)x1, (void)w, (void)products;
    __asm__ volatile(
        "addi sp, sp, -48\n\t"
        RV_SAVED(RV_SAVE)
        RV_SUMS(RV_BEGIN)
        RV_MORE_SUMS(RV_BEGIN_SECOND)
        "add a4, a1, a4\n\t" /* the end of x0 */
        "addi a4, a4, -3\n\t"
        "bgeu a1, a4, 2f\n\t"
        "1:\n\t"
        RV_STEP("0") RV_STEP("1") RV_STEP("2") RV_STEP("3")
        "addi a1, a1, 4\n\t"
        "addi a2, a2, 4\n\t"
        "addi a3, a3, 32\n\t"
        "bltu a1, a4, 1b\n\t"
        "2:\n\t"
        "addi a4, a4, 3\n\t"
        "bgeu a1, a4, 4f\n\t"
        "3:\n\t"
        RV_STEP("0")
        "addi a1, a1, 1\n\t"
        "addi a2, a2, 1\n\t"
        "addi a3, a3, 8\n\t"
        "bltu a1, a4, 3b\n\t"
        "4:\n\t"
        RV_SUMS(RV_END)
        RV_MORE_SUMS(RV_END)
        RV_SAVED(RV_RESTORE)
        "addi sp, sp, 48\n\t"
        "ret");
}

#else

static void add_products(
    int32_t sums[2 * CHANNELS], const int8_t *x0, const int8_t *x1, const int8_t *w,
    int32_t products)
{
    for (int32_t c = 0; c < CHANNELS; c++) {
        sums[CHANNELS + c] = sums[c];
        for (int32_t k = 0; k < products; k++) {
            sums[c] += x0[k] * w[k * CHANNELS + c];
            sums[CHANNELS + c] += x1[k] * w[k * CHANNELS + c];
        }
    }
}

#endif

void midge_blocked_two(
    int8_t *const y[2], const int8_t *x0, const int8_t *x1, const int8_t *weights,
    int32_t products, int32_t channels, midge_output output)
{
    const int8_t *w = weights;
    for (int32_t first = 0; first < channels; first += CHANNELS, w += products * CHANNELS) {
        const midge_int32 *const head = midge_int32_at(w, 0);
        int32_t sums[2 * CHANNELS];
        w += HEAD;
        for (int32_t c = 0; c < CHANNELS; c++)
            sums[c] = head[c];
        add_products(sums, x0, x1, w, products);
        make_outputs(y[0] + first, sums, head, channels - first, output);
        make_outputs(y[1] + first, sums + CHANNELS, head, channels - first, output);
    }
}

void midge_blocked_one(
    int8_t *y, const int8_t *x, const int8_t *weights, int32_t products, int32_t channels,
    midge_output output)
{
    const int8_t *w = weights;
    for (int32_t first = 0; first < channels; first += CHANNELS) {
        const midge_int32 *const head = midge_int32_at(w, 0);
        const int8_t *a = x;
        w += HEAD;
#define BEGIN_ONE(c) int32_t a##c = head[c];
        EACH(BEGIN_ONE)
#define ONE_STEP(c) a##c += of_a * w[c];
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
        for (const int8_t *const end = a + products; a < end; w += CHANNELS) {
            const int32_t of_a = *a++;
            EACH(ONE_STEP)
        }
        const int32_t sums[CHANNELS] = {a0, a1, a2, a3, a4, a5, a6, a7};
        make_outputs(y + first, sums, head, channels - first, output);
    }
}
