/* Depthwise 2-D convolution: an output pixel at a time, four channels at a time. */
#include <string.h>

#include "midge_kernels.h"
#include "midge_paired.h"
#include "midge_quads.h"
#include "midge_window.h"

/* Where each tap lies, from the arena's start; a tap outside the image sees the zero points. */
static void list_taps(
    midge_int32 *to, const midge_depthwise_conv2d_quads_s8_params *p, const midge_int32 *lines,
    midge_taps taps, int32_t zeros)
{
    const int32_t step = p->dilation_width * p->channels;
    for (int32_t ky = 0; ky < p->kernel_height; ky++, lines += p->dilation_height) {
        int32_t at = *lines + taps.left * p->channels;
        for (int32_t kx = 0; kx < p->kernel_width; kx++, at += step)
            *to++ = *lines >= 0 && kx >= taps.begin && kx < taps.end ? at : zeros;
    }
}

/* Whether all rows of a window lie inside the image. */
static int32_t has_all_rows(
    const midge_depthwise_conv2d_quads_s8_params *p, const midge_int32 *lines)
{
    for (int32_t ky = p->kernel_height; ky > 0; ky--, lines += p->dilation_height)
        if (*lines < 0)
            return 0;
    return 1;
}

MIDGE_INLINE void convolve(
    int8_t *arena, const int8_t *constants, const midge_depthwise_conv2d_quads_s8_params *p,
    midge_quads_function *product)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    const midge_int32 *w = midge_int32_at(constants, p->weights);
    const int32_t count = p->kernel_height * p->kernel_width;
    const int32_t zeros = p->taps + 4 * count;
    const int32_t block = 9 + count / 2 * 2 + (count & 1);
    const int32_t clamps = p->least > -128 || p->greatest < 127;
    midge_int32 *const list = (midge_int32 *)(void *)(arena + p->taps);
    midge_quads_job job = {
        list,       list + count / 2 * 2, count / 2, count & 1, 2 * p->output_zero + 1,
        w + block * (p->channels / 4), 0, arena, w};
    memset(arena + zeros, p->input_zero, (size_t)p->channels);
    const int32_t extent = (p->kernel_width - 1) * p->dilation_width + 1;
    for (int32_t row = 0; row < p->rows; row++, x_rows += p->stride_height) {
        const int32_t whole = has_all_rows(p, x_rows);
        int32_t left = -p->pad_left, moves = 0;
        job.y = arena + y_rows[row];
        for (int32_t column = 0; column < p->width; column++, left += p->stride_width) {
            const int32_t inside = left >= 0 && left + extent <= p->in_width;
            if (moves && inside) { /* the same taps further on */
                job.x += p->stride_width * p->channels;
            } else {
                job.x = arena;
                list_taps(
                    list, p, x_rows,
                    midge_taps_at(left, p->kernel_width, p->dilation_width, p->in_width), zeros);
            }
            moves = inside && whole;
            product(&job);
            if (clamps)
                midge_clamp_bytes(job.y, p->channels, p->least, p->greatest);
            job.y += p->channels;
        }
    }
}

void midge_depthwise_conv2d_quads_s8(
    int8_t *arena, const int8_t *constants, const midge_depthwise_conv2d_quads_s8_params *p)
{
    convolve(arena, constants, p, midge_quads_product);
}

/* Windows of 3 x 3, where the least output is the zero point, or above. */
void midge_depthwise_conv2d_quads_relu_s8(
    int8_t *arena, const int8_t *constants, const midge_depthwise_conv2d_quads_relu_s8_params *p)
{
    convolve(arena, constants, p, midge_quads_nine_relu);
}
