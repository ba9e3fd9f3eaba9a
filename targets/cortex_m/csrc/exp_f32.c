/* Exponentials (kernels/pointwise.py), apart from the others: they count in double. */
#include "midge_elementwise.h"
#include "midge_exponential.h"
#include "midge_kernels.h"

#define EXP(p, x) midge_exp(x, midge_double_at(constants, (p)->powers))

void midge_exp_f32(
    int8_t *arena, const int8_t *constants, const midge_exp_f32_params *p)
MIDGE_UNARY_BODY(midge_exp_f32_params, midge_float, midge_float, EXP)
