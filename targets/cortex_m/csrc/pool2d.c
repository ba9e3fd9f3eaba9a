/* Average, maximum and L2 pooling over the taps that lie inside the image. */
#include <string.h>

#include "midge_dot.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"
#include "midge_root.h"
#include "midge_window.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#endif

/* The window of one output pixel: in each of `height` rows the columns first .. first + count - 1. */
typedef struct {
    const midge_int32 *lines;
    int32_t height;
    int32_t first;
    int32_t count;
    int32_t channels;
} window;

/* Element `at` of a row of int8 or, if `wide`, int16. */
MIDGE_INLINE int32_t element(const int8_t *row, int32_t at, int wide)
{
    return wide ? ((const midge_int16 *)(const void *)row)[at] : row[at];
}

MIDGE_INLINE void put(int8_t *row, int32_t at, int32_t value, int wide)
{
    if (wide)
        ((midge_int16 *)(void *)row)[at] = (int16_t)value;
    else
        row[at] = (int8_t)value;
}

/* total / count, ties away from zero; with `offset` as if it had been added to every element. */
MIDGE_INLINE int32_t rounded_mean(int32_t total, int32_t count, int32_t offset)
{
    const int32_t shifted = total + offset * count;
    const int32_t half = count / 2;
    const int32_t mean = shifted > 0 ? (shifted + half) / count : -((half - shifted) / count);
    return mean - offset;
}

MIDGE_INLINE int32_t taps_inside(const window *w)
{
    int32_t rows = 0;
    for (int32_t ky = 0; ky < w->height; ky++)
        rows += w->lines[ky] >= 0;
    return rows * w->count;
}

/* Sums of four neighbouring channels of int8. */
MIDGE_INLINE void sum_four(int32_t totals[4], const int8_t *arena, const window *w, int32_t channel)
{
#if defined(__ARM_FEATURE_MVE)
    int32x4_t sums = vdupq_n_s32(0);
#else
    int32_t sums[4] = {0, 0, 0, 0};
#endif
    for (int32_t ky = 0; ky < w->height; ky++) {
        if (w->lines[ky] < 0)
            continue;
        const int8_t *x = arena + w->lines[ky] + w->first * w->channels + channel;
        for (int32_t kx = w->count; kx > 0; kx--, x += w->channels)
#if defined(__ARM_FEATURE_MVE)
            sums = vaddq_s32(sums, vldrbq_s32(x));
#else
            for (int32_t i = 0; i < 4; i++)
                sums[i] += x[i];
#endif
    }
#if defined(__ARM_FEATURE_MVE)
    vst1q_s32(totals, sums);
#else
    memcpy(totals, sums, sizeof sums);
#endif
}

MIDGE_INLINE void average_pixel(
    const int8_t *arena, const window *w, int8_t *y, int32_t offset, int32_t least,
    int32_t greatest, int wide)
{
    const int32_t taps = taps_inside(w);
    int32_t channel = 0;
    for (; !wide && channel + 4 <= w->channels; channel += 4) {
        int32_t totals[4];
        sum_four(totals, arena, w, channel);
        for (int32_t i = 0; i < 4; i++)
            y[channel + i] = (int8_t)midge_clamp(
                rounded_mean(totals[i], taps, offset), least, greatest);
    }
    for (; channel < w->channels; channel++) {
        int32_t total = 0;
        for (int32_t ky = 0; ky < w->height; ky++) {
            if (w->lines[ky] < 0)
                continue;
            const int8_t *row = arena + w->lines[ky];
            int32_t at = w->first * w->channels + channel;
            for (int32_t kx = w->count; kx > 0; kx--, at += w->channels)
                total += element(row, at, wide);
        }
        const int32_t mean = rounded_mean(total, taps, offset);
        put(y, channel, midge_clamp(mean, least, greatest), wide);
    }
}

