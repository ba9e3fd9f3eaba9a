/* What the kernels of layers of bits share, whatever counts them (kernels/bconv2d.py). */
#ifndef MIDGE_BITS_LAYER_H
#define MIDGE_BITS_LAYER_H

#include "midge_bits.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"
#include "midge_window.h"

enum { BITS_ONE = 1, MEAN_OF_BOTH = 2 };

/* The parameters of all output types begin alike. */
typedef midge_bconv2d_b1_params bits_layer;

/* What an output pixel and a group of filters see, by plane and tap, each plane `slot` words behind
 * the one before; with `outside` for the bits outside the image, in a pixel's last word cut to its
 * channels. True if some of it is outside. */
static int gather_bits(
    midge_uint32 *slots, int32_t slot, const int8_t *arena, const bits_layer *p,
    const midge_int32 *lines, midge_taps taps, int32_t group, uint32_t outside)
{
    const int32_t step = p->dilation_width * p->in_words;
    const int32_t whole = p->kernel_height * p->kernel_width * p->planes;
    int32_t inside = 0;
    for (int32_t plane = 0; plane < p->planes; plane++, slots += slot) {
        midge_uint32 *window = slots;
        const int32_t start =
            taps.left * p->in_words + plane * (p->in_words / p->planes) + group * p->words;
        for (int32_t ky = 0; ky < p->kernel_height; ky++) {
            const int32_t line = lines[ky * p->dilation_height];
            for (int32_t kx = 0; kx < p->kernel_width; kx++) {
                if (line >= 0 && kx >= taps.begin && kx < taps.end) {
                    const midge_uint32 *x =
                        (const midge_uint32 *)(const void *)(arena + line) + start + kx * step;
                    for (int32_t i = 0; i < p->words; i++)
                        *window++ = x[i];
                    inside++;
                } else {
                    for (int32_t i = 1; i < p->words; i++)
                        *window++ = outside;
                    *window++ = outside & (uint32_t)p->tail;
                }
            }
        }
    }
    return inside < whole;
}

/* `...` for each output pixel, which sees `lines`, its `taps`, and `y`, the pixel's output. */
#define MIDGE_EACH_PIXEL(type, y_step, ...)                                                       \
    {                                                                                             \
        const midge_int32 *lines = midge_int32_at(constants, p->x);                               \
        const midge_int32 *y_rows = midge_int32_at(constants, p->y);                              \
        for (int32_t row = 0; row < p->rows; row++, lines += p->stride_height) {                  \
            type *y = (type *)(void *)(arena + y_rows[row]);                                      \
            for (int32_t column = 0; column < p->width; column++, y += (y_step)) {                \
                const midge_taps taps = midge_taps_at(                                            \
                    column * p->stride_width - p->pad_left, p->kernel_width, p->dilation_width,   \
                    p->in_width);                                                                 \
                __VA_ARGS__                                                                       \
            }                                                                                     \
        }                                                                                         \
    }

/* What makes numbers of sums, as values: stores to y might change the parameters for all that a
 * compiler knows. */
typedef struct {
    const midge_float *multiplier;
    const midge_float *bias;
    int32_t least;
    int32_t greatest;
} bits_scale;

#define SCALE_OF(p, constants)                                                                    \
    {midge_float_at(constants, (p)->multiplier), midge_float_at(constants, (p)->bias),            \
     (p)->least, (p)->greatest}

/* v * m + b in float32, v clamped: rounded twice, as two operations. */
MIDGE_INLINE float affine(const bits_scale *scale, int32_t v, int32_t o)
{
    return (float)midge_clamp(v, scale->least, scale->greatest) * scale->multiplier[o]
           + scale->bias[o];
}

/* Clamped, then rounded half away from zero. */
MIDGE_INLINE int8_t rounded_s8(float real)
{
    real = midge_clamp_float(real, -128.0f, 127.0f);
    const int32_t whole = (int32_t)real;
    const float fraction = real - (float)whole; /* exact */
    return (int8_t)(whole + (fraction >= 0.5f) - (fraction <= -0.5f));
}

/* Bits come into `word` from above; it is stored when it is full. */
#define PUT_BIT(v)                                                                                \
    do {                                                                                          \
        word = word >> 1 | midge_over(v, limits[o]);                                              \
        if ((o & 31) == 31 || o + 1 == p->filters)                                                \
            y[o >> 5] = word >> (31 - (o & 31));                                                  \
    } while (0)

#endif
