/* A filter bank and what follows it (kernels/signal_filter_bank.py). */
#include "midge_kernels.h"
#include "midge_memory.h"

enum { SNR_BITS = 12, OUTPUT_BITS = 6, LN_2 = 45426, SEGMENT_BITS = 9 };

MIDGE_INLINE const midge_int16 *int16_at(const int8_t *base, int32_t offset)
{
    return (const midge_int16 *)(const void *)(base + offset);
}

MIDGE_INLINE midge_uint32 *uint32_at(int8_t *arena, int32_t offset)
{
    return (midge_uint32 *)(void *)(arena + offset);
}

MIDGE_INLINE uint64_t weighted(uint32_t energy, int16_t weight)
{
    return (uint64_t)((int64_t)energy * weight);
}

void midge_signal_filter_bank_u32(
    int8_t *arena, const int8_t *constants, const midge_signal_filter_bank_u32_params *p)
{
    const midge_int16 *weights = int16_at(constants, p->weights);
    const midge_int16 *unweights = int16_at(constants, p->unweights);
    const midge_int16 *frequencies = int16_at(constants, p->frequencies);
    const midge_int16 *starts = int16_at(constants, p->starts);
    const midge_int16 *widths = int16_at(constants, p->widths);
    const midge_uint32 *x = uint32_at(arena, p->x);
    midge_uint64 *y = (midge_uint64 *)(void *)(arena + p->y);
    uint64_t total = 0;
    for (int32_t channel = 0; channel <= p->channels; channel++) {
        const midge_uint32 *energy = x + frequencies[channel];
        uint64_t rest = 0;
        for (int32_t i = 0; i < widths[channel]; i++) {
            total += weighted(energy[i], weights[starts[channel] + i]);
            rest += weighted(energy[i], unweights[starts[channel] + i]);
        }
        if (channel > 0) /* the first has no neighbour below, and is none itself */
            y[channel - 1] = total;
        total = rest;
    }
}

