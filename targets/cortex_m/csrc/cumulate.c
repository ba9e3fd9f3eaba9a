/* Running sums and products along an axis (kernels/cumulate.py). */
#include "midge_kernels.h"
#include "midge_memory.h"
#include "midge_sums.h"

#define SUM_S32(total, value) (int32_t)((uint32_t)(total) + (uint32_t)(value))
#define PRODUCT_S32(total, value) (int32_t)((uint32_t)(total) * (uint32_t)(value))
#define SUM_F32(total, value) ((total) + (value))
#define PRODUCT_F32(total, value) ((total) * (value))

#define CUMULATE_BODY(type, start, combine)                                                       \
    {                                                                                             \
        const type *x = (const type *)(const void *)(arena + p->x);                               \
        type *y = (type *)(void *)(arena + p->y);                                                 \
        const int32_t size = p->size;                                                             \
        (void)constants;                                                                          \
        for (int32_t outer = 0; outer < p->outer; outer++)                                        \
            for (int32_t i = 0; i < p->inner; i++) {                                              \
                type total = start;                                                               \
                for (int32_t j = 0; j < size; j++) {                                              \
                    const int32_t row = outer * size + (p->reverse ? size - 1 - j : j);           \
                    const type value = x[row * p->inner + i];                                     \
                    const type after = combine(total, value);                                     \
                    y[row * p->inner + i] = p->exclusive ? total : after;                         \
                    total = after;                                                                \
                }                                                                                 \
            }                                                                                     \
    }

void midge_cumulative_sum_s32(
    int8_t *arena, const int8_t *constants, const midge_cumulative_sum_s32_params *p)
CUMULATE_BODY(midge_int32, 0, SUM_S32)

void midge_cumulative_sum_f32(
    int8_t *arena, const int8_t *constants, const midge_cumulative_sum_f32_params *p)
CUMULATE_BODY(midge_float, 0.0f, SUM_F32)

void midge_cumulative_product_s32(
    int8_t *arena, const int8_t *constants, const midge_cumulative_product_s32_params *p)
CUMULATE_BODY(midge_int32, 1, PRODUCT_S32)

void midge_cumulative_product_f32(
    int8_t *arena, const int8_t *constants, const midge_cumulative_product_f32_params *p)
CUMULATE_BODY(midge_float, 1.0f, PRODUCT_F32)

void midge_cumulative_sum_s8(
    int8_t *arena, const int8_t *constants, const midge_cumulative_sum_s8_params *p)
{
    const int8_t *x = arena + p->x;
    int8_t *y = arena + p->y;
    (void)constants;
    for (int32_t outer = 0; outer < p->outer; outer++)
        for (int32_t i = 0; i < p->inner; i++) {
            int32_t total = p->x_offset;
            for (int32_t j = 0; j < p->size; j++) {
                const int32_t row = outer * p->size + (p->reverse ? p->size - 1 - j : j);
                const int32_t after = total + p->x_offset + x[row * p->inner + i];
                y[row * p->inner + i] = midge_scaled_sum(
                    p->exclusive ? total : after, p->multiplier, p->shift, p->y_offset);
                total = after;
            }
        }
}
