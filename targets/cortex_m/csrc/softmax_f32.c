/* Softmax of float32 (kernels/softmax.py), apart from the others: it counts in double. */
#include "midge_exponential.h"
#include "midge_kernels.h"

/* One pixel; y holds the exponentials until their sum is known. */
static void softmax_pixel(
    const midge_float *x, midge_float *y, int32_t depth, float beta, const midge_double *powers)
{
    float greatest = -3.402823466e+38f, total = 0.0f;
    for (int32_t i = 0; i < depth; i++)
        greatest = greatest < x[i] ? x[i] : greatest; /* passes over NaN */
    for (int32_t i = 0; i < depth; i++) {
        y[i] = midge_exp((x[i] - greatest) * beta, powers);
        total += y[i];
    }
    for (int32_t i = 0; i < depth; i++)
        y[i] = y[i] / total;
}

void midge_softmax_f32(
    int8_t *arena, const int8_t *constants, const midge_softmax_f32_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    const float beta = *midge_float_at(constants, p->beta);
    const midge_double *powers = midge_double_at(constants, p->powers);
    for (int32_t row = 0; row < p->rows; row++)
        for (int32_t pixel = 0; pixel < p->pixels; pixel++)
            softmax_pixel(
                (const midge_float *)(const void *)(arena + x_rows[row]) + pixel * p->depth,
                (midge_float *)(void *)(arena + y_rows[row]) + pixel * p->depth, p->depth, beta,
                powers);
}