MIDGE_INLINE void max_pixel(
    const int8_t *arena, const window *w, int8_t *y, int32_t least, int32_t greatest, int wide)
{
    for (int32_t channel = 0; channel < w->channels; channel++) {
        int32_t most = wide ? INT16_MIN : INT8_MIN;
        for (int32_t ky = 0; ky < w->height; ky++) {
            if (w->lines[ky] < 0)
                continue;
            const int8_t *row = arena + w->lines[ky];
            int32_t at = w->first * w->channels + channel;
            for (int32_t kx = w->count; kx > 0; kx--, at += w->channels) {
                const int32_t value = element(row, at, wide);
                most = value > most ? value : most;
            }
        }
        put(y, channel, midge_clamp(most, least, greatest), wide);
    }
}

/* Walks output pixels: `make` sees `seen`, the window of the pixel, and `y`, where it goes. */
#define MIDGE_POOL_BODY(bytes, make)                                                              \
    {                                                                                             \
        const midge_int32 *x_rows = midge_int32_at(constants, p->x);                              \
        const midge_int32 *y_rows = midge_int32_at(constants, p->y);                              \
        for (int32_t row = 0; row < p->rows; row++, x_rows += p->stride_height) {                 \
            int8_t *y = arena + y_rows[row];                                                      \
            for (int32_t column = 0; column < p->width; column++) {                               \
                const midge_taps taps = midge_taps_at(                                            \
                    column * p->stride_width - p->pad_left, p->window_width, 1, p->in_width);     \
                const window seen = {                                                             \
                    x_rows, p->window_height, taps.left + taps.begin, taps.end - taps.begin,      \
                    p->channels};                                                                 \
                make;                                                                             \
                y += (bytes) * p->channels;                                                       \
            }                                                                                     \
        }                                                                                         \
    }

void midge_average_pool2d_s8(
    int8_t *arena, const int8_t *constants, const midge_average_pool2d_s8_params *p)
MIDGE_POOL_BODY(
    1, average_pixel(arena, &seen, y, p->ties ? 128 : 0, p->least, p->greatest, 0))

void midge_average_pool2d_s16(
    int8_t *arena, const int8_t *constants, const midge_average_pool2d_s16_params *p)
MIDGE_POOL_BODY(
    2, average_pixel(arena, &seen, y, p->ties ? 128 : 0, p->least, p->greatest, 1))

/* Adds `count` neighbouring pixels, channel by channel. */
static void add_pixels(midge_int32 *sums, const int8_t *x, int32_t count, int32_t channels)
{
    int32_t first = 0;
#if defined(MIDGE_DSP)
    for (; count < 256 && first + 4 <= channels; first += 4) { /* sums of bytes in 16 bits */
        const int8_t *at = x + first;
        uint32_t even = 0, odd = 0;
        for (int32_t left = count; left > 0; left--, at += channels) {
            const uint32_t bytes = midge_load4(at);
            even = midge_widen_even(even, bytes);
            odd = midge_widen_odd(odd, bytes);
        }
        sums[first] += (int16_t)even;
        sums[first + 1] += (int16_t)odd;
        sums[first + 2] += (int32_t)even >> 16;
        sums[first + 3] += (int32_t)odd >> 16;
    }
#endif
    for (; count > 0; count--, x += channels)
        for (int32_t channel = first; channel < channels; channel++)
            sums[channel] += x[channel];
}

/* Adds some rows of x to the sums; the last row of all makes the output. */
void midge_average_pool2d_by_row_s8(
    int8_t *arena, const int8_t *constants, const midge_average_pool2d_by_row_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    midge_int32 *sums = (midge_int32 *)(void *)(arena + p->sums);
    int8_t *y = arena + p->y;
    if (p->first == 0)
        memset(sums, 0, sizeof *sums * (size_t)(p->width * p->channels));
    for (int32_t column = 0; column < p->width; column++) {
        const midge_taps taps = midge_taps_at(
            column * p->stride_width - p->pad_left, p->window_width, 1, p->in_width);
        const int32_t count = taps.end - taps.begin;
        for (int32_t row = 0; row < p->rows; row++) {
            const int8_t *x = arena + x_rows[row] + (taps.left + taps.begin) * p->channels;
            add_pixels(sums, x, count, p->channels);
        }
        if (p->first + p->rows == p->height)
            for (int32_t channel = 0; channel < p->channels; channel++) {
                const int32_t mean = rounded_mean(
                    sums[channel], p->height * count, p->ties ? 128 : 0);
                y[channel] = (int8_t)midge_clamp(mean, p->least, p->greatest);
            }
        sums += p->channels;
        y += p->channels;
    }
}

