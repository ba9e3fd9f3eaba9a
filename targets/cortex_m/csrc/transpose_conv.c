/* Transposed convolution: an output pixel gathers from the input pixels that reach it. */
#include "midge_dot.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"

/* Input indices whose windows reach a (padded) output position: first .. last - 1. */
typedef struct {
    int32_t first;
    int32_t last;
} reach;

static reach reach_of(int32_t position, int32_t taps, int32_t stride, int32_t size)
{
    const int32_t begin = position - taps + stride;
    const int32_t end = position / stride + 1;
    const reach found = {begin > 0 ? begin / stride : 0, end < size ? end : size};
    return found;
}

/* Walks output elements: `sum` is set up by `start`, each input pixel is added by `add` from the
 * element `pixel` of x and the element `tap` of the weights, and `finish` writes element `at`. */
#define MIDGE_TRANSPOSE_CONV_BODY(sum_type, start, add, finish)                                   \
    {                                                                                             \
        int32_t at = 0;                                                                           \
        for (int32_t batch = 0; batch < p->batches; batch++)                                      \
            for (int32_t row = p->pad_top; row < p->pad_top + p->height; row++) {                 \
                const reach down = reach_of(row, p->kernel_height, p->stride_height, p->in_height); \
                for (int32_t column = p->pad_left; column < p->pad_left + p->width; column++) {   \
                    const reach across =                                                          \
                        reach_of(column, p->kernel_width, p->stride_width, p->in_width);          \
                    for (int32_t o = 0; o < p->filters; o++, at++) {                              \
                        sum_type sum = start;                                                     \
                        for (int32_t i = down.first; i < down.last; i++)                          \
                            for (int32_t j = across.first; j < across.last; j++) {                \
                                const int32_t pixel =                                             \
                                    ((batch * p->in_height + i) * p->in_width + j)                \
                                    * p->in_channels;                                             \
                                const int32_t line =                                              \
                                    o * p->kernel_height + row - i * p->stride_height;            \
                                const int32_t tap =                                               \
                                    (line * p->kernel_width + column - j * p->stride_width)       \
                                    * p->in_channels;                                             \
                                add;                                                              \
                            }                                                                     \
                        finish;                                                                   \
                    }                                                                             \
                }                                                                                 \
            }                                                                                     \
    }

void midge_transpose_conv_s8(
    int8_t *arena, const int8_t *constants, const midge_transpose_conv_s8_params *p)
{
    const midge_offsets offsets = {-p->input_zero, -p->weights_zero};
    const int8_t *x = arena + p->x, *w = constants + p->weights;
    const midge_int32 *bias = midge_int32_at(constants, p->bias);
    const midge_int32 *multiplier = midge_int32_at(constants, p->multiplier);
    const midge_int32 *shift = midge_int32_at(constants, p->shift);
    int8_t *y = arena + p->y;
    MIDGE_TRANSPOSE_CONV_BODY(
        int32_t, bias[o], sum = midge_dot_s8(sum, x + pixel, w + tap, p->in_channels, offsets),
        y[at] = (int8_t)midge_clamp(
            midge_scale(sum, multiplier[o], shift[o]) + p->output_zero, p->least, p->greatest))
}

void midge_transpose_conv_s16(
    int8_t *arena, const int8_t *constants, const midge_transpose_conv_s16_params *p)
{
    const midge_int16 *x = (const midge_int16 *)(const void *)(arena + p->x);
    const int8_t *w = constants + p->weights;
    const midge_int64 *bias = midge_int64_at(constants, p->bias);
    const midge_int32 *multiplier = midge_int32_at(constants, p->multiplier);
    const midge_int32 *shift = midge_int32_at(constants, p->shift);
    midge_int16 *y = (midge_int16 *)(void *)(arena + p->y);
    MIDGE_TRANSPOSE_CONV_BODY(
        int64_t, bias[o],
        for (int32_t c = 0; c < p->in_channels; c++) sum += x[pixel + c] * w[tap + c],
        y[at] = (int16_t)midge_clamp(
            p->wide ? midge_scale_64(sum, multiplier[o], shift[o])
                    : midge_scale((int32_t)sum, multiplier[o], shift[o]),
            p->least, p->greatest))
}

void midge_transpose_conv_f32(
    int8_t *arena, const int8_t *constants, const midge_transpose_conv_f32_params *p)
{
    const midge_float *x = midge_float_at(arena, p->x), *w = midge_float_at(constants, p->weights);
    const midge_float *bias = midge_float_at(constants, p->bias);
    const midge_float *bounds = midge_float_at(constants, p->bounds);
    midge_float *y = (midge_float *)(void *)(arena + p->y);
    MIDGE_TRANSPOSE_CONV_BODY(
        float, 0.0f, for (int32_t c = 0; c < p->in_channels; c++) sum += x[pixel + c] * w[tap + c],
        y[at] = midge_clamp_float(sum + bias[o], bounds[0], bounds[1]))
}
