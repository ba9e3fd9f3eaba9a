/* Windows of output pixels, widened. */
#include "midge_columns.h"

#include "midge_paired.h"
#include "midge_window.h"

/* A kernel row that begins or ends outside the image, put together as bytes where its taps don't
 * begin at words. */
static MIDGE_NOINLINE midge_int32 *widen_clipped(
    midge_int32 *to, int8_t *bytes, const midge_columns_shape *p, const int8_t *x, midge_taps taps,
    int32_t pixels)
{
    const int32_t depth = p->in_channels, step = p->dilation_width * depth;
    const int32_t words = midge_paired_words(depth);
    if (step == depth && (depth & 3) != 0) {
        int8_t *at = bytes;
        for (int32_t i = 0; i < p->kernel_width * depth; i++)
            *at++ = i >= taps.begin * depth && i < taps.end * depth ? x[i] : (int8_t)p->input_zero;
        return midge_paired_widen(to, bytes, p->kernel_width * depth, pixels);
    }
    for (int32_t tap = 0; tap < p->kernel_width; tap++)
        to = tap >= taps.begin && tap < taps.end
                 ? midge_paired_widen(to, x + tap * step, depth, pixels)
                 : midge_paired_fill(to, p->input_zero, words, pixels);
    return to;
}

/* A kernel row outside the image. Not inlined, since there are few. */
static MIDGE_NOINLINE midge_int32 *fill_row(
    midge_int32 *to, const midge_columns_shape *p, int32_t pixels)
{
    const int32_t depth = p->in_channels;
    const int32_t words = p->dilation_width == 1
                              ? midge_paired_words(p->kernel_width * depth)
                              : p->kernel_width * midge_paired_words(depth);
    return midge_paired_fill(to, p->input_zero, words, pixels);
}

/* The window of one pixel. Taps side by side are one run of bytes. */
MIDGE_INLINE void widen_window(
    midge_int32 *to, int8_t *bytes, const midge_columns_shape *p, const int8_t *arena,
    const midge_int32 *lines, midge_taps taps, int32_t pixels)
{
    const int32_t depth = p->in_channels, step = p->dilation_width * depth;
    const int32_t run = p->kernel_width * depth;
    const int32_t whole = step == depth && taps.begin == 0 && taps.end == p->kernel_width;
    arena += taps.left * depth;
    for (int32_t ky = p->kernel_height; ky > 0; ky--, lines += p->dilation_height) {
        if (*lines >= 0 && whole)
            to = midge_paired_widen_inline(to, arena + *lines, run, pixels);
        else if (*lines >= 0 && taps.end > taps.begin)
            to = widen_clipped(to, bytes, p, arena + *lines, taps, pixels);
        else
            to = fill_row(to, p, pixels);
    }
}

typedef void widen_function(
    midge_int32 *to, int8_t *bytes, const midge_columns_shape *p, const int8_t *arena,
    const midge_int32 *lines, midge_taps taps);

#define WIDEN(pixels)                                                                             \
    static void widen_for_##pixels(                                                               \
        midge_int32 *to, int8_t *bytes, const midge_columns_shape *p, const int8_t *arena,        \
        const midge_int32 *lines, midge_taps taps)                                                \
    {                                                                                             \
        widen_window(to, bytes, p, arena, lines, taps, pixels);                                   \
    }
WIDEN(1)
WIDEN(2)
WIDEN(3)

void midge_columns_walk(const midge_columns_shape *p, int8_t *arena)
{
    const midge_int32 *x_rows = p->x_rows;
    const int32_t clamps = p->least > -128 || p->greatest < 127;
    const int32_t plain = p->kernel_height == 1 && p->kernel_width == 1 && p->pad_left == 0;
    static widen_function *const widen[] = {widen_for_1, widen_for_2, widen_for_3};
    int8_t *outputs[MIDGE_COLUMNS_PIXELS];
    int32_t left = p->rows * p->width, pixels = 0, pixel = 0;
    for (int32_t row = 0; row < p->rows; row++, x_rows += p->stride_height) {
        int8_t *y = arena + p->y_rows[row];
        for (int32_t column = 0; column < p->width; column++, y += p->filters) {
            if (pixel == 0)
                pixels = left < p->pixels ? left : p->pixels;
            if (plain && *x_rows >= 0) {
                const int8_t *x = arena + *x_rows + column * p->stride_width * p->in_channels;
                midge_paired_widen(p->columns + pixel, x, p->in_channels, pixels);
            } else {
                const midge_taps taps = midge_taps_at(
                    column * p->stride_width - p->pad_left, p->kernel_width, p->dilation_width,
                    p->in_width);
                int8_t *bytes = (int8_t *)(p->columns + p->words * pixels);
                widen[pixels - 1](p->columns + pixel, bytes, p, arena, x_rows, taps);
            }
            outputs[pixel++] = y;
            if (pixel < pixels)
                continue;
            p->product(p->job, p->columns, outputs, pixels);
            for (; clamps && pixel > 0; pixel--)
                midge_clamp_bytes(outputs[pixel - 1], p->filters, p->least, p->greatest);
            left -= pixels;
            pixel = 0;
        }
    }
}
