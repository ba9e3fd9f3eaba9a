/* Depthwise 2-D convolution: the taps of an output pixel, then four channels at a time. */
#include <string.h>

#include "midge_dot.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"
#include "midge_window.h"

/* Lists the taps that lie inside the image, x from the arena's start; the number of them. */
static int32_t list_taps(
    midge_tap *list, const midge_depthwise_conv2d_s8_params *p, const midge_int32 *lines,
    midge_taps taps)
{
    const int32_t x_step = p->dilation_width * p->in_channels;
    const int32_t start = taps.left * p->in_channels + taps.begin * x_step;
    const midge_tap *const first = list;
    int32_t w_row = taps.begin * p->channels;
    for (int32_t ky = p->kernel_height; ky > 0; ky--, lines += p->dilation_height) {
        if (*lines >= 0) {
            int32_t x = *lines + start, w = w_row;
            for (int32_t kx = taps.begin; kx < taps.end; kx++, list++) {
                list->x = x;
                list->w = w;
                x += x_step;
                w += p->channels;
            }
        }
        w_row += p->kernel_width * p->channels;
    }
    return (int32_t)(list - first);
}

/* Adds the four neighbouring channels that start at x and w, for a multiplier of 1. */
MIDGE_INLINE void sum_four(
    int32_t sums[4], const int8_t *x, const int8_t *w, const midge_tap *taps, int32_t count,
    midge_offsets offsets)
{
    if (offsets.w == 0) {
#if defined(MIDGE_DSP)
        if (count > 0)
            midge_depthwise4_s8(sums, x, w, taps, count, offsets.x);
#else
        int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
        for (; count > 0; count--, taps++) {
            const int8_t *const x4 = x + taps->x, *const w4 = w + taps->w;
            s0 += (x4[0] + offsets.x) * w4[0];
            s1 += (x4[1] + offsets.x) * w4[1];
            s2 += (x4[2] + offsets.x) * w4[2];
            s3 += (x4[3] + offsets.x) * w4[3];
        }
        sums[0] = s0;
        sums[1] = s1;
        sums[2] = s2;
        sums[3] = s3;
#endif
        return;
    }
    for (; count > 0; count--, taps++)
        for (int32_t i = 0; i < 4; i++)
            sums[i] += (x[taps->x + i] + offsets.x) * (w[taps->w + i] + offsets.w);
}

static void make_pixel(
    int8_t *y, const midge_depthwise_conv2d_s8_params *p, const int8_t *arena,
    const int8_t *constants, const midge_tap *taps, int32_t count)
{
    const midge_int32 *bias = midge_int32_at(constants, p->bias);
    const midge_int32 *multiplier = midge_int32_at(constants, p->multiplier);
    const midge_int32 *shift = midge_int32_at(constants, p->shift);
    const midge_output output = {p->output_zero, p->least, p->greatest};
    const midge_offsets offsets = {-p->input_zero, -p->weights_zero};
    const int32_t channels = p->channels, multiples = p->multiples;
    const int8_t *w = constants + p->weights;
    int32_t o = 0;
    if (multiples == 1)
        for (; o + 4 <= channels; o += 4) {
            int32_t sums[4] = {bias[o], bias[o + 1], bias[o + 2], bias[o + 3]};
            sum_four(sums, arena + o, w + o, taps, count, offsets);
            midge_requantize(y + o, sums, 4, multiplier + o, shift + o, output);
        }
    for (; o < channels; o++) {
        const int8_t *x = arena + o / multiples;
        int32_t sum = bias[o];
        for (int32_t i = 0; i < count; i++)
            sum += (x[taps[i].x] + offsets.x) * (w[taps[i].w + o] + offsets.w);
        midge_requantize(y + o, &sum, 1, multiplier + o, shift + o, output);
    }
}

void midge_depthwise_conv2d_s8(
    int8_t *arena, const int8_t *constants, const midge_depthwise_conv2d_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    midge_tap *list = (midge_tap *)(void *)(arena + p->taps);
    for (int32_t row = 0; row < p->rows; row++, x_rows += p->stride_height) {
        int8_t *y = arena + y_rows[row];
        for (int32_t column = 0; column < p->width; column++, y += p->channels) {
            const midge_taps taps = midge_taps_at(
                column * p->stride_width - p->pad_left, p->kernel_width, p->dilation_width,
                p->in_width);
            const int32_t count = list_taps(list, p, x_rows, taps);
            make_pixel(y, p, arena, constants, list, count);
        }
    }
}

