/* Depthwise 2-D convolution: four channels of an output pixel at a time. */
#include "midge_dot.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"
#include "midge_window.h"

/* Adds one tap of four channels. With the DSP extension the even and odd bytes are widened to pairs
 * (0, 2) and (1, 3), of which each half is one multiply-accumulate. */
MIDGE_INLINE void add_tap(
    int32_t sums[4], const int8_t *x, const int8_t *w, midge_offsets offsets)
{
#if defined(MIDGE_DSP)
    const uint32_t x4 = midge_load4(x), w4 = midge_load4(w);
    const uint32_t x_offset = midge_pair(offsets.x), w_offset = midge_pair(offsets.w);
    const uint32_t x_even = midge_widen_even(x_offset, x4), x_odd = midge_widen_odd(x_offset, x4);
    const uint32_t w_even = midge_widen_even(w_offset, w4), w_odd = midge_widen_odd(w_offset, w4);
    sums[0] = midge_mac_low(sums[0], x_even, w_even);
    sums[1] = midge_mac_low(sums[1], x_odd, w_odd);
    sums[2] = midge_mac_high(sums[2], x_even, w_even);
    sums[3] = midge_mac_high(sums[3], x_odd, w_odd);
#else
    for (int32_t i = 0; i < 4; i++)
        sums[i] += (x[i] + offsets.x) * (w[i] + offsets.w);
#endif
}

/* The four channels whose x starts at `x_channel` of a line and whose weights start at `w`. */
MIDGE_INLINE void sum_four(
    int32_t sums[4], const midge_depthwise_conv2d_s8_params *p, const int8_t *arena,
    const midge_int32 *line, midge_taps taps, int32_t x_channel, const int8_t *w)
{
    const midge_offsets offsets = {-p->input_zero, -p->weights_zero};
    const int32_t x_step = p->dilation_width * p->in_channels;
    const int32_t start = taps.left * p->in_channels + taps.begin * x_step + x_channel;
    w += taps.begin * p->channels;
    for (int32_t ky = p->kernel_height; ky > 0; ky--) {
        if (*line >= 0) {
            const int8_t *x = arena + *line + start;
            const int8_t *w_tap = w;
            for (int32_t kx = taps.end - taps.begin; kx > 0; kx--) {
                add_tap(sums, x, w_tap, offsets);
                x += x_step;
                w_tap += p->channels;
            }
        }
        line += p->dilation_height;
        w += p->kernel_width * p->channels;
    }
}

MIDGE_INLINE int32_t sum_one(
    int32_t sum, const midge_depthwise_conv2d_s8_params *p, const int8_t *arena,
    const midge_int32 *line, midge_taps taps, int32_t x_channel, const int8_t *w)
{
    const int32_t x_offset = -p->input_zero, w_offset = -p->weights_zero;
    const int32_t x_step = p->dilation_width * p->in_channels;
    const int32_t start = taps.left * p->in_channels + taps.begin * x_step + x_channel;
    w += taps.begin * p->channels;
    for (int32_t ky = p->kernel_height; ky > 0; ky--) {
        if (*line >= 0) {
            const int8_t *x = arena + *line + start;
            const int8_t *w_tap = w;
            for (int32_t kx = taps.end - taps.begin; kx > 0; kx--) {
                sum += (*x + x_offset) * (*w_tap + w_offset);
                x += x_step;
                w_tap += p->channels;
            }
        }
        line += p->dilation_height;
        w += p->kernel_width * p->channels;
    }
    return sum;
}

static void make_pixel(
    const midge_depthwise_conv2d_s8_params *p, const int8_t *arena, const int8_t *constants,
    const midge_int32 *lines, midge_taps taps, int8_t *y)
{
    const midge_int32 *bias = midge_int32_at(constants, p->bias);
    const midge_int32 *multiplier = midge_int32_at(constants, p->multiplier);
    const midge_int32 *shift = midge_int32_at(constants, p->shift);
    const int8_t *w = constants + p->weights;
    for (int32_t o = 0; o < p->channels;) {
        int32_t sums[4] = {bias[o], 0, 0, 0};
        int32_t made = 1;
        if (p->multiples == 1 && p->channels - o >= 4) {
            made = 4;
            sums[1] = bias[o + 1];
            sums[2] = bias[o + 2];
            sums[3] = bias[o + 3];
            sum_four(sums, p, arena, lines, taps, o, w);
        } else {
            sums[0] = sum_one(sums[0], p, arena, lines, taps, o / p->multiples, w);
        }
        for (int32_t i = 0; i < made; i++) {
            const int32_t scaled = midge_scale(sums[i], *multiplier++, *shift++);
            *y++ = (int8_t)midge_clamp(scaled + p->output_zero, p->least, p->greatest);
        }
        o += made;
        w += made;
    }
}

void midge_depthwise_conv2d_s8(
    int8_t *arena, const int8_t *constants, const midge_depthwise_conv2d_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    for (int32_t row = 0; row < p->rows; row++, x_rows += p->stride_height) {
        int8_t *y = arena + y_rows[row];
        for (int32_t column = 0; column < p->width; column++, y += p->channels) {
            const midge_taps taps = midge_taps_at(
                column * p->stride_width - p->pad_left, p->kernel_width, p->dilation_width,
                p->in_width);
            make_pixel(p, arena, constants, x_rows, taps, y);
        }
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
