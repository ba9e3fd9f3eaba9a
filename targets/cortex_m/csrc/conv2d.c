/* 2-D convolution, an output pixel at a time. */
#include <string.h>

#include "midge_dot.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"
#include "midge_window.h"

/* `depth` numbers of one tap each of `count` neighbouring taps, widened. */
static midge_int16 *widen_taps(
    midge_int16 *columns, const midge_conv2d_s8_params *p, const int8_t *x, int32_t count)
{
    const int32_t step = p->dilation_width * p->in_channels;
    if (step == p->depth) { /* side by side: one run */
        midge_widen_s8(columns, x, count * p->depth, -p->input_zero);
        return columns + count * p->depth;
    }
    for (; count > 0; count--, x += step, columns += p->depth)
        midge_widen_s8(columns, x, p->depth, -p->input_zero);
    return columns;
}

/* The window of one pixel whose taps have a multiple of four channels: each is widened from where
 * it is. A tap outside the image is 0. */
static void widen_window(
    midge_int16 *columns, const midge_conv2d_s8_params *p, const int8_t *arena,
    const midge_int32 *lines, midge_taps taps, int32_t channel)
{
    const int32_t start =
        (taps.left + taps.begin * p->dilation_width) * p->in_channels + channel;
    const int32_t row = p->kernel_width * p->depth;
    const size_t before = (size_t)(taps.begin * p->depth) * sizeof *columns;
    for (int32_t ky = 0; ky < p->kernel_height; ky++, lines += p->dilation_height) {
        midge_int16 *const end = columns + row;
        if (*lines >= 0 && taps.end > taps.begin) {
            if (before > 0)
                memset(columns, 0, before);
            columns = widen_taps(
                columns + taps.begin * p->depth, p, arena + *lines + start, taps.end - taps.begin);
        }
        if (columns < end)
            memset(columns, 0, (size_t)(end - columns) * sizeof *columns);
        columns = end;
    }
}

static int8_t *copy_bytes(int8_t *to, const int8_t *from, int32_t count)
{
    for (; count > 0; count--)
        *to++ = *from++;
    return to;
}

static int8_t *fill_bytes(int8_t *to, int8_t value, int32_t count)
{
    for (; count > 0; count--)
        *to++ = value;
    return to;
}

/* Any window: gathered as bytes, in which padding is the zero point, then widened in one piece. */
static void gather_window(
    midge_int16 *columns, const midge_conv2d_s8_params *p, const int8_t *arena,
    const midge_int32 *lines, midge_taps taps, int32_t channel)
{
    const int32_t step = p->dilation_width * p->in_channels, depth = p->depth;
    const int32_t start =
        (taps.left + taps.begin * p->dilation_width) * p->in_channels + channel;
    const int32_t row = p->kernel_width * depth;
    const int32_t elements = p->kernel_height * row;
    const int32_t inside = taps.end > taps.begin ? taps.end - taps.begin : 0;
    const int8_t zero = (int8_t)p->input_zero;
    int8_t *const bytes = (int8_t *)(columns + ((elements + 3) & ~3));
    int8_t *to = bytes;
    for (int32_t ky = 0; ky < p->kernel_height; ky++, lines += p->dilation_height) {
        int8_t *const end = to + row;
        if (*lines >= 0 && inside > 0) {
            const int8_t *x = arena + *lines + start;
            to = fill_bytes(to, zero, taps.begin * depth);
            if (step == depth)
                to = copy_bytes(to, x, inside * depth);
            else
                for (int32_t tap = inside; tap > 0; tap--, x += step)
                    to = copy_bytes(to, x, depth);
        }
        to = fill_bytes(to, zero, (int32_t)(end - to));
    }
    midge_widen_s8(columns, bytes, elements, -p->input_zero);
}

