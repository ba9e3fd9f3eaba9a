/* Logarithm of softmax of float32 (kernels/log_softmax.py), apart: it counts in double. */
#include "midge_exponential.h"
#include "midge_kernels.h"
#include "midge_transcendental.h"

static void log_softmax_pixel(
    const midge_float *x, midge_float *y, int32_t depth, const midge_double *powers)
{
    float greatest = -3.402823466e+38f, total = 0.0f;
    for (int32_t i = 0; i < depth; i++)
        greatest = greatest < x[i] ? x[i] : greatest; /* passes over NaN */
    for (int32_t i = 0; i < depth; i++) {
        y[i] = x[i] - greatest;
        total += midge_exp(y[i], powers);
    }
    const float less = midge_log(total);
    for (int32_t i = 0; i < depth; i++)
        y[i] = y[i] - less;
}

void midge_log_softmax_f32(
    int8_t *arena, const int8_t *constants, const midge_log_softmax_f32_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    const midge_double *powers = midge_double_at(constants, p->powers);
    for (int32_t row = 0; row < p->rows; row++)
        for (int32_t pixel = 0; pixel < p->pixels; pixel++)
            log_softmax_pixel(
                (const midge_float *)(const void *)(arena + x_rows[row]) + pixel * p->depth,
                (midge_float *)(void *)(arena + y_rows[row]) + pixel * p->depth, p->depth, powers);
}
