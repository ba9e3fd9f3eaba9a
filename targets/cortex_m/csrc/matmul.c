/* Products of matrices, and of stacks of them (kernels/matmul.py). */
#include "midge_fixedpoint.h"
#include "midge_kernels.h"

#define MATMUL_BODY(type, sum, product, result)                                                   \
    {                                                                                             \
        const type *a0 = (const type *)(const void *)((p->a_constant ? constants : arena) + p->a);\
        const type *b0 = (const type *)(const void *)((p->b_constant ? constants : arena) + p->b);\
        const midge_int32 *places = midge_int32_at(constants, p->places);                         \
        type *y = (type *)(void *)(arena + p->y);                                                 \
        for (int32_t batch = 0; batch < p->batches; batch++, places += 2)                         \
            for (int32_t row = 0; row < p->rows; row++)                                           \
                for (int32_t column = 0; column < p->columns; column++) {                         \
                    const type *a = a0 + places[0] + row * p->a_row;                              \
                    const type *b = b0 + places[1] + column * p->b_column;                        \
                    sum total = 0;                                                                \
                    for (int32_t k = 0; k < p->depth; k++) {                                      \
                        total += product(*a, *b);                                                 \
                        a += p->a_depth;                                                          \
                        b += p->b_depth;                                                          \
                    }                                                                             \
                    *y++ = (type)result(total);                                                   \
                }                                                                                 \
    }

#define PRODUCT_F32(a, b) ((a) * (b))
#define SAME(total) (total)
#define PRODUCT_S8(a, b) (((a) + p->a_offset) * ((b) + p->b_offset))
#define SCALED_S8(total)                                                                          \
    midge_clamp(midge_scale(total, p->multiplier, p->shift) + p->y_offset, INT8_MIN, INT8_MAX)
#define PRODUCT_S16(a, b) ((int64_t)(a) * (b))
#define SCALED_S16(total)                                                                         \
    midge_clamp(midge_scale_64(total, p->multiplier, p->shift), INT16_MIN, INT16_MAX)

void midge_matmul_f32(int8_t *arena, const int8_t *constants, const midge_matmul_f32_params *p)
MATMUL_BODY(midge_float, float, PRODUCT_F32, SAME)

void midge_matmul_s8(int8_t *arena, const int8_t *constants, const midge_matmul_s8_params *p)
MATMUL_BODY(int8_t, int32_t, PRODUCT_S8, SCALED_S8)

void midge_matmul_s16(int8_t *arena, const int8_t *constants, const midge_matmul_s16_params *p)
MATMUL_BODY(midge_int16, int64_t, PRODUCT_S16, SCALED_S16)
