/* Convolutions and dense layers of bits: all filters of a group at one pixel after the other. */
#include <string.h>

#include "midge_bits_layer.h"
#include "midge_helium_bits.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#endif

enum { TOGETHER = 32 }; /* filters */

/* The parameters of all output types begin alike. */
typedef midge_bconv2d_helium_b1_params helium_layer;

/* What an output pixel and a group of filters see. */
typedef struct {
    const helium_layer *p;
    const int8_t *constants;
    midge_uint32 *window; /* planes, each in a slot; then with the other bits outside, if `both` */
    int32_t slot;         /* words */
    int32_t both;
    int32_t offset;       /* of plain planes: what their own bits add to twice v */
    int32_t group;
    midge_helium_bits shape;
} bits_job;

/* A whole number of vectors, folded; of plain planes the bits are counted first. */
static void fold(bits_job *job, midge_uint32 *slots)
{
    const helium_layer *p = job->p;
    const int32_t size = p->kernel_height * p->kernel_width * p->words;
    for (int32_t plane = 0; plane < p->planes; plane++, slots += job->slot) {
        for (int32_t i = size; i < job->slot; i++)
            slots[i] = 0;
        if (p->plain)
            job->offset += midge_int32_at(job->constants, p->offsets)[plane]
                           * midge_helium_bits_ones(slots, job->slot / MIDGE_BITS_WORDS);
        midge_helium_bits_fold(slots, job->shape.triples);
    }
}

static void look(
    bits_job *job, const int8_t *arena, const midge_int32 *lines, midge_taps taps, int32_t group)
{
    const helium_layer *p = job->p;
    const bits_layer *shared = (const bits_layer *)(const void *)p;
    const uint32_t outside = p->padding == BITS_ONE ? ~0u : 0;
    const int bare =
        gather_bits(job->window, job->slot, arena, shared, lines, taps, group, outside);
    job->group = group;
    job->offset = 0;
    fold(job, job->window);
    job->both = bare && p->padding == MEAN_OF_BOTH;
    if (job->both) {
        midge_uint32 *second = job->window + job->slot * p->planes;
        gather_bits(second, job->slot, arena, shared, lines, taps, group, ~0u);
        fold(job, second);
    }
}

static bits_job job_of(const helium_layer *p, int8_t *arena, const int8_t *constants)
{
    const bits_job job = {
        .p = p, .constants = constants, .window = (midge_uint32 *)(void *)(arena + p->window),
        .slot = (p->triples * MIDGE_BITS_TRIPLE + p->rest) * MIDGE_BITS_WORDS,
        .shape = {.triples = p->triples, .rest = p->rest}};
    return job;
}

/* Weights of one plane, from a group's filter `first` on. */
static const int8_t *blocks_of(const bits_job *job, int32_t plane, int32_t first)
{
    const helium_layer *p = job->p;
    const int32_t of_group = (p->group_filters + MIDGE_BITS_FILTERS - 1) / MIDGE_BITS_FILTERS;
    const int32_t block =
        (job->group * p->weight_planes + plane) * of_group + first / MIDGE_BITS_FILTERS;
    const int32_t filter = 4 * job->slot + (p->fused ? 4 : 0); /* bytes */
    return job->constants + p->weights + block * MIDGE_BITS_FILTERS * filter;
}

/* Bits that differ between a pair of planes; `second` for the window with the other padding. */
static void count(
    const bits_job *job, int32_t *counts, const midge_int32 *pair, int32_t first, int32_t second)
{
    const helium_layer *p = job->p;
    const midge_uint32 *window = job->window + (pair[0] + (second ? p->planes : 0)) * job->slot;
    midge_helium_bits_count(counts, window, blocks_of(job, pair[1], first), &job->shape);
}

static void add(int32_t *sums, const int32_t *counts, int32_t factor, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        sums[i] += factor * counts[i];
}

