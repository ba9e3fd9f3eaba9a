/* 2-D convolution by 3x3 filters with stride 1, four pixels of a row at a time. */
#include <string.h>

#include "midge_kernels.h"
#include "midge_paired.h"
#include "midge_winograd.h"

#define ROWS 3

/* Where the pixels of a tile's row end; those outside the image are a pixel of zero points. */
static void list_ends(
    const int8_t **to, const midge_conv2d_winograd_s8_params *p, const int8_t *row, int32_t left,
    const int8_t *zeros)
{
    for (int32_t i = 0; i < MIDGE_WINOGRAD_INPUTS; i++, left++) {
        const int32_t inside = row != NULL && left >= 0 && left < p->in_width;
        to[i] = inside ? row + (left + 1) * p->in_channels : zeros + p->in_channels;
    }
}

/* All filters of a tile of which `count` pixels are there. */
static void make_outputs(
    const midge_winograd_job *job, const midge_conv2d_winograd_s8_params *p, const midge_int32 *w,
    int8_t *y, int32_t count)
{
    int8_t cut[MIDGE_WINOGRAD_OUTPUTS * MIDGE_WINOGRAD_FILTERS];
    for (int32_t left = p->filters; left > 0; left -= MIDGE_WINOGRAD_FILTERS) {
        w = midge_winograd_products(job, w);
        if (count == MIDGE_WINOGRAD_OUTPUTS) {
            w = midge_winograd_outputs(job->sums, w, y, p->filters);
        } else {
            w = midge_winograd_outputs(job->sums, w, cut, MIDGE_WINOGRAD_FILTERS);
            for (int32_t i = 0; i < count; i++)
                memcpy(y + i * p->filters, cut + 4 * i, MIDGE_WINOGRAD_FILTERS);
        }
        y += MIDGE_WINOGRAD_FILTERS;
    }
}

void midge_conv2d_winograd_s8(
    int8_t *arena, const int8_t *constants, const midge_conv2d_winograd_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    const midge_int32 *w = midge_int32_at(constants, p->weights);
    const int32_t words = p->in_channels / 2; /* of a row's pixel */
    midge_int32 *const x = (midge_int32 *)(void *)(arena + p->columns);
    midge_int32 sums[MIDGE_WINOGRAD_INPUTS * MIDGE_WINOGRAD_FILTERS] MIDGE_ALIGNED(16);
    const midge_winograd_job job = {
        x, x + MIDGE_WINOGRAD_INPUTS * ROWS * words, 4 * ROWS * words, sums};
    int8_t *const zeros = arena + p->columns + MIDGE_WINOGRAD_INPUTS * ROWS * words * 4;
    memset(zeros, p->input_zero, (size_t)p->in_channels);
    for (int32_t row = 0; row < p->rows; row++) {
        int8_t *y = arena + y_rows[row];
        for (int32_t column = 0; column < p->width; column += MIDGE_WINOGRAD_OUTPUTS) {
            const int32_t left = p->width - column;
            for (int32_t ky = 0; ky < ROWS; ky++) {
                const int8_t *ends[MIDGE_WINOGRAD_INPUTS];
                list_ends(ends, p, midge_row(arena, x_rows, row + ky), column - p->pad_left, zeros);
                midge_winograd_transform(ends, x + ky * words, job.stride, p->in_channels);
            }
            make_outputs(
                &job, p, w, y + column * p->filters,
                left < MIDGE_WINOGRAD_OUTPUTS ? left : MIDGE_WINOGRAD_OUTPUTS);
        }
        if (p->least > -128 || p->greatest < 127)
            midge_clamp_bytes(y, p->width * p->filters, p->least, p->greatest);
    }
}