/* The nearest whole root; the greatest of 16 bits, or of 32, isn't rounded up. */
static uint32_t nearest_root(uint64_t x)
{
    const uint64_t most = x >> 32 ? UINT32_MAX : UINT16_MAX;
    uint64_t root = 0, bit = (uint64_t)1 << 62;
    while (bit > x)
        bit >>= 2;
    for (; bit != 0; bit >>= 2)
        if (x >= root + bit) {
            x -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    return (uint32_t)(x > root && root != most ? root + 1 : root);
}

void midge_signal_filter_bank_square_root_u64(
    int8_t *arena, const int8_t *constants,
    const midge_signal_filter_bank_square_root_u64_params *p)
{
    const midge_uint64 *x = (const midge_uint64 *)(const void *)(arena + p->x);
    const int32_t shift = *midge_int32_at(arena, p->bits) & 31;
    midge_uint32 *y = uint32_at(arena, p->y);
    (void)constants;
    for (int32_t i = 0; i < p->count; i++)
        y[i] = nearest_root(x[i]) >> shift;
}

void midge_signal_filter_bank_spectral_subtraction_u32(
    int8_t *arena, const int8_t *constants,
    const midge_signal_filter_bank_spectral_subtraction_u32_params *p)
{
    const midge_uint32 *x = uint32_at(arena, p->x);
    midge_uint32 *y = uint32_at(arena, p->y), *noises = uint32_at(arena, p->noise);
    midge_uint32 *state = uint32_at(arena, p->state);
    (void)constants;
    for (int32_t i = 0; i < p->channels; i++) {
        const uint32_t signal = x[i] << p->smoothing_bits;
        const uint64_t weight = (uint64_t)(i & 1 ? p->odd : p->even);
        const uint64_t kept = (uint64_t)(i & 1 ? p->odd_noise : p->even_noise);
        const uint32_t noise = (uint32_t)((signal * weight + state[i] * kept) >> p->bits);
        const uint32_t below = noise < signal ? noise : signal;
        const uint32_t floor = (uint32_t)(((uint64_t)x[i] * (uint64_t)p->floor) >> p->bits);
        const uint32_t left = (signal - below) >> p->smoothing_bits;
        state[i] = p->clamping ? below : noise;
        noises[i] = state[i];
        y[i] = left > floor ? left : floor;
    }
}

/* How many bits x has, up to its highest that is set. */
static int32_t bit_length(uint32_t x)
{
    int32_t bits = 0;
    for (; x != 0; x >>= 1)
        bits++;
    return bits;
}

/* An int16, of int32 arithmetic that wraps. */
static int16_t gain_of(uint32_t noise, const midge_int16 *gains)
{
    if (noise <= 2)
        return gains[noise];
    const int32_t bits = bit_length(noise);
    const midge_int16 *part = gains + 4 * bits - 6;
    const int32_t fraction = (int32_t)(bits < 11 ? noise << (11 - bits) : noise >> (bits - 11)) & 0x3FF;
    const int32_t curve = (part[2] * fraction) >> 5;
    const uint32_t rise = (uint32_t)curve + ((uint32_t)(int32_t)part[1] << 5);
    const int32_t rounded = (int32_t)(rise * (uint32_t)fraction + (1u << 14)) >> 15;
    return (int16_t)(rounded + part[0]);
}

void midge_signal_pcan_u32(
    int8_t *arena, const int8_t *constants, const midge_signal_pcan_u32_params *p)
{
    const midge_uint32 *x = uint32_at(arena, p->x), *noise = uint32_at(arena, p->noise);
    const midge_int16 *gains = int16_at(constants, p->gains);
    midge_uint32 *y = uint32_at(arena, p->y);
    for (int32_t i = 0; i < p->count; i++) {
        const uint32_t gain = (uint32_t)(int32_t)gain_of(noise[i], gains);
        const uint32_t ratio = (uint32_t)(((uint64_t)x[i] * gain) >> p->snr_shift);
        if (ratio < 2u << SNR_BITS)
            y[i] = ratio * ratio >> (2 + 2 * SNR_BITS - OUTPUT_BITS);
        else
            y[i] = (ratio >> (SNR_BITS - OUTPUT_BITS)) - (1u << OUTPUT_BITS);
    }
}

/* The scaled logarithm of x > 1. */
static uint32_t scaled_log(uint32_t x, uint32_t scale, const midge_int16 *corrections)
{
    const int32_t whole = bit_length(x) - 1;
    const uint32_t above = x - ((uint32_t)1 << whole);
    const int32_t fraction = (int32_t)(whole < 16 ? above << (16 - whole) : above >> (whole - 16));
    const midge_int16 *part = corrections + (fraction >> SEGMENT_BITS);
    const int32_t rest = fraction & ((1 << SEGMENT_BITS) - 1);
    const int32_t line = ((part[1] - part[0]) * rest) >> 16;
    const uint32_t log2 = ((uint32_t)whole << 16) + (uint32_t)(fraction + part[0] + line);
    const uint32_t natural = (uint32_t)(((uint64_t)LN_2 * log2 + 32768) >> 16);
    return (scale * natural + 32768) >> 16;
}

void midge_signal_filter_bank_log_u32(
    int8_t *arena, const int8_t *constants, const midge_signal_filter_bank_log_u32_params *p)
{
    const midge_uint32 *x = uint32_at(arena, p->x);
    const midge_int16 *corrections = int16_at(constants, p->corrections);
    midge_int16 *y = (midge_int16 *)(void *)(arena + p->y);
    for (int32_t i = 0; i < p->count; i++) {
        const uint32_t scaled = x[i] << p->shift;
        const uint32_t log = scaled > 1 ? scaled_log(scaled, (uint32_t)p->scale, corrections) : 0;
        y[i] = (int16_t)(log < INT16_MAX ? log : INT16_MAX);
    }
}