/* The second pair's sums count where the gate is open. If none is, nothing is counted. */
static void add_gated(
    const bits_job *job, int32_t *sums, const midge_int32 *pair, int32_t first, int32_t n)
{
    const helium_layer *p = job->p;
    const midge_int32 *gates =
        midge_int32_at(job->constants, p->gates) + job->group * p->group_filters + first;
    const int32_t factor = pair[2] * (job->both ? 1 : 2);
    int32_t counts[TOGETHER], others[TOGETHER], open = 0;
    for (int32_t i = 0; i < n; i++)
        open |= sums[i] < gates[i];
    if (!open) {
        for (int32_t i = 0; i < n; i++)
            sums[i] += p->closed;
        return;
    }
    count(job, counts, pair, first, 0);
    if (job->both) {
        count(job, others, pair, first, 1);
        add(counts, others, 1, n);
    }
    for (int32_t i = 0; i < n; i++)
        sums[i] += sums[i] < gates[i] ? factor * counts[i] : p->closed;
}

/* Sums of a group's `n` filters from `first` on; times the answer they are v. */
static int32_t sums_of(bits_job *job, int32_t *sums, int32_t first, int32_t n)
{
    const helium_layer *p = job->p;
    const midge_int32 *pairs = midge_int32_at(job->constants, p->pairs);
    const int32_t times = p->plain || job->both ? 1 : 2;
    int32_t counts[TOGETHER];
    job->shape.blocks = (n + MIDGE_BITS_FILTERS - 1) / MIDGE_BITS_FILTERS;
    count(job, sums, pairs, first, 0);
    if (job->both) {
        count(job, counts, pairs, first, 1);
        add(sums, counts, 1, n);
    }
    if (p->pair_count == 1 && !p->plain)
        return pairs[2] * times;
    add(sums, sums, pairs[2] * times - 1, n);
    for (int32_t pair = 1; pair < p->pair_count; pair++) {
        pairs += 3;
        if (pair == 1 && p->gated) {
            add_gated(job, sums, pairs, first, n);
            continue;
        }
        for (int32_t second = 0; second <= job->both; second++) {
            count(job, counts, pairs, first, second);
            add(sums, counts, pairs[2] * times, n);
        }
    }
    if (p->plain) { /* x and w: half of x's bits and w's, less those that differ */
        const midge_int32 *offsets = midge_int32_at(job->constants, p->offsets) + p->planes
                                     + job->group * p->group_filters + first;
        for (int32_t i = 0; i < n; i++)
            sums[i] = (sums[i] - job->offset - offsets[i]) / 2;
    }
    return 1;
}

/* `n` filters' sums, times `times`, are v; scale and y are the first one's. */
#if defined(__ARM_FEATURE_MVE)
MIDGE_INLINE float32x4_t clamped(const int32_t *sums, int32_t times, const bits_scale *scale)
{
    const int32x4_t v = vmulq_n_s32(vldrwq_s32(sums), times);
    return vcvtq_f32_s32(
        vminq_s32(vmaxq_s32(v, vdupq_n_s32(scale->least)), vdupq_n_s32(scale->greatest)));
}

/* Vectors take numbers below 2^-126 for 0, so floats that are the answer are made one by one. */
static void put_f32(
    midge_float *y, const int32_t *sums, int32_t times, const bits_scale *scale, int32_t o,
    int32_t n)
{
    const midge_float *multiplier = scale->multiplier + o, *bias = scale->bias + o;
    float real[TOGETHER];
    for (int32_t i = 0; i < n; i += 4)
        vstrwq_f32(real + i, clamped(sums + i, times, scale));
    for (int32_t i = 0; i < n; i++)
        y[i] = real[i] * multiplier[i] + bias[i];
}

