/* A rank-decomposed filter bank over time (kernels/svdf.py). */
#include "midge_dot.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"

/* Moves a filter's state on by one, and adds what it gives to `total`. */
static int32_t filtered(
    const int8_t *constants, const midge_svdf_s8_params *p, int32_t filter, const int8_t *x,
    midge_int16 *state, int32_t total)
{
    const midge_offsets offsets = {-p->input_zero, 0};
    const int32_t product =
        midge_dot_s8(0, x, constants + p->features + filter * p->depth, p->depth, offsets);
    const int32_t newest = midge_scale(product, p->state_multiplier, p->state_shift);
    const midge_int16 *times =
        (const midge_int16 *)(const void *)(constants + p->times) + filter * p->memory;
    const int32_t last = p->memory - 1;
    for (int32_t i = 0; i < last; i++) {
        state[i] = state[i + 1];
        total += state[i] * times[i];
    }
    state[last] = (int16_t)midge_clamp(newest, INT16_MIN, INT16_MAX);
    return total + state[last] * times[last];
}

void midge_svdf_s8(int8_t *arena, const int8_t *constants, const midge_svdf_s8_params *p)
{
    const midge_int32 *bias = midge_int32_at(constants, p->bias);
    midge_int16 *state = (midge_int16 *)(void *)(arena + p->state);
    const int8_t *x = arena + p->x;
    int8_t *y = arena + p->y;
    for (int32_t batch = 0; batch < p->batches; batch++, x += p->depth)
        for (int32_t unit = 0; unit < p->units; unit++) {
            int32_t total = bias[unit];
            for (int32_t i = unit * p->rank; i < (unit + 1) * p->rank; i++, state += p->memory)
                total = filtered(constants, p, i, x, state, total);
            const int32_t scaled = midge_scale(total, p->output_multiplier, p->output_shift);
            *y++ = (int8_t)midge_clamp(scaled + p->output_zero, INT8_MIN, INT8_MAX);
        }
}

static float filtered_f32(
    const int8_t *constants, const midge_svdf_f32_params *p, int32_t filter, const midge_float *x,
    midge_float *state)
{
    const midge_float *weights = midge_float_at(constants, p->features) + filter * p->depth;
    const midge_float *times = midge_float_at(constants, p->times) + filter * p->memory;
    float newest = 0.0f, total = 0.0f;
    for (int32_t i = 0; i < p->depth; i++)
        newest += x[i] * weights[i];
    for (int32_t i = 0; i < p->memory - 1; i++)
        state[i] = state[i + 1];
    state[p->memory - 1] = newest;
    for (int32_t i = 0; i < p->memory; i++)
        total += state[i] * times[i];
    return total;
}

void midge_svdf_f32(int8_t *arena, const int8_t *constants, const midge_svdf_f32_params *p)
{
    const midge_float *bias = midge_float_at(constants, p->bias);
    const midge_float *bounds = midge_float_at(constants, p->bounds);
    const midge_float *x = midge_float_at(arena, p->x);
    midge_float *state = (midge_float *)(void *)(arena + p->state);
    midge_float *y = (midge_float *)(void *)(arena + p->y);
    for (int32_t batch = 0; batch < p->batches; batch++, x += p->depth)
        for (int32_t unit = 0; unit < p->units; unit++) {
            float total = 0.0f;
            for (int32_t i = unit * p->rank; i < (unit + 1) * p->rank; i++, state += p->memory)
                total += filtered_f32(constants, p, i, x, state);
            *y++ = midge_clamp_float(total + bias[unit], bounds[0], bounds[1]);
        }
}
