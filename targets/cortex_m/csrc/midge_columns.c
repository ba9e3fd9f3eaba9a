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
    const int32_t words = midge_paired_words(depth), run = p->kernel_width * depth;
    if (step == depth && taps.begin == 0 && taps.end == p->kernel_width)
        return midge_paired_widen(to, x, run, pixels);
    if (step == depth && (depth & 3) != 0) {
        const int32_t begin = taps.begin * depth, end = taps.end * depth;
        for (int32_t i = 0; i < begin; i++)
            bytes[i] = (int8_t)p->input_zero;
        for (int32_t i = begin; i < end; i++)
            bytes[i] = x[i];
        for (int32_t i = end; i < run; i++)
            bytes[i] = (int8_t)p->input_zero;
        return midge_paired_widen(to, bytes, run, pixels);
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

/* A window that is cut by the image's border. */
static MIDGE_NOINLINE void widen_border(
    midge_int32 *to, int8_t *bytes, const midge_columns_shape *p, const int8_t *arena,
    const midge_int32 *lines, int32_t left, int32_t pixels)
{
    const midge_taps taps = midge_taps_at(left, p->kernel_width, p->dilation_width, p->in_width);
    arena += left * p->in_channels;
    for (int32_t ky = p->kernel_height; ky > 0; ky--, lines += p->dilation_height)
        to = *lines >= 0 && taps.end > taps.begin
                 ? widen_clipped(to, bytes, p, arena + *lines, taps, pixels)
                 : fill_row(to, p, pixels);
}

/* A window inside the image whose taps lie side by side: a run of bytes of each row. */
MIDGE_INLINE void widen_runs(
    midge_int32 *to, const int8_t *x, const midge_int32 *lines, const midge_columns_shape *p,
    int32_t height, int32_t run, int32_t pixels)
{
    for (int32_t ky = height; ky > 0; ky--, lines += p->dilation_height)
        to = midge_paired_widen_inline(to, x + *lines, run, pixels);
}

typedef void widen_function(
    midge_int32 *to, const int8_t *x, const midge_int32 *lines, const midge_columns_shape *p);

#define WIDEN(name, height, run, pixels)                                                          \
    static void name(                                                                             \
        midge_int32 *to, const int8_t *x, const midge_int32 *lines, const midge_columns_shape *p) \
    {                                                                                             \
        widen_runs(to, x, lines, p, height, run, pixels);                                         \
    }
WIDEN(widen_for_3, p->kernel_height, p->kernel_width * p->in_channels, 3)
WIDEN(widen_row_for_3, 1, p->kernel_width * p->in_channels, 3)
/* Three taps of an image of three channels: a run known here is a few instructions. */
WIDEN(widen_9_for_3, p->kernel_height, 9, 3)

/* Of fewer pixels at a time: what is left over, or where memory is short. */
static void widen_for_1(
    midge_int32 *to, const int8_t *x, const midge_int32 *lines, const midge_columns_shape *p)
{
    for (int32_t ky = p->kernel_height; ky > 0; ky--, lines += p->dilation_height)
        to = midge_paired_widen(to, x + *lines, p->kernel_width * p->in_channels, 1);
}

static void widen_for_2(
    midge_int32 *to, const int8_t *x, const midge_int32 *lines, const midge_columns_shape *p)
{
    for (int32_t ky = p->kernel_height; ky > 0; ky--, lines += p->dilation_height)
        to = midge_paired_widen(to, x + *lines, p->kernel_width * p->in_channels, 2);
}

static widen_function *widen_by(const midge_columns_shape *p, int32_t pixels)
{
    if (pixels < 3)
        return pixels == 1 ? widen_for_1 : widen_for_2;
    if (p->kernel_height == 1)
        return widen_row_for_3;
    return p->kernel_width * p->in_channels == 9 ? widen_9_for_3 : widen_for_3;
}

/* Whether no row of a window is padding. */
static int32_t has_all_rows(const midge_columns_shape *p, const midge_int32 *lines)
{
    for (int32_t ky = p->kernel_height; ky > 0; ky--, lines += p->dilation_height)
        if (*lines < 0)
            return 0;
    return 1;
}

void midge_columns_walk(const midge_columns_shape *p, int8_t *arena)
{
    const midge_int32 *x_rows = p->x_rows;
    const int32_t clamps = p->least > -128 || p->greatest < 127;
    const int32_t dense = p->dilation_width == 1 || p->kernel_width == 1;
    const int32_t last = p->in_width - p->kernel_width; /* `left` of a window inside */
    const int32_t step = p->stride_width * p->in_channels;
    int8_t *outputs[MIDGE_COLUMNS_PIXELS];
    widen_function *widen = widen_by(p, p->pixels);
    int32_t waiting = p->rows * p->width, pixels = p->pixels, pixel = 0;
    for (int32_t row = 0; row < p->rows; row++, x_rows += p->stride_height) {
        int8_t *y = arena + p->y_rows[row];
        const int32_t inside = dense && has_all_rows(p, x_rows);
        int32_t left = -p->pad_left;
        const int8_t *x = arena + left * p->in_channels;
        for (int32_t i = p->width; i > 0; i--, y += p->filters, left += p->stride_width, x += step) {
            if (pixel == 0 && waiting < pixels) {
                pixels = waiting;
                widen = widen_by(p, pixels);
            }
            midge_int32 *const to = p->columns + pixel;
            if (inside && left >= 0 && left <= last)
                widen(to, x, x_rows, p);
            else
                widen_border(
                    to, (int8_t *)(p->columns + p->words * pixels), p, arena, x_rows, left, pixels);
            outputs[pixel++] = y;
            if (pixel < pixels)
                continue;
            p->product(p->job, p->columns, outputs, pixels);
            for (; clamps && pixel > 0; pixel--)
                midge_clamp_bytes(outputs[pixel - 1], p->filters, p->least, p->greatest);
            waiting -= pixels;
            pixel = 0;
        }
    }
}
