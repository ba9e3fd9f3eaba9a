/* Depthwise convolution of images one pixel wide, over up to 16 rows: some rows of 16 channels are
 * transposed four at a time, so that a window of one channel is one vector. */
#include <string.h>

#include "midge_helium_layout.h"
#include "midge_kernels.h"

enum { GROUP = 16, BLOCK_BYTES = 112 };

/* Column j has the rows j to j + 3 of the input, of which there are `rows`; the first columns whose
 * rows lie one after the other are transposed at once. */
static void transpose(
    int8_t *to, const int8_t *arena, const midge_int32 *lines, int32_t rows, int32_t columns,
    int32_t pixel, int32_t channel, const int8_t *padding)
{
    const int32_t channels = pixel - channel < GROUP ? pixel - channel : GROUP;
    int32_t together = 1;
    while (together < rows && lines[0] >= 0 && lines[together] == lines[0] + together * pixel)
        together++;
    int32_t done = together - 3 < columns ? together - 3 : columns;
    if (done > 0) {
        const int8_t *const first = arena + lines[0] + channel;
        const int8_t *const four[4] = {first, first + pixel, first + 2 * pixel, first + 3 * pixel};
        const int32_t steps[4] = {pixel, pixel, pixel, pixel};
        midge_helium_transpose(to, four, steps, done, channels);
    } else {
        done = 0;
    }
    for (; done < columns; done++) {
        static const int32_t still[4] = {0, 0, 0, 0};
        const int8_t *four[4];
        for (int32_t i = 0; i < 4; i++) {
            const int32_t row = done + i;
            const int here = row < rows && lines[row] >= 0;
            four[i] = here ? arena + lines[row] + channel : padding;
        }
        midge_helium_transpose(to + done * MIDGE_COLUMN, four, still, 1, channels);
    }
}

void midge_depthwise_column_helium_s8(
    int8_t *arena, const int8_t *constants, const midge_depthwise_column_helium_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    midge_helium_loop *const run = midge_helium_is_rectified(p->output_zero, p->greatest)
                                       ? midge_helium_rows_rectified
                                       : midge_helium_rows;
    int8_t padding[GROUP];
    memset(padding, p->input_zero, sizeof padding);
    midge_helium_job job = {
        .y_step = 2 * p->channels, .zero = p->output_zero, .least = p->least,
        .greatest = p->greatest};
    midge_helium_places(&job, p->channels);
    const int32_t groups = (p->kernel_height + 3) / 4;
    for (int32_t row = 0; row < p->rows;) {
        int32_t pixels = 1;
        while (pixels < p->pixels && row + pixels < p->rows &&
               y_rows[row + pixels] == y_rows[row] + pixels * p->channels)
            pixels++;
        const int32_t columns = ((pixels + 1) & ~1) + 4 * (groups - 1);
        for (int32_t channel = 0; channel < p->channels; channel += GROUP) {
            const int32_t rest = p->channels - channel;
            transpose(
                arena + p->columns, arena, x_rows + row, pixels + p->kernel_height - 1, columns,
                p->channels, channel, padding);
            job.x = arena + p->columns;
            job.y = arena + y_rows[row] + channel;
            job.blocks = constants + p->weights + channel / MIDGE_CHANNELS * BLOCK_BYTES;
            midge_helium_run(
                &job, run, rest < GROUP ? rest : GROUP, pixels, BLOCK_BYTES, MIDGE_COLUMN / 4);
        }
        row += pixels;
    }
}
