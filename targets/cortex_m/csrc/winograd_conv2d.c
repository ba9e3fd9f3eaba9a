/* 3x3 convolution of floats by Winograd's F(4x4, 3x3): kernels/winograd_conv2d.py says what is
 * rounded when. */
#include <string.h>

#include "midge_fixedpoint.h"
#include "midge_kernels.h"

#define TILE 4 /* output pixels along an axis */
#define PATCH 6
#define ELEMENTS (PATCH * PATCH)
#define LANES 16 /* filters of a block */
#define ABOVE 3  /* rows above a tile at which the row table may begin */

typedef const midge_winograd_conv2d_f32_params params;

/* Six inputs, `step` apart, to as many in their place. */
static void forward(float *d, int32_t step)
{
    const float d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step];
    const float four = d4 - d2, inner = d4 - d2 * 4, outer = d3 - d1 * 4, twice = (d3 - d1) * 2;
    d[0] = (d0 - d2) * 4 + four;
    d[step] = inner + outer;
    d[2 * step] = inner - outer;
    d[3 * step] = four + twice;
    d[4 * step] = four - twice;
    d[5 * step] = ((d1 - d3) * 4 - d3) + d[5 * step];
}

/* Six sums, `step` apart, to the four of outputs in the place of the first ones. */
static void backward(float *m, int32_t step)
{
    const float m0 = m[0], m1 = m[step], m2 = m[2 * step], m3 = m[3 * step], m4 = m[4 * step];
    const float near = m1 + m2, apart = m1 - m2, far = m3 + m4, across = m3 - m4;
    m[0] = (m0 + near) + far;
    m[step] = apart + across * 2;
    m[2 * step] = near + far * 4;
    m[3 * step] = (apart + across * 8) + m[5 * step];
}

/* One channel of the patch of a tile; 0 outside the image. `left` is in elements, as is all. */
static void read_patch(
    float *d, params *p, const int8_t *arena, const midge_int32 *lines, int32_t left,
    int32_t channel)
{
    const int32_t channels = p->pixel / 4, width = p->in_row / 4;
    for (int32_t row = 0; row < PATCH; row++) {
        const midge_float *x =
            lines[row] < 0 ? NULL : (const midge_float *)(const void *)(arena + lines[row]);
        for (int32_t column = 0; column < PATCH; column++, d++) {
            const int32_t at = left + column * channels;
            *d = x != NULL && at >= 0 && at < width ? x[at + channel] : 0.0f;
        }
    }
}

/* The inputs of a tile, transformed: to [36][run][channels], from one tile's first number on. */
static void transform_tile(
    midge_float *to, params *p, const int8_t *arena, const midge_int32 *lines, int32_t column)
{
    const int32_t channels = p->pixel / 4;
    const int32_t left = column * TILE * channels - p->before / 4;
    for (int32_t channel = 0; channel < channels; channel++) {
        float d[ELEMENTS];
        read_patch(d, p, arena, lines, left, channel);
        for (int32_t i = 0; i < PATCH; i++)
            forward(d + i, PATCH);
        for (int32_t i = 0; i < PATCH; i++)
            forward(d + i * PATCH, 1);
        for (int32_t i = 0; i < ELEMENTS; i++)
            to[i * p->run * channels + channel] = d[i];
    }
}

/* Sums of a block of filters over all channels, each of `count` tiles. */
static void sum_products(
    midge_float *sums, const midge_float *x, const midge_float *weights, params *p, int32_t count)
{
    const int32_t channels = p->pixel / 4;
    for (int32_t i = 0; i < ELEMENTS; i++, weights += channels * LANES) {
        for (int32_t tile = 0; tile < count; tile++) {
            const midge_float *v = x + (i * p->run + tile) * channels, *u = weights;
            midge_float *to = sums + (i * p->run + tile) * LANES;
            float total[LANES] = {0.0f};
            for (int32_t channel = 0; channel < channels; channel++, u += LANES)
                for (int32_t lane = 0; lane < LANES; lane++)
                    total[lane] += v[channel] * u[lane];
            memcpy(to, total, sizeof total);
        }
    }
}

/* The outputs of a block of filters from `first` on that a tile has inside the image, and wanted:
 * its first row is the one with number `top`. */
static void finish_tile(
    int8_t *arena, const int8_t *constants, params *p, const midge_float *sums, int32_t top,
    int32_t column, int32_t first)
{
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    const midge_float *bias = midge_float_at(constants, p->bias);
    const midge_float *bounds = midge_float_at(constants, p->bounds);
    const int32_t lanes = p->filters - first < LANES ? p->filters - first : LANES;
    for (int32_t lane = 0; lane < lanes; lane++) {
        float m[ELEMENTS];
        for (int32_t i = 0; i < ELEMENTS; i++)
            m[i] = sums[i * p->run * LANES + lane];
        for (int32_t i = 0; i < PATCH; i++)
            backward(m + i, PATCH);
        for (int32_t row = 0; row < TILE; row++) {
            if (top + row < 0 || top + row >= p->rows)
                continue;
            backward(m + row * PATCH, 1);
            midge_float *y = (midge_float *)(void *)(arena + y_rows[top + row]) + first + lane;
            for (int32_t i = 0; i < TILE && column * TILE + i < p->width; i++)
                y[(column * TILE + i) * p->filters] =
                    midge_clamp_float(m[row * PATCH + i] + bias[first + lane], bounds[0], bounds[1]);
        }
    }
}

void midge_winograd_conv2d_f32(
    int8_t *arena, const int8_t *constants, const midge_winograd_conv2d_f32_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    midge_float *x = (midge_float *)(void *)(arena + p->buffer + p->inputs);
    midge_float *sums = (midge_float *)(void *)(arena + p->buffer + p->sums);
    const int32_t above = p->first % TILE, channels = p->pixel / 4;
    const int32_t tiles = (above + p->rows + TILE - 1) / TILE * p->tiles;
    for (int32_t start = 0; start < tiles; start += p->run) {
        const int32_t count = tiles - start < p->run ? tiles - start : p->run;
        for (int32_t i = 0; i < count; i++) {
            const int32_t row = (start + i) / p->tiles * TILE, column = (start + i) % p->tiles;
            transform_tile(x + i * channels, p, arena, x_rows + ABOVE - above + row, column);
        }
        const midge_float *weights = midge_float_at(constants, p->weights);
        for (int32_t first = 0; first < p->filters; first += LANES) {
            sum_products(sums, x, weights, p, count);
            weights += ELEMENTS * channels * LANES;
            for (int32_t i = 0; i < count; i++) {
                const int32_t row = (start + i) / p->tiles * TILE - above;
                const int32_t column = (start + i) % p->tiles;
                finish_tile(arena, constants, p, sums + i * LANES, row, column, first);
            }
        }
    }
}
