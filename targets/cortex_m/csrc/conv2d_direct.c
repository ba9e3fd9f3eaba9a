/* 2-D convolution that takes its input from where it lies, for plans with no room to widen it in. */
#include "midge_dot.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"
#include "midge_window.h"

/* Bytes of x and w that lie side by side, `runs` times in a row of the kernel. */
typedef struct {
    int32_t x; /* of the first run, from the row's start */
    int32_t w; /* of the first run, from the kernel row's start */
    int32_t length;
    int32_t runs;
    int32_t x_step;
} midge_runs;

static midge_runs runs_of(const midge_conv2d_direct_s8_params *p, midge_taps taps, int32_t channel)
{
    const int32_t count = taps.end > taps.begin ? taps.end - taps.begin : 0;
    const int32_t step = p->dilation_width * p->in_channels;
    const int32_t x = taps.left * p->in_channels + taps.begin * step + channel;
    midge_runs r = {x, taps.begin * p->depth, p->depth, count, step};
    if (step == p->depth && count > 0) {
        r.length = count * p->depth;
        r.runs = 1;
    }
    return r;
}

/* Four neighbouring filters, or one. */
static void add_window(
    int32_t *sums, int32_t filters, const midge_conv2d_direct_s8_params *p, const int8_t *arena,
    const midge_int32 *lines, const int8_t *w, midge_runs r)
{
    const midge_offsets offsets = {-p->input_zero, -p->weights_zero};
    const int32_t row = p->kernel_width * p->depth;
    const int32_t elements = p->kernel_height * row;
    for (int32_t ky = 0; ky < p->kernel_height; ky++, lines += p->dilation_height, w += row) {
        const int8_t *x = arena + *lines + r.x, *run = w + r.w;
        if (*lines < 0)
            continue;
        for (int32_t i = r.runs; i > 0; i--, x += r.x_step, run += r.length)
            if (filters == 4)
                midge_dot4_s8(sums, x, run, elements, r.length, offsets);
            else
                *sums = midge_dot_s8(*sums, x, run, r.length, offsets);
    }
}

static void make_pixel(
    int8_t *y, const midge_conv2d_direct_s8_params *p, const int8_t *arena,
    const int8_t *constants, const midge_int32 *lines, midge_taps taps)
{
    const midge_int32 *bias = midge_int32_at(constants, p->bias);
    const midge_int32 *multiplier = midge_int32_at(constants, p->multiplier);
    const midge_int32 *shift = midge_int32_at(constants, p->shift);
    const midge_output output = {p->output_zero, p->least, p->greatest};
    const int32_t elements = p->kernel_height * p->kernel_width * p->depth;
    const int8_t *w = constants + p->weights;
    int32_t channel = 0;
    for (int32_t first = 0; first < p->filters; first += p->group_filters, channel += p->depth) {
        const midge_runs r = runs_of(p, taps, channel);
        for (int32_t o = first; o < first + p->group_filters;) {
            const int32_t count = first + p->group_filters - o >= 4 ? 4 : 1;
            int32_t sums[4] = {bias[o]};
            for (int32_t i = 1; i < count; i++)
                sums[i] = bias[o + i];
            add_window(sums, count, p, arena, lines, w, r);
            midge_requantize(y + o, sums, count, multiplier + o, shift + o, output);
            w += count * elements;
            o += count;
        }
    }
}

void midge_conv2d_direct_s8(
    int8_t *arena, const int8_t *constants, const midge_conv2d_direct_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    for (int32_t row = 0; row < p->rows; row++, x_rows += p->stride_height) {
        int8_t *y = arena + y_rows[row];
        for (int32_t column = 0; column < p->width; column++, y += p->filters) {
            const midge_taps taps = midge_taps_at(
                column * p->stride_width - p->pad_left, p->kernel_width, p->dilation_width,
                p->in_width);
            make_pixel(y, p, arena, constants, x_rows, taps);
        }
    }
}
