/* 2-D convolution: an output pixel at a time, over the taps that lie inside the image. */
#include "midge_dot.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"
#include "midge_window.h"

/* What the filters of one output pixel see: in each kernel row `runs` runs of `length` channels,
 * `run_step` apart in x and one after the other in the weights. */
typedef struct {
    const midge_int32 *lines;
    int32_t start; /* of the first run in a line of x */
    int32_t w_start;
    int32_t runs;
    int32_t run_step;
    int32_t length;
} window;

static window window_at(const midge_conv2d_s8_params *p, const midge_int32 *lines, int32_t column)
{
    const midge_taps taps = midge_taps_at(
        column * p->stride_width - p->pad_left, p->kernel_width, p->dilation_width, p->in_width);
    const int32_t count = taps.end > taps.begin ? taps.end - taps.begin : 0;
    window seen = {
        lines,
        (taps.left + taps.begin * p->dilation_width) * p->in_channels,
        taps.begin * p->depth,
        count,
        p->dilation_width * p->in_channels,
        p->depth,
    };
    if (seen.run_step == p->depth && count > 0) { /* taps side by side: one run */
        seen.runs = 1;
        seen.length = count * p->depth;
    }
    return seen;
}

/* Sums of the four filters whose weights start at `w`, over the group that starts at `channel`. */
MIDGE_INLINE void sum_four(
    int32_t sums[4], const midge_conv2d_s8_params *p, const int8_t *arena, const window *seen,
    int32_t channel, const int8_t *w)
{
    const midge_offsets offsets = {-p->input_zero, -p->weights_zero};
    const int32_t row_bytes = p->kernel_width * p->depth;
    const int32_t filter_bytes = p->kernel_height * row_bytes;
    const midge_int32 *line = seen->lines;
    w += seen->w_start;
    for (int32_t ky = p->kernel_height; ky > 0; ky--, w += row_bytes) {
        if (*line >= 0) {
            const int8_t *x = arena + *line + seen->start + channel;
            const int8_t *w_run = w;
            for (int32_t run = seen->runs; run > 0; run--) {
                midge_dot4_s8(sums, x, w_run, filter_bytes, seen->length, offsets);
                x += seen->run_step;
                w_run += seen->length;
            }
        }
        line += p->dilation_height;
    }
}

MIDGE_INLINE int32_t sum_one(
    int32_t sum, const midge_conv2d_s8_params *p, const int8_t *arena, const window *seen,
    int32_t channel, const int8_t *w)
{
    const midge_offsets offsets = {-p->input_zero, -p->weights_zero};
    const int32_t row_bytes = p->kernel_width * p->depth;
    const midge_int32 *line = seen->lines;
    w += seen->w_start;
    for (int32_t ky = p->kernel_height; ky > 0; ky--, w += row_bytes) {
        if (*line >= 0) {
            const int8_t *x = arena + *line + seen->start + channel;
            const int8_t *w_run = w;
            for (int32_t run = seen->runs; run > 0; run--) {
                sum = midge_dot_s8(sum, x, w_run, seen->length, offsets);
                x += seen->run_step;
                w_run += seen->length;
            }
        }
        line += p->dilation_height;
    }
    return sum;
}

static void make_pixel(
    const midge_conv2d_s8_params *p, const int8_t *arena, const int8_t *constants,
    const window *seen, int8_t *y)
{
    const midge_int32 *bias = midge_int32_at(constants, p->bias);
    const midge_int32 *multiplier = midge_int32_at(constants, p->multiplier);
    const midge_int32 *shift = midge_int32_at(constants, p->shift);
    const int32_t filter_bytes = p->kernel_height * p->kernel_width * p->depth;
    const int8_t *w = constants + p->weights;
    int32_t channel = 0;
    for (int32_t first = 0; first < p->filters; first += p->group_filters, channel += p->depth) {
        int32_t left = p->group_filters;
        while (left > 0) {
            int32_t sums[4] = {bias[0], 0, 0, 0};
            int32_t made = 1;
            if (left >= 4) {
                made = 4;
                sums[1] = bias[1];
                sums[2] = bias[2];
                sums[3] = bias[3];
                sum_four(sums, p, arena, seen, channel, w);
            } else {
                sums[0] = sum_one(sums[0], p, arena, seen, channel, w);
            }
            for (int32_t i = 0; i < made; i++) {
                const int32_t scaled = midge_scale(sums[i], *multiplier++, *shift++);
                *y++ = (int8_t)midge_clamp(scaled + p->output_zero, p->least, p->greatest);
            }
            w += made * filter_bytes;
            bias += made;
            left -= made;
        }
    }
}

void midge_conv2d_s8(
    int8_t *arena, const int8_t *constants, const midge_conv2d_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    for (int32_t row = 0; row < p->rows; row++) {
        int8_t *y = arena + y_rows[row];
        for (int32_t column = 0; column < p->width; column++) {
            const window seen = window_at(p, x_rows, column);
            make_pixel(p, arena, constants, &seen, y);
            y += p->filters;
        }
        x_rows += p->stride_height;
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