void midge_max_pool2d_s8(
    int8_t *arena, const int8_t *constants, const midge_max_pool2d_s8_params *p)
MIDGE_POOL_BODY(1, max_pixel(arena, &seen, y, p->least, p->greatest, 0))

void midge_max_pool2d_s16(
    int8_t *arena, const int8_t *constants, const midge_max_pool2d_s16_params *p)
MIDGE_POOL_BODY(2, max_pixel(arena, &seen, y, p->least, p->greatest, 1))

static void average_pixel_f32(
    const int8_t *arena, const window *w, midge_float *y, const midge_float *bounds)
{
    const float taps = (float)taps_inside(w);
    for (int32_t channel = 0; channel < w->channels; channel++) {
        float total = 0.0f;
        for (int32_t ky = 0; ky < w->height; ky++) {
            if (w->lines[ky] < 0)
                continue;
            const midge_float *x =
                midge_float_at(arena, w->lines[ky]) + w->first * w->channels + channel;
            for (int32_t kx = w->count; kx > 0; kx--, x += w->channels)
                total += *x;
        }
        y[channel] = midge_clamp_float(total / taps, bounds[0], bounds[1]);
    }
}

static void l2_pixel_f32(
    const int8_t *arena, const window *w, midge_float *y, const midge_float *bounds)
{
    const float taps = (float)taps_inside(w);
    for (int32_t channel = 0; channel < w->channels; channel++) {
        float total = 0.0f;
        for (int32_t ky = 0; ky < w->height; ky++) {
            if (w->lines[ky] < 0)
                continue;
            const midge_float *x =
                midge_float_at(arena, w->lines[ky]) + w->first * w->channels + channel;
            for (int32_t kx = w->count; kx > 0; kx--, x += w->channels)
                total += *x * *x;
        }
        y[channel] = midge_clamp_float(midge_root(total / taps), bounds[0], bounds[1]);
    }
}

static void max_pixel_f32(
    const int8_t *arena, const window *w, midge_float *y, const midge_float *bounds)
{
    for (int32_t channel = 0; channel < w->channels; channel++) {
        float most = -3.402823466e38f;
        for (int32_t ky = 0; ky < w->height; ky++) {
            if (w->lines[ky] < 0)
                continue;
            const midge_float *x =
                midge_float_at(arena, w->lines[ky]) + w->first * w->channels + channel;
            for (int32_t kx = w->count; kx > 0; kx--, x += w->channels)
                most = most < *x ? *x : most;
        }
        y[channel] = midge_clamp_float(most, bounds[0], bounds[1]);
    }
}

void midge_average_pool2d_f32(
    int8_t *arena, const int8_t *constants, const midge_average_pool2d_f32_params *p)
MIDGE_POOL_BODY(
    4, average_pixel_f32(
           arena, &seen, (midge_float *)(void *)y, midge_float_at(constants, p->bounds)))

void midge_max_pool2d_f32(
    int8_t *arena, const int8_t *constants, const midge_max_pool2d_f32_params *p)
MIDGE_POOL_BODY(
    4, max_pixel_f32(
           arena, &seen, (midge_float *)(void *)y, midge_float_at(constants, p->bounds)))

void midge_l2_pool2d_f32(
    int8_t *arena, const int8_t *constants, const midge_l2_pool2d_f32_params *p)
MIDGE_POOL_BODY(
    4, l2_pixel_f32(
           arena, &seen, (midge_float *)(void *)y, midge_float_at(constants, p->bounds)))
