/* See midge_packed.h. */
#include "midge_packed.h"

enum { PIXELS = MIDGE_PACKED_PIXELS, FILTERS = 2, HEAD = 20, GROUP = 64 };

#if defined(__riscv) && __riscv_xlen == 32

/* Input `k`: t4 and t5 are two pixels each, t6 a weight of the first filter, then the second's. */
#define RV_STEP(k)                                                                                \
    "lw t4, 8*" k "(a1)\n\t"                                                                      \
    "lw t5, 8*" k "+4(a1)\n\t"                                                                    \
    "lb t6, 2*" k "(a2)\n\t"                                                                      \
    "mul a4, t6, t4\n\t"                                                                          \
    "mul a5, t6, t5\n\t"                                                                          \
    "lb t6, 2*" k "+1(a2)\n\t"                                                                    \
    "add t0, t0, a4\n\t"                                                                          \
    "add t2, t2, a5\n\t"                                                                          \
    "mul a4, t6, t4\n\t"                                                                          \
    "mul a5, t6, t5\n\t"                                                                          \
    "add t1, t1, a4\n\t"                                                                          \
    "add t3, t3, a5\n\t"
/* The upper sum goes to `high`; `total` has both, from which the lower one will be found. */
#define RV_APART(sum, high, total)                                                                \
    "srai a4, " sum ", 16\n\t"                                                                    \
    "add " total ", " total ", " sum "\n\t"                                                       \
    "add " high ", " high ", a4\n\t"                                                              \
    "mv " sum ", a7\n\t"
/* Takes the sums apart if the next bit says so. */
#define RV_PERHAPS                                                                                \
    "bgez a6, 3f\n\t"                                                                             \
    RV_APART("t0", "s0", "s4") RV_APART("t1", "s1", "s5")                                         \
    RV_APART("t2", "s2", "s6") RV_APART("t3", "s3", "s7")                                         \
    "3:\n\t"                                                                                      \
    "slli a6, a6, 1\n\t"
#define RV_SAVED(rule)                                                                            \
    rule("s0", "0") rule("s1", "4") rule("s2", "8") rule("s3", "12") rule("s4", "16")             \
    rule("s5", "20") rule("s6", "24") rule("s7", "28") rule("s8", "32") rule("s9", "36")
#define RV_SAVE(name, at) "sw " name ", " at "(sp)\n\t"
#define RV_RESTORE(name, at) "lw " name ", " at "(sp)\n\t"
#define RV_END(high, total, at)                                                                   \
    "slli a4, " high ", 16\n\t"                                                                   \
    "sub a4, " total ", a4\n\t"                                                                   \
    "sw a4, " at "(a0)\n\t"                                                                       \
    "sw " high ", " at "+4(a0)\n\t"

/* sums: two biases, and what `total` begins with, to [filters][pixels]. A sum begins with 2**15, so
 * that its lower half borrows nothing. More values live in the loop than the compiler keeps in
 * registers. */
__attribute__((naked)) static void add_products(
    int32_t sums[FILTERS * PIXELS], const midge_int32 *x, const int8_t *w, int32_t quads)
{
    (void)sums, (void)x, (void)w, (void)quads;
    __asm__ volatile(
        "addi sp, sp, -48\n\t"
        RV_SAVED(RV_SAVE)
        "lw s0, 0(a0)\n\t"
        "lw s1, 4(a0)\n\t"
        "lw s4, 8(a0)\n\t"
        "lw s5, 12(a0)\n\t"
        "mv s2, s0\n\t"
        "mv s3, s1\n\t"
        "mv s6, s4\n\t"
        "mv s7, s5\n\t"
        "lui a7, 8\n\t"
        "mv t0, a7\n\t"
        "mv t1, a7\n\t"
        "mv t2, a7\n\t"
        "mv t3, a7\n\t"
        "slli a3, a3, 5\n\t"
        "add s8, a1, a3\n\t" /* the end of x */
        "1:\n\t"
        "lw a6, 0(a2)\n\t"
        "addi a2, a2, 4\n\t"
        "addi s9, a1, 512\n\t" /* the group's end */
        "bleu s9, s8, 2f\n\t"
        "mv s9, s8\n\t"
        "2:\n\t"
        RV_STEP("0") RV_STEP("1") RV_PERHAPS
        RV_STEP("2") RV_STEP("3") RV_PERHAPS
        "addi a1, a1, 32\n\t"
        "addi a2, a2, 8\n\t"
        "bltu a1, s9, 2b\n\t"
        "bltu a1, s8, 1b\n\t"
        RV_END("s0", "s4", "0") RV_END("s2", "s6", "8")
        RV_END("s1", "s5", "16") RV_END("s3", "s7", "24")
        RV_SAVED(RV_RESTORE)
        "addi sp, sp, 48\n\t"
        "ret");
}

#else

static void add_products(
    int32_t sums[FILTERS * PIXELS], const midge_int32 *x, const int8_t *w, int32_t quads)
{
    const int32_t bias[FILTERS] = {sums[0], sums[1]};
    for (int32_t i = 0; i < FILTERS * PIXELS; i++)
        sums[i] = bias[i / PIXELS];
    for (int32_t k = 0; k < 4 * quads; k++, x += PIXELS / 2, w += FILTERS) {
        w += k % GROUP == 0 ? 4 : 0;
        for (int32_t i = 0; i < FILTERS * PIXELS; i += 2) {
            const int32_t both = x[i % PIXELS / 2], low = (int16_t)(both & 0xFFFF);
            sums[i] += low * w[i / PIXELS];
            sums[i + 1] += (int32_t)((uint32_t)both - (uint32_t)low) / 65536 * w[i / PIXELS];
        }
    }
}

#endif

MIDGE_INLINE void make_outputs(
    int8_t *const *y, int32_t pixels, const int32_t *sums, int32_t multiplier, int32_t exponent,
    int32_t filter, midge_output output, int relu)
{
    for (int32_t i = 0; i < pixels; i++)
        y[i][filter] = midge_output_of(sums[i], multiplier, exponent, output, relu);
}

void midge_packed_product(int8_t *const *y, int32_t pixels, const midge_packed_job *job)
{
    const int32_t groups = (4 * job->quads + GROUP - 1) / GROUP;
    const int relu = job->output.least == job->output.zero;
    const int8_t *w = job->weights;
    for (int32_t first = 0; first < job->filters; first += FILTERS) {
        const midge_int32 *const head = midge_int32_at(w, 0);
        const int32_t times = ((const midge_uint16 *)(const void *)w)[9];
        int32_t sums[FILTERS * PIXELS] = {head[0], head[1]};
        for (int32_t i = 0; i < FILTERS; i++)
            sums[FILTERS + i] = (int32_t)((uint32_t)head[i] * 65537u - ((uint32_t)times << 15));
        add_products(sums, job->x, w + HEAD, job->quads);
        for (int32_t i = 0; i < FILTERS && first + i < job->filters; i++) {
            const int32_t *const own = sums + PIXELS * i;
            const int32_t multiplier = head[FILTERS + i], exponent = w[16 + i];
            if (pixels < PIXELS)
                make_outputs(y, pixels, own, multiplier, exponent, first + i, job->output, 0);
            else if (relu)
                make_outputs(y, PIXELS, own, multiplier, exponent, first + i, job->output, 1);
            else
                make_outputs(y, PIXELS, own, multiplier, exponent, first + i, job->output, 0);
        }
        w += HEAD + 4 * groups + FILTERS * 4 * job->quads;
    }
}
