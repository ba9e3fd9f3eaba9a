/* Sums, products, greatest and least numbers over any axes (kernels/reduce.py). */
#include "midge_kernels.h"
#include "midge_reducing.h"

#define SUM_S32(total, value) (int32_t)((uint32_t)(total) + (uint32_t)(value))
#define PRODUCT_S32(total, value) (int32_t)((uint32_t)(total) * (uint32_t)(value))
#define SUM_F32(total, value) ((total) + (value))
#define PRODUCT_F32(total, value) ((total) * (value))
/* NaN stays. */
#define MAX(total, value) ((value) > (total) || (value) != (value) ? (value) : (total))
#define MIN(total, value) ((value) < (total) || (value) != (value) ? (value) : (total))

#define REDUCE_BODY(type, start, combine)                                                         \
    {                                                                                             \
        const midge_int32 *axes = midge_int32_at(constants, p->axes);                             \
        const midge_int32 *size = axes + 2 * MIDGE_GROUPS, *stride = axes + 3 * MIDGE_GROUPS;     \
        type *y = (type *)(void *)(arena + p->y);                                                 \
        for (int32_t index = 0; index < axes[0] * axes[1] * axes[2]; index++) {                   \
            const type *x = (const type *)(const void *)(arena + p->x)                            \
                            + midge_first_element(axes, index);                                   \
            type total = start;                                                                   \
            for (int32_t i = 0; i < size[0]; i++)                                                 \
                for (int32_t j = 0; j < size[1]; j++)                                             \
                    for (int32_t k = 0; k < size[2]; k++) {                                       \
                        const type value = x[i * stride[0] + j * stride[1] + k * stride[2]];      \
                        total = combine(total, value);                                            \
                    }                                                                             \
            y[index] = total;                                                                     \
        }                                                                                         \
    }

void midge_sum_s32(
    int8_t *arena, const int8_t *constants, const midge_sum_s32_params *p)
REDUCE_BODY(midge_int32, 0, SUM_S32)

void midge_sum_f32(
    int8_t *arena, const int8_t *constants, const midge_sum_f32_params *p)
REDUCE_BODY(midge_float, 0.0f, SUM_F32)

void midge_product_s32(
    int8_t *arena, const int8_t *constants, const midge_product_s32_params *p)
REDUCE_BODY(midge_int32, 1, PRODUCT_S32)

void midge_product_f32(
    int8_t *arena, const int8_t *constants, const midge_product_f32_params *p)
REDUCE_BODY(midge_float, 1.0f, PRODUCT_F32)

void midge_reduce_max_s8(
    int8_t *arena, const int8_t *constants, const midge_reduce_max_s8_params *p)
REDUCE_BODY(int8_t, *x, MAX)

void midge_reduce_max_s16(
    int8_t *arena, const int8_t *constants, const midge_reduce_max_s16_params *p)
REDUCE_BODY(midge_int16, *x, MAX)

void midge_reduce_max_s32(
    int8_t *arena, const int8_t *constants, const midge_reduce_max_s32_params *p)
REDUCE_BODY(midge_int32, *x, MAX)

void midge_reduce_max_f32(
    int8_t *arena, const int8_t *constants, const midge_reduce_max_f32_params *p)
REDUCE_BODY(midge_float, *x, MAX)

void midge_reduce_min_s8(
    int8_t *arena, const int8_t *constants, const midge_reduce_min_s8_params *p)
REDUCE_BODY(int8_t, *x, MIN)

void midge_reduce_min_s16(
    int8_t *arena, const int8_t *constants, const midge_reduce_min_s16_params *p)
REDUCE_BODY(midge_int16, *x, MIN)

void midge_reduce_min_s32(
    int8_t *arena, const int8_t *constants, const midge_reduce_min_s32_params *p)
REDUCE_BODY(midge_int32, *x, MIN)

void midge_reduce_min_f32(
    int8_t *arena, const int8_t *constants, const midge_reduce_min_f32_params *p)
REDUCE_BODY(midge_float, *x, MIN)