/* The outputs of one group's filters at one pixel, whose window is in `columns`. */
static void make_outputs(
    int8_t *y, const midge_conv2d_s8_params *p, const int8_t *constants, const midge_int16 *columns,
    int32_t first)
{
    const midge_int32 *bias = midge_int32_at(constants, p->bias) + first;
    const midge_int32 *multiplier = midge_int32_at(constants, p->multiplier) + first;
    const midge_int32 *shift = midge_int32_at(constants, p->shift) + first;
    const midge_output output = {p->output_zero, p->least, p->greatest};
    const int32_t elements = p->kernel_height * p->kernel_width * p->depth;
    const int32_t w_offset = -p->weights_zero;
    const int8_t *w = constants + p->weights + first * elements;
    int32_t left = p->group_filters;
    for (; left >= 4; left -= 4) {
        int32_t sums[4] = {bias[0], bias[1], bias[2], bias[3]};
        midge_dot4_columns(sums, columns, w, elements, w_offset);
        midge_requantize(y, sums, 4, multiplier, shift, output);
        w += 4 * elements;
        bias += 4;
        multiplier += 4;
        shift += 4;
        y += 4;
    }
    for (; left > 0; left--) {
        const int32_t sum = midge_dot_columns(*bias++, columns, w, elements, w_offset);
        midge_requantize(y++, &sum, 1, multiplier++, shift++, output);
        w += elements;
    }
}

void midge_conv2d_s8(
    int8_t *arena, const int8_t *constants, const midge_conv2d_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    midge_int16 *columns = (midge_int16 *)(void *)(arena + p->columns);
    for (int32_t row = 0; row < p->rows; row++, x_rows += p->stride_height) {
        int8_t *y = arena + y_rows[row];
        for (int32_t column = 0; column < p->width; column++) {
            const midge_taps taps = midge_taps_at(
                column * p->stride_width - p->pad_left, p->kernel_width, p->dilation_width,
                p->in_width);
            int32_t channel = 0;
            for (int32_t first = 0; first < p->filters; first += p->group_filters) {
                if ((p->depth & 3) == 0)
                    widen_window(columns, p, arena, x_rows, taps, channel);
                else
                    gather_window(columns, p, arena, x_rows, taps, channel);
                make_outputs(y, p, constants, columns, first);
                y += p->group_filters;
                channel += p->depth;
            }
        }
    }
}

void midge_conv2d_s16(
    int8_t *arena, const int8_t *constants, const midge_conv2d_s16_params *p)
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
            const int8_t *w = constants + p->weights;
            for (int32_t o = 0; o < p->filters; o++) {
                const int32_t start = taps.left * p->in_channels + o / p->group_filters * p->depth;
                int64_t sum = bias[o];
                for (int32_t ky = 0; ky < p->kernel_height; ky++, w += p->kernel_width * p->depth) {
                    const int32_t line = x_rows[ky * p->dilation_height];
                    if (line < 0)
                        continue;
                    for (int32_t kx = taps.begin; kx < taps.end; kx++) {
                        const midge_int16 *x =
                            (const midge_int16 *)(const void *)(arena + line) + start
                            + kx * p->dilation_width * p->in_channels;
                        for (int32_t i = 0; i < p->depth; i++)
                            sum += x[i] * w[kx * p->depth + i];
                    }
                }
                const int32_t scaled = p->wide ? midge_scale_64(sum, multiplier[o], shift[o])
                                               : midge_scale((int32_t)sum, multiplier[o], shift[o]);
                *y++ = (int16_t)midge_clamp(scaled, p->least, p->greatest);
            }
        }
    }
}

void midge_conv2d_f32(
    int8_t *arena, const int8_t *constants, const midge_conv2d_f32_params *p)
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
            const midge_float *w = weights;
            for (int32_t o = 0; o < p->filters; o++) {
                const int32_t start = taps.left * p->in_channels + o / p->group_filters * p->depth;
                float sum = 0.0f;
                for (int32_t ky = 0; ky < p->kernel_height; ky++, w += p->kernel_width * p->depth) {
                    const int32_t line = x_rows[ky * p->dilation_height];
                    if (line < 0)
                        continue;
                    for (int32_t kx = taps.begin; kx < taps.end; kx++) {
                        const midge_float *x =
                            (const midge_float *)(const void *)(arena + line) + start
                            + kx * p->dilation_width * p->in_channels;
                        for (int32_t i = 0; i < p->depth; i++)
                            sum += x[i] * w[kx * p->depth + i];
                    }
                }
                *y++ = midge_clamp_float(sum + bias[o], bounds[0], bounds[1]);
            }
        }
    }
}
