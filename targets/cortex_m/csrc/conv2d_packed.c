/* 2-D convolution by midge_packed.h: all filters of four output pixels, wherever they lie. */
#include <string.h>

#include "midge_kernels.h"
#include "midge_packed.h"

enum { PIXELS = MIDGE_PACKED_PIXELS };

/* An output pixel: where its window begins. */
typedef struct {
    const midge_int32 *lines; /* of the row table */
    int32_t left;             /* column */
} midge_corner;

static int32_t quads_of(const midge_conv2d_packed_s8_params *p)
{
    return (p->kernel_height * p->kernel_width * p->in_channels + 3) / 4;
}

/* A pixel of padding, behind the windows. */
static int8_t *zeros_of(const midge_conv2d_packed_s8_params *p, int8_t *arena)
{
    return arena + p->slots + 8 * PIXELS * quads_of(p);
}

/* Words of two pixels' neighbouring bytes, every second word; returns where the next one goes. */
static midge_int32 *pack_run(midge_int32 *to, const int8_t *a, const int8_t *b, int32_t count)
{
    const int8_t *const end = a + count;
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
    for (; a < end; to += PIXELS / 2)
        *to = *a++ + (int32_t)((uint32_t)*b++ << 16);
    return to;
}

static int32_t is_inside(
    const midge_conv2d_packed_s8_params *p, midge_corner at, int32_t ky, int32_t kx)
{
    const int32_t column = at.left + kx * p->dilation_width;
    return at.lines[ky * p->dilation_height] >= 0 && column >= 0 && column < p->in_width;
}

/* A tap's channels; the zero points where it lies outside the image. */
static const int8_t *tap_of(
    const midge_conv2d_packed_s8_params *p, int8_t *arena, midge_corner at, int32_t ky,
    int32_t kx)
{
    const int32_t column = at.left + kx * p->dilation_width;
    if (!is_inside(p, at, ky, kx))
        return zeros_of(p, arena);
    return arena + at.lines[ky * p->dilation_height] + column * p->in_channels;
}

/* The windows of two pixels. */
static void gather(
    midge_int32 *to, const midge_conv2d_packed_s8_params *p, int8_t *arena, midge_corner a,
    midge_corner b)
{
    const int32_t depth = p->in_channels, last = p->kernel_width - 1;
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        const int whole = p->dilation_width == 1 && is_inside(p, a, ky, 0) &&
                          is_inside(p, a, ky, last) && is_inside(p, b, ky, 0) &&
                          is_inside(p, b, ky, last);
        const int32_t step = whole ? p->kernel_width : 1;
        for (int32_t kx = 0; kx < p->kernel_width; kx += step)
            to = pack_run(
                to, tap_of(p, arena, a, ky, kx), tap_of(p, arena, b, ky, kx), step * depth);
    }
}

void midge_conv2d_packed_s8(
    int8_t *arena, const int8_t *constants, const midge_conv2d_packed_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    midge_int32 *const slots = (midge_int32 *)(void *)(arena + p->slots);
    const midge_packed_job job = {
        slots, constants + p->weights, quads_of(p), p->filters,
        {p->output_zero, p->least, p->greatest}};
    int8_t *y[PIXELS] = {NULL};
    midge_corner at[PIXELS];
    int32_t waiting = 0;
    memset(zeros_of(p, arena), p->input_zero, (size_t)p->in_channels);
    for (int32_t row = 0; row < p->rows; row++, x_rows += p->stride_height) {
        for (int32_t column = 0; column < p->width; column++) {
            y[waiting] = arena + y_rows[row] + column * p->filters;
            at[waiting++] = (midge_corner){x_rows, column * p->stride_width - p->pad_left};
            const int last = row == p->rows - 1 && column == p->width - 1;
            if (waiting < PIXELS && !last)
                continue;
            for (int32_t i = waiting; i < PIXELS; i++)
                at[i] = at[0];
            for (int32_t i = 0; i < PIXELS; i += 2)
                gather(slots + i / 2, p, arena, at[i], at[i + 1]);
            midge_packed_product(y, waiting, &job);
            waiting = 0;
        }
    }
}
