/* Sigmoid of float32 (kernels/sigmoids.py), apart from the others: it counts in double. */
#include "midge_elementwise.h"
#include "midge_exponential.h"
#include "midge_kernels.h"

/* TFLite's bounds: above the first it is 1, below the second the exponential. */
static float logistic(float x, const midge_double *powers)
{
    if (x > 16.619047164916992f)
        return 1.0f;
    return x < -9.0f ? midge_exp(x, powers) : 1.0f / (1.0f + midge_exp(-x, powers));
}

#define LOGISTIC(p, x) logistic(x, midge_double_at(constants, (p)->powers))

void midge_logistic_f32(
    int8_t *arena, const int8_t *constants, const midge_logistic_f32_params *p)
MIDGE_UNARY_BODY(midge_logistic_f32_params, midge_float, midge_float, LOGISTIC)
