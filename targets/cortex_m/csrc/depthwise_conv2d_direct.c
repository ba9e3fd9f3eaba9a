/* Depthwise 2-D convolution with no list of taps, for plans that have no room for one. */
#include "midge_dot.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"
#include "midge_window.h"

/* `count` neighbouring channels of a pixel. `x` is the first one's own, in row 0 and column 0; the
 * others read what is `each` further on. */
MIDGE_INLINE void add_window(
    int32_t *sums, int32_t count, const midge_depthwise_conv2d_direct_s8_params *p,
    const int8_t *x, int32_t each, const int8_t *w, const midge_int32 *lines, midge_taps taps)
{
    const int32_t x_step = p->dilation_width * p->in_channels, w_step = p->channels;
    const int32_t x_zero = p->input_zero, w_zero = p->weights_zero;
    const int32_t start = taps.left * p->in_channels + taps.begin * x_step;
    w += taps.begin * w_step;
    for (int32_t ky = p->kernel_height; ky > 0; ky--, lines += p->dilation_height) {
        if (*lines >= 0) {
            const int8_t *from = x + *lines + start, *by = w;
            for (int32_t kx = taps.begin; kx < taps.end; kx++, from += x_step, by += w_step)
                for (int32_t i = 0; i < count; i++)
                    sums[i] += (from[i * each] - x_zero) * (by[i] - w_zero);
        }
        w += p->kernel_width * w_step;
    }
}

static void make_pixel(
    int8_t *y, const midge_depthwise_conv2d_direct_s8_params *p, const int8_t *arena,
    const int8_t *constants, const midge_int32 *lines, midge_taps taps)
{
    const midge_int32 *bias = midge_int32_at(constants, p->bias);
    const midge_int32 *multiplier = midge_int32_at(constants, p->multiplier);
    const midge_int32 *shift = midge_int32_at(constants, p->shift);
    const midge_output output = {p->output_zero, p->least, p->greatest};
    const int8_t *w = constants + p->weights;
    const int32_t multiples = p->multiples, run = multiples == 1 ? p->channels : multiples;
    for (int32_t o = 0; o < p->channels;) {
        const int8_t *x = arena + o / multiples;
        const int32_t count = run - o % run >= 4 ? 4 : 1;
        int32_t sums[4] = {bias[o]};
        if (count == 4) {
            for (int32_t i = 1; i < 4; i++)
                sums[i] = bias[o + i];
            if (multiples == 1)
                add_window(sums, 4, p, x, 1, w + o, lines, taps);
            else
                add_window(sums, 4, p, x, 0, w + o, lines, taps);
        } else {
            add_window(sums, 1, p, x, 0, w + o, lines, taps);
        }
        midge_requantize(y + o, sums, count, multiplier + o, shift + o, output);
        o += count;
    }
}

void midge_depthwise_conv2d_direct_s8(
    int8_t *arena, const int8_t *constants, const midge_depthwise_conv2d_direct_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    for (int32_t row = 0; row < p->rows; row++, x_rows += p->stride_height) {
        int8_t *y = arena + y_rows[row];
        for (int32_t column = 0; column < p->width; column++, y += p->channels) {
            const midge_taps taps = midge_taps_at(
                column * p->stride_width - p->pad_left, p->kernel_width, p->dilation_width,
                p->in_width);
            make_pixel(y, p, arena, constants, x_rows, taps);
        }
    }
}