/* Adds some rows of x to the sums; the last row of all makes the output. */
void midge_depthwise_conv2d_by_row_s8(
    int8_t *arena, const int8_t *constants, const midge_depthwise_conv2d_by_row_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_output output = {p->output_zero, p->least, p->greatest};
    midge_int32 *sums = (midge_int32 *)(void *)(arena + p->sums);
    int8_t *y = arena + p->y;
    for (int32_t column = 0; column < p->width; column++) {
        const midge_taps taps = midge_taps_at(
            column * p->stride_width - p->pad_left, p->kernel_width, p->dilation_width,
            p->in_width);
        if (p->first == 0)
            memcpy(sums, constants + p->bias, sizeof *sums * (size_t)p->channels);
        for (int32_t row = 0; row < p->rows; row++)
            for (int32_t kx = taps.begin; kx < taps.end; kx++) {
                const int8_t *x =
                    arena + x_rows[row] + (taps.left + kx * p->dilation_width) * p->in_channels;
                const int8_t *w = constants + p->weights +
                                  ((p->first + row) * p->kernel_width + kx) * p->channels;
                for (int32_t o = 0; o < p->channels; o++)
                    sums[o] += (x[o / p->multiples] - p->input_zero) * (w[o] - p->weights_zero);
            }
        if (p->first + p->rows == p->height)
            midge_requantize(
                y, sums, p->channels, midge_int32_at(constants, p->multiplier),
                midge_int32_at(constants, p->shift), output);
        sums += p->channels;
        y += p->channels;
    }
}

void midge_depthwise_conv2d_s16(
    int8_t *arena, const int8_t *constants, const midge_depthwise_conv2d_s16_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    const midge_int64 *bias = midge_int64_at(constants, p->bias);
    const midge_int32 *multiplier = midge_int32_at(constants, p->multiplier);
    const midge_int32 *shift = midge_int32_at(constants, p->shift);
    for (int32_t row = 0; row < p->rows; row++, x_rows += p->stride_height) {
        midge_int16 *y = (midge_int16 *)(void *)(arena + y_rows[row]);
        for (int32_t column = 0; column < p->width; column++) {
            const midge_taps taps = midge_taps_at(
                column * p->stride_width - p->pad_left, p->kernel_width, p->dilation_width,
                p->in_width);
            for (int32_t o = 0; o < p->channels; o++) {
                int64_t sum = bias[o];
                for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                    const int32_t line = x_rows[ky * p->dilation_height];
                    if (line < 0)
                        continue;
                    const midge_int16 *x = (const midge_int16 *)(const void *)(arena + line)
                                           + taps.left * p->in_channels + o / p->multiples;
                    const int8_t *w =
                        constants + p->weights + ky * p->kernel_width * p->channels + o;
                    for (int32_t kx = taps.begin; kx < taps.end; kx++)
                        sum += x[kx * p->dilation_width * p->in_channels] * w[kx * p->channels];
                }
                const int32_t scaled = p->wide ? midge_scale_64(sum, multiplier[o], shift[o])
                                               : midge_scale((int32_t)sum, multiplier[o], shift[o]);
                *y++ = (int16_t)midge_clamp(scaled, p->least, p->greatest);
            }
        }
    }
}

void midge_depthwise_conv2d_f32(
    int8_t *arena, const int8_t *constants, const midge_depthwise_conv2d_f32_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    const midge_float *weights = midge_float_at(constants, p->weights);
    const midge_float *bias = midge_float_at(constants, p->bias);
    const midge_float *bounds = midge_float_at(constants, p->bounds);
    for (int32_t row = 0; row < p->rows; row++, x_rows += p->stride_height) {
        midge_float *y = (midge_float *)(void *)(arena + y_rows[row]);
        for (int32_t column = 0; column < p->width; column++) {
            const midge_taps taps = midge_taps_at(
                column * p->stride_width - p->pad_left, p->kernel_width, p->dilation_width,
                p->in_width);
            for (int32_t o = 0; o < p->channels; o++) {
                float sum = 0.0f;
                for (int32_t ky = 0; ky < p->kernel_height; ky++) {
                    const int32_t line = x_rows[ky * p->dilation_height];
                    if (line < 0)
                        continue;
                    const midge_float *x = (const midge_float *)(const void *)(arena + line)
                                           + taps.left * p->in_channels + o / p->multiples;
                    const midge_float *w = weights + ky * p->kernel_width * p->channels + o;
                    for (int32_t kx = taps.begin; kx < taps.end; kx++)
                        sum += x[kx * p->dilation_width * p->in_channels] * w[kx * p->channels];
                }
                *y++ = midge_clamp_float(sum + bias[o], bounds[0], bounds[1]);
            }
        }
    }
}
