/* 2-D convolution: the windows of some output pixels, then four filters of two pixels at a time. */
#include <string.h>

#include "midge_helium_layout.h"
#include "midge_kernels.h"

/* The window of one pixel whose taps are apart. */
static void gather_dilated(
    int8_t *to, const midge_conv2d_helium_s8_params *p, const midge_helium_image *image,
    int32_t left)
{
    const int32_t depth = p->in_channels;
    for (int32_t ky = 0; ky < p->kernel_height; ky++)
        for (int32_t kx = 0; kx < p->kernel_width; kx++, to += depth) {
            const int32_t line = image->lines[ky * p->dilation_height];
            const int32_t column = left + kx * p->dilation_width;
            if (line >= 0 && column >= 0 && column < p->in_width)
                memcpy(to, image->base + line + column * depth, (size_t)depth);
            else
                memset(to, p->input_zero, (size_t)depth);
        }
}

/* The windows of `count` pixels of a row, from output column `column` on. */
static void gather(
    int8_t *to, const midge_conv2d_helium_s8_params *p, midge_helium_image *image, int32_t column,
    int32_t count)
{
    int32_t left = column * p->stride_width - p->pad_left;
    if (p->dilation_width == 1) {
        image->offset = left * p->in_channels;
        midge_helium_gather(to, image, count);
        return;
    }
    for (; count > 0; count--, left += p->stride_width, to += image->slot)
        gather_dilated(to, p, image, left);
}

/* All filters at `count` pixels, whose windows wait in slots. */
static void multiply(
    midge_helium_job *job, const midge_conv2d_helium_s8_params *p, const int8_t *constants,
    int8_t *slots, int8_t *y, int32_t count)
{
    job->x = slots;
    job->y = y;
    job->blocks = constants + p->weights;
    midge_helium_run(
        job,
        midge_helium_is_rectified(p->output_zero, p->greatest) ? midge_helium_products_rectified
                                                               : midge_helium_products,
        p->filters, count, 48 + 4 * job->slot, 0);
}

void midge_conv2d_helium_s8(
    int8_t *arena, const int8_t *constants, const midge_conv2d_helium_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    int8_t *const slots = arena + p->slots;
    const int32_t slot = p->steps * MIDGE_STEP;
    midge_helium_job job = {
        .slot = slot, .more_steps = p->steps - 1, .y_step = 2 * p->filters,
        .zero = p->output_zero, .least = p->least, .greatest = p->greatest};
    midge_helium_places(&job, p->filters);
    midge_helium_image image = {
        .base = arena, .line_count = p->kernel_height, .line_step = p->dilation_height,
        .line_bytes = p->in_width * p->in_channels, .row = p->kernel_width * p->in_channels,
        .step = p->stride_width * p->in_channels, .slot = slot, .zero = p->input_zero};
    int32_t count = 0;
    int8_t *y = NULL;
    for (int32_t row = 0; row < p->rows; row++, x_rows += p->stride_height) {
        int8_t *const y_row = arena + y_rows[row];
        if (count > 0 && y_row != y + count * p->filters) {
            multiply(&job, p, constants, slots, y, count);
            count = 0;
        }
        image.lines = x_rows;
        for (int32_t column = 0; column < p->width;) {
            const int32_t room = p->pixels - count, left = p->width - column;
            const int32_t more = room < left ? room : left;
            if (count == 0)
                y = y_row + column * p->filters;
            gather(slots + count * slot, p, &image, column, more);
            count += more;
            column += more;
            if (count == p->pixels) {
                multiply(&job, p, constants, slots, y, count);
                count = 0;
            }
        }
    }
    if (count > 0)
        multiply(&job, p, constants, slots, y, count);
}