static void put_s8(
    int8_t *y, const int32_t *sums, int32_t times, const bits_scale *scale, int32_t o, int32_t n)
{
    const midge_float *multiplier = scale->multiplier + o, *bias = scale->bias + o;
    for (int32_t i = 0; i < n; i += 4) {
        const mve_pred16_t some = vctp32q((uint32_t)(n - i));
        const float32x4_t product =
            vmulq_f32(clamped(sums + i, times, scale), vldrwq_z_f32(multiplier + i, some));
        const int32x4_t whole =
            vcvtaq_s32_f32(vaddq_f32(product, vldrwq_z_f32(bias + i, some)));
        vstrbq_p_s32(
            y + i, vminq_s32(vmaxq_s32(whole, vdupq_n_s32(-128)), vdupq_n_s32(127)), some);
    }
}
#else
static void put_f32(
    midge_float *y, const int32_t *sums, int32_t times, const bits_scale *scale, int32_t o,
    int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        y[i] = affine(scale, times * sums[i], o + i);
}

static void put_s8(
    int8_t *y, const int32_t *sums, int32_t times, const bits_scale *scale, int32_t o, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        y[i] = rounded_s8(affine(scale, times * sums[i], o + i));
}
#endif

/* Walks output pixels and groups of filters. `put` sees `n` filters from `o` on, their `sums`, what
 * `times` makes of them, and `y`, the pixel's output. */
#define MIDGE_HELIUM_BODY(type, y_step, fused, put)                                               \
    {                                                                                             \
        bits_job job = job_of((const helium_layer *)(const void *)p, arena, constants);           \
        MIDGE_EACH_PIXEL(                                                                         \
            type, y_step, uint32_t word = 0;                                                      \
            for (int32_t group = 0; group * p->group_filters < p->filters; group++) {             \
                look(&job, arena, lines, taps, group);                                            \
                fused;                                                                            \
                int32_t sums[TOGETHER];                                                           \
                for (int32_t first = 0; first < p->group_filters; first += TOGETHER) {            \
                    const int32_t left = p->group_filters - first;                                \
                    const int32_t n = left < TOGETHER ? left : TOGETHER;                          \
                    const int32_t times = sums_of(&job, sums, first, n);                          \
                    int32_t o = group * p->group_filters + first;                                 \
                    put;                                                                          \
                }                                                                                 \
            }                                                                                     \
            (void)word;)                                                                          \
    }

void midge_bconv2d_helium_f32(
    int8_t *arena, const int8_t *constants, const midge_bconv2d_helium_f32_params *p)
{
    const bits_scale scale = SCALE_OF(p, constants);
    MIDGE_HELIUM_BODY(
        midge_float, p->filters, (void)0, put_f32(y + o, sums, times, &scale, o, n))
}

void midge_bconv2d_helium_s8(
    int8_t *arena, const int8_t *constants, const midge_bconv2d_helium_s8_params *p)
{
    const bits_scale scale = SCALE_OF(p, constants);
    MIDGE_HELIUM_BODY(int8_t, p->filters, (void)0, put_s8(y + o, sums, times, &scale, o, n))
}

/* A group's bits, whole bytes of them, and zeros behind the last. */
static void put_bytes(bits_job *job, int8_t *y)
{
    const helium_layer *p = job->p;
    const int32_t blocks = (p->group_filters + MIDGE_BITS_FILTERS - 1) / MIDGE_BITS_FILTERS;
    const int32_t begin = job->group * blocks, end = 4 * ((p->filters + 31) >> 5);
    job->shape.blocks = blocks;
    midge_helium_bits_over(y + begin, job->window, blocks_of(job, 0, 0), &job->shape);
    if ((job->group + 1) * p->group_filters == p->filters)
        memset(y + begin + blocks, 0, (size_t)(end - begin - blocks));
}

#define ALL_BYTES                                                                                 \
    if (p->fused) {                                                                               \
        put_bytes(&job, (int8_t *)(void *)y);                                                     \
        continue;                                                                                 \
    }

void midge_bconv2d_helium_b1(
    int8_t *arena, const int8_t *constants, const midge_bconv2d_helium_b1_params *p)
{
    const midge_int32 *limits = midge_int32_at(constants, p->thresholds);
    MIDGE_HELIUM_BODY(
        midge_uint32, (p->filters + 31) >> 5, ALL_BYTES,
        for (int32_t i = 0; i < n; i++, o++) PUT_BIT(times * sums[i]))
}
