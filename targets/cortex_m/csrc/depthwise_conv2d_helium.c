/* Depthwise 2-D convolution with windows of three columns and up to four rows: some columns of 16
 * channels are transposed, so that a window of one channel is one vector. */
#include <string.h>

#include "midge_helium_layout.h"
#include "midge_kernels.h"

enum {
    GROUP = 16, /* channels that are transposed together */
    BLOCK_BYTES = 128
};

/* Columns `first` to `first + count - 1` of the input, from channel `channel` on. */
static void transpose(
    int8_t *to, const midge_depthwise_conv2d_helium_s8_params *p, const int8_t *arena,
    const midge_int32 *lines, int32_t first, int32_t count, int32_t channel, const int8_t *padding)
{
    const int32_t channels = p->channels - channel < GROUP ? p->channels - channel : GROUP;
    const int8_t *rows[4] = {padding, padding, padding, padding};
    int32_t step[4] = {0, 0, 0, 0};
    const int32_t before = first < 0 ? -first : 0;
    int32_t inside = p->in_width - first - before;
    inside = inside > count - before ? count - before : inside;
    if (before > 0)
        midge_helium_pad(to, before, p->input_zero);
    if (inside > 0) {
        for (int32_t ky = 0; ky < p->kernel_height; ky++)
            if (lines[ky] >= 0) {
                rows[ky] = arena + lines[ky] + (first + before) * p->channels + channel;
                step[ky] = p->channels;
            }
        midge_helium_transpose(to + before * MIDGE_COLUMN, rows, step, inside, channels);
    }
    const int32_t done = before + (inside > 0 ? inside : 0);
    midge_helium_pad(to + done * MIDGE_COLUMN, count - done, p->input_zero);
}

static midge_helium_loop *loop_of(const midge_depthwise_conv2d_helium_s8_params *p)
{
    if (midge_helium_is_rectified(p->output_zero, p->greatest))
        return p->stride_width == 1 ? midge_helium_windows_rectified
                                    : midge_helium_windows_stride2_rectified;
    return p->stride_width == 1 ? midge_helium_windows : midge_helium_windows_stride2;
}

void midge_depthwise_conv2d_helium_s8(
    int8_t *arena, const int8_t *constants, const midge_depthwise_conv2d_helium_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    midge_helium_loop *const run = loop_of(p);
    int8_t padding[GROUP];
    memset(padding, p->input_zero, sizeof padding);
    midge_helium_job job = {
        .y_step = 2 * p->channels, .zero = p->output_zero, .least = p->least,
        .greatest = p->greatest};
    midge_helium_places(&job, p->channels);
    for (int32_t row = 0; row < p->rows; row++, x_rows += p->stride_height)
        for (int32_t column = 0; column < p->width; column += p->pixels) {
            const int32_t left = p->width - column;
            const int32_t pixels = left < p->pixels ? left : p->pixels;
            const int32_t first = column * p->stride_width - p->pad_left;
            /* The last of two pixels reads a fourth column, though its weights are 0. */
            const int32_t count = ((pixels + 1) & ~1) * p->stride_width + 2;
            for (int32_t channel = 0; channel < p->channels; channel += GROUP) {
                const int32_t rest = p->channels - channel;
                transpose(arena + p->columns, p, arena, x_rows, first, count, channel, padding);
                job.x = arena + p->columns;
                job.y = arena + y_rows[row] + column * p->channels + channel;
                job.blocks = constants + p->weights + channel / MIDGE_CHANNELS * BLOCK_BYTES;
                midge_helium_run(
                    &job, run, rest < GROUP ? rest : GROUP, pixels, BLOCK_BYTES,
                    MIDGE_COLUMN / 4);
            }
        }
}
