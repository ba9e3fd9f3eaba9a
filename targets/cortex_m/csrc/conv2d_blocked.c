/* 2-D convolution for cores with many registers: eight filters of two output pixels at a time. */
#include <string.h>

#include "midge_blocked.h"
#include "midge_kernels.h"

/* The window of one pixel, kernel rows one after the other; padding is the zero point. */
static void gather(
    int8_t *to, const midge_conv2d_blocked_s8_params *p, const int8_t *arena,
    const midge_int32 *lines, int32_t left)
{
    const int32_t depth = p->in_channels;
    const int whole = p->dilation_width == 1 && left >= 0 && left + p->kernel_width <= p->in_width;
    for (int32_t ky = 0; ky < p->kernel_height; ky++, lines += p->dilation_height) {
        const int8_t *const line = arena + *lines;
        if (*lines >= 0 && whole) {
            memcpy(to, line + left * depth, (size_t)(p->kernel_width * depth));
            to += p->kernel_width * depth;
            continue;
        }
        for (int32_t kx = 0; kx < p->kernel_width; kx++, to += depth) {
            const int32_t column = left + kx * p->dilation_width;
            if (*lines >= 0 && column >= 0 && column < p->in_width)
                memcpy(to, line + column * depth, (size_t)depth);
            else
                memset(to, p->input_zero, (size_t)depth);
        }
    }
}

void midge_conv2d_blocked_s8(
    int8_t *arena, const int8_t *constants, const midge_conv2d_blocked_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    const midge_output output = {p->output_zero, p->least, p->greatest};
    const int32_t products = p->kernel_height * p->kernel_width * p->in_channels;
    int8_t *const slots = arena + p->slots;
    int8_t *y[2] = {NULL, NULL};
    int32_t waiting = 0;
    for (int32_t row = 0; row < p->rows; row++, x_rows += p->stride_height) {
        int8_t *y_pixel = arena + y_rows[row];
        int32_t left = -p->pad_left;
        for (int32_t column = 0; column < p->width; column++) {
            gather(slots + waiting * products, p, arena, x_rows, left);
            y[waiting++] = y_pixel;
            y_pixel += p->filters;
            left += p->stride_width;
            if (waiting == 2) {
                midge_blocked_two(
                    y, slots, slots + products, constants + p->weights, products, p->filters,
                    output);
                waiting = 0;
            }
        }
    }
    if (waiting == 1)
        midge_blocked_one(
            y[0], slots, constants + p->weights, products, p->filters, output);
}
