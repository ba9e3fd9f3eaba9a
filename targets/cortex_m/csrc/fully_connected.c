/* Fully connected layers: four units at a time. */
#include <string.h>

#include "midge_dot.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"

void midge_fully_connected_s8(
    int8_t *arena, const int8_t *constants, const midge_fully_connected_s8_params *p)
{
    const midge_offsets offsets = {-p->input_zero, -p->weights_zero};
    const midge_output output = {p->output_zero, p->least, p->greatest};
    const int8_t *x = arena + p->x;
    int8_t *y = arena + p->y;
    for (int32_t batch = 0; batch < p->batches; batch++, x += p->depth) {
        const midge_int32 *bias = midge_int32_at(constants, p->bias);
        const midge_int32 *multiplier = midge_int32_at(constants, p->multiplier);
        const midge_int32 *shift = midge_int32_at(constants, p->shift);
        const int8_t *w = constants + p->weights;
        for (int32_t left = p->units; left > 0;) {
            const int32_t made = left >= 4 ? 4 : 1;
            int32_t sums[4] = {bias[0], 0, 0, 0};
            if (made == 4) {
                sums[1] = bias[1];
                sums[2] = bias[2];
                sums[3] = bias[3];
                midge_dot4_s8(sums, x, w, p->depth, p->depth, offsets);
            } else {
                sums[0] = midge_dot_s8(sums[0], x, w, p->depth, offsets);
            }
            midge_requantize(y, sums, made, multiplier, shift, output);
            y += made;
            multiplier += made;
            shift += made;
            w += made * p->depth;
            bias += made;
            left -= made;
        }
    }
}

/* Adds some rows of x to the sums; the last row of all makes the output. */
void midge_fully_connected_by_row_s8(
    int8_t *arena, const int8_t *constants, const midge_fully_connected_by_row_s8_params *p)
{
    const midge_offsets offsets = {-p->input_zero, -p->weights_zero};
    const midge_output output = {p->output_zero, p->least, p->greatest};
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    midge_int32 *sums = (midge_int32 *)(void *)(arena + p->sums);
    if (p->first == 0)
        memcpy(sums, constants + p->bias, sizeof *sums * (size_t)p->units);
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *w = constants + p->weights + (p->first + row) * p->length;
        for (int32_t unit = 0; unit < p->units; unit++, w += p->depth)
            sums[unit] = midge_dot_s8(sums[unit], arena + x_rows[row], w, p->length, offsets);
    }
    if (p->first + p->rows == p->height)
        midge_requantize(
            arena + p->y, sums, p->units, midge_int32_at(constants, p->multiplier),
            midge_int32_at(constants, p->shift), output);
}

void midge_fully_connected_s16(
    int8_t *arena, const int8_t *constants, const midge_fully_connected_s16_params *p)
{
    const midge_int64 *bias = midge_int64_at(constants, p->bias);
    const midge_int32 *multiplier = midge_int32_at(constants, p->multiplier);
    const midge_int32 *shift = midge_int32_at(constants, p->shift);
    const midge_int16 *x = (const midge_int16 *)(const void *)(arena + p->x);
    midge_int16 *y = (midge_int16 *)(void *)(arena + p->y);
    for (int32_t batch = 0; batch < p->batches; batch++, x += p->depth) {
        const int8_t *w = constants + p->weights;
        for (int32_t o = 0; o < p->units; o++, w += p->depth) {
            int64_t sum = bias[o];
            for (int32_t i = 0; i < p->depth; i++)
                sum += x[i] * w[i];
            const int32_t scaled = p->wide ? midge_scale_64(sum, multiplier[o], shift[o])
                                           : midge_scale((int32_t)sum, multiplier[o], shift[o]);
            *y++ = (int16_t)midge_clamp(scaled, p->least, p->greatest);
        }
    }
}

void midge_fully_connected_f32(
    int8_t *arena, const int8_t *constants, const midge_fully_connected_f32_params *p)
{
    const midge_float *bias = midge_float_at(constants, p->bias);
    const midge_float *bounds = midge_float_at(constants, p->bounds);
    const midge_float *x = (const midge_float *)(const void *)(arena + p->x);
    midge_float *y = (midge_float *)(void *)(arena + p->y);
    for (int32_t batch = 0; batch < p->batches; batch++, x += p->depth) {
        const midge_float *w = midge_float_at(constants, p->weights);
        for (int32_t o = 0; o < p->units; o++, w += p->depth) {
            /* In four lanes if the layer is to round so, else in the first alone. */
            float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
            const int32_t mask = p->lanes - 1;
            for (int32_t i = 0; i < p->depth; i++)
                sums[i & mask] += x[i] * w[i];
            const float sum = mask ? (sums[0] + sums[1]) + (sums[2] + sums[3]) : sums[0];
            *y++ = midge_clamp_float(sum + bias[o], bounds[0], bounds[1]);
        }
    }
}
