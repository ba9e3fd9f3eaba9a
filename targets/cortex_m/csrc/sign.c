/* 1, 0 or -1 (kernels/sign.py). */
#include "midge_elementwise.h"
#include "midge_kernels.h"

#define SIGN_OF(p, x) ((float)((x) > 0.0f) - (float)((x) < 0.0f))

void midge_sign_f32(
    int8_t *arena, const int8_t *constants, const midge_sign_f32_params *p)
MIDGE_UNARY_BODY(midge_sign_f32_params, midge_float, midge_float, SIGN_OF)
