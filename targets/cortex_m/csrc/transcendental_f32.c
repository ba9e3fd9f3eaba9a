/* Logarithms, angles, tanh and elu of float32, apart from the others: they count in double. */
#include "midge_elementwise.h"
#include "midge_kernels.h"
#include "midge_transcendental.h"

#define LOG(p, x) midge_log(x)
#define SIN(p, x) midge_sin(x, midge_int32_at(constants, (p)->words))
#define COS(p, x) midge_cos(x, midge_int32_at(constants, (p)->words))
#define TANH(p, x) midge_tanh(x, midge_double_at(constants, (p)->powers))
#define ELU(p, x)                                                                                 \
    elu(x, *midge_double_at(constants, (p)->alpha), midge_double_at(constants, (p)->powers))

static float elu(float x, double alpha, const midge_double *powers)
{
    return x > 0.0f ? x : (float)(alpha * midge_expm1(x, powers));
}

void midge_log_f32(
    int8_t *arena, const int8_t *constants, const midge_log_f32_params *p)
MIDGE_UNARY_BODY(midge_log_f32_params, midge_float, midge_float, LOG)

void midge_sin_f32(
    int8_t *arena, const int8_t *constants, const midge_sin_f32_params *p)
MIDGE_UNARY_BODY(midge_sin_f32_params, midge_float, midge_float, SIN)

void midge_cos_f32(
    int8_t *arena, const int8_t *constants, const midge_cos_f32_params *p)
MIDGE_UNARY_BODY(midge_cos_f32_params, midge_float, midge_float, COS)

void midge_tanh_f32(
    int8_t *arena, const int8_t *constants, const midge_tanh_f32_params *p)
MIDGE_UNARY_BODY(midge_tanh_f32_params, midge_float, midge_float, TANH)

void midge_elu_f32(
    int8_t *arena, const int8_t *constants, const midge_elu_f32_params *p)
MIDGE_UNARY_BODY(midge_elu_f32_params, midge_float, midge_float, ELU)
