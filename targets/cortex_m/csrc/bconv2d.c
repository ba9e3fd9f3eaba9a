/* Convolutions and dense layers of bits (kernels/bconv2d.py). */
#include "midge_bits_layer.h"

/* Any planes, padding with the mean of both bits (`other` has all bits outside 1), and gates. */
static int32_t sum_of_pairs(
    const int8_t *constants, const bits_layer *p, const midge_uint32 *window,
    const midge_uint32 *other, int32_t size, int32_t o)
{
    const midge_int32 *pairs = midge_int32_at(constants, p->pairs);
    const midge_uint32 *weights = (const midge_uint32 *)(const void *)(constants + p->weights);
    int32_t v = 0;
    for (int32_t pair = 0; pair < p->pair_count; pair++, pairs += 3) {
        const midge_uint32 *w = weights + (o * p->weight_planes + pairs[1]) * size;
        if (pair == 1 && p->gated && v >= midge_int32_at(constants, p->gates)[o])
            return v + p->closed;
        if (p->plain) {
            v -= pairs[2] * midge_count_both(window + pairs[0] * size, w, size);
        } else {
            const int32_t at = pairs[0] * size;
            const int32_t first = midge_count_different(window + at, w, size);
            const int32_t second =
                other == window ? first : midge_count_different(other + at, w, size);
            v += pairs[2] * (first + second);
        }
    }
    return v;
}

/* Walks output pixels and groups of filters. `put` sees `o`, its `v`, and `y`, the pixel's output.
 * Most layers have one pair of planes: `all` then makes the outputs of the filters from o to end, of
 * the pixel's `window` and the weights from `w` on. */
#define MIDGE_BITS_BODY(type, y_step, fits, all, put)                                             \
    {                                                                                             \
        const bits_layer *shared = (const bits_layer *)(const void *)p;                           \
        const midge_uint32 *weights =                                                             \
            (const midge_uint32 *)(const void *)(constants + p->weights);                         \
        midge_uint32 *window = (midge_uint32 *)(void *)(arena + p->window);                       \
        const int32_t size = p->kernel_height * p->kernel_width * p->words;                       \
        const uint32_t outside = p->padding == BITS_ONE ? ~0u : 0;                                \
        const int simple =                                                                        \
            !p->plain && p->pair_count == 1 && size <= MIDGE_MOST_WORDS && (fits);                \
        MIDGE_EACH_PIXEL(                                                                         \
            type, y_step, uint32_t word = 0; int32_t o = 0;                                       \
            for (int32_t group = 0; o < p->filters; group++) {                                    \
                const midge_uint32 *other = window;                                               \
                const int32_t end = o + p->group_filters;                                         \
                const int bare =                                                                  \
                    gather_bits(window, size, arena, shared, lines, taps, group, outside);        \
                if (bare && p->padding == MEAN_OF_BOTH) {                                         \
                    midge_uint32 *second = window + size * p->planes;                             \
                    gather_bits(second, size, arena, shared, lines, taps, group, ~0u);            \
                    other = second;                                                               \
                }                                                                                 \
                if (simple && other == window) {                                                  \
                    const midge_uint32 *w = weights + o * size;                                   \
                    all;                                                                          \
                } else                                                                            \
                    for (; o < end; o++) {                                                        \
                        const int32_t v =                                                         \
                            sum_of_pairs(constants, shared, window, other, size, o);              \
                        put;                                                                      \
                    }                                                                             \
            }                                                                                     \
            (void)word;)                                                                          \
    }

enum { TOGETHER = 16 };

/* As many filters as have room for their counts, then as many outputs. */
#define EACH(put)                                                                                 \
    while (o < end) {                                                                             \
        int32_t counts[TOGETHER];                                                                 \
        const int32_t n = end - o < TOGETHER ? end - o : TOGETHER;                                \
        midge_count_each(counts, window, w, size, n);                                             \
        w += n * size;                                                                            \
        for (int32_t i = 0; i < n; i++, o++) {                                                    \
            const int32_t v = 2 * counts[i];                                                      \
            put;                                                                                  \
        }                                                                                         \
    }

void midge_bconv2d_f32(
    int8_t *arena, const int8_t *constants, const midge_bconv2d_f32_params *p)
{
    const bits_scale scale = SCALE_OF(p, constants);
    MIDGE_BITS_BODY(
        midge_float, p->filters, 1, EACH(y[o] = affine(&scale, v, o)), y[o] = affine(&scale, v, o))
}

void midge_bconv2d_s8(
    int8_t *arena, const int8_t *constants, const midge_bconv2d_s8_params *p)
{
    const bits_scale scale = SCALE_OF(p, constants);
    MIDGE_BITS_BODY(
        int8_t, p->filters, 1, EACH(y[o] = rounded_s8(affine(&scale, v, o))),
        y[o] = rounded_s8(affine(&scale, v, o)))
}

#define ALL_BITS                                                                                  \
    for (; o < end; o += 32, w += 32 * size)                                                      \
        y[o >> 5] = midge_bits_over(                                                              \
            window, w, size, limits + o, end - o < 32 ? end - o : 32);                            \
    o = end

void midge_bconv2d_b1(
    int8_t *arena, const int8_t *constants, const midge_bconv2d_b1_params *p)
{
    const midge_int32 *limits = midge_int32_at(constants, p->thresholds);
    const int whole = p->group_filters == p->filters || (p->group_filters & 31) == 0;
    MIDGE_BITS_BODY(midge_uint32, (p->filters + 31) >> 5, whole, ALL_BITS, PUT_BIT(v))
}
