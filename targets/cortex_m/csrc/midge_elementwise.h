/* Bodies of kernels that make one output element from one element of each operand.
 *
 * `type` is the operands' element type, `combine(p, a, b)` the operator's arithmetic. The parameters
 * are copied first: a store to y may be a store to *p for all that the compiler knows.
 */
#ifndef MIDGE_ELEMENTWISE_H
#define MIDGE_ELEMENTWISE_H

#include "midge_memory.h"

/* One operand: `rows` rows of `count` elements. */
#define MIDGE_UNARY_BODY(params, type, result, apply)                                             \
    {                                                                                             \
        const params q = *p;                                                                      \
        const midge_int32 *x_rows = midge_int32_at(constants, q.x);                               \
        const midge_int32 *y_rows = midge_int32_at(constants, q.y);                               \
        for (int32_t row = 0; row < q.rows; row++) {                                              \
            const type *x = (const type *)(const void *)(arena + x_rows[row]);                    \
            result *y = (result *)(void *)(arena + y_rows[row]);                                  \
            for (int32_t i = 0; i < q.count; i++)                                                 \
                y[i] = (result)apply(&q, x[i]);                                                   \
        }                                                                                         \
    }

/* Two operands of equal shape, by rows. */
#define MIDGE_SAME_BODY(params, type, combine)                                                    \
    {                                                                                             \
        const params q = *p;                                                                      \
        const midge_int32 *a_rows = midge_int32_at(constants, q.a);                               \
        const midge_int32 *b_rows = midge_int32_at(constants, q.b);                               \
        const midge_int32 *y_rows = midge_int32_at(constants, q.y);                               \
        for (int32_t row = 0; row < q.rows; row++) {                                              \
            const type *a = (const type *)(const void *)(arena + a_rows[row]);                    \
            const type *b = (const type *)(const void *)(arena + b_rows[row]);                    \
            type *y = (type *)(void *)(arena + y_rows[row]);                                      \
            for (int32_t i = 0; i < q.count; i++)                                                 \
                y[i] = (type)combine(&q, a[i], b[i]);                                             \
        }                                                                                         \
    }

/* A second operand that is the same for every row. */
#define MIDGE_ROW_BODY(params, type, combine)                                                     \
    {                                                                                             \
        const params q = *p;                                                                      \
        const midge_int32 *a_rows = midge_int32_at(constants, q.a);                               \
        const midge_int32 *y_rows = midge_int32_at(constants, q.y);                               \
        const int8_t *b_start = (q.b_constant ? constants : arena) + q.b;                         \
        for (int32_t row = 0; row < q.rows; row++) {                                              \
            const type *a = (const type *)(const void *)(arena + a_rows[row]);                    \
            type *y = (type *)(void *)(arena + y_rows[row]);                                      \
            for (int32_t column = 0; column < q.columns; column++) {                              \
                const type *b = (const type *)(const void *)b_start + column * q.b_column;        \
                for (int32_t channel = 0; channel < q.channels; channel++) {                      \
                    *y++ = (type)combine(&q, *a++, *b);                                           \
                    b += q.b_channel;                                                             \
                }                                                                                 \
            }                                                                                     \
        }                                                                                         \
    }

/* Any broadcasting: five sizes, five strides of a and of b in elements (0 where repeated). */
#define MIDGE_FLAT_BODY(params, type, result, combine)                                            \
    {                                                                                             \
        const params q = *p;                                                                      \
        const midge_int32 *size = midge_int32_at(constants, q.axes);                              \
        const midge_int32 *s = size + 5, *t = size + 10;                                          \
        const type *a0 = (const type *)(const void *)((q.a_constant ? constants : arena) + q.a);  \
        const type *b0 = (const type *)(const void *)((q.b_constant ? constants : arena) + q.b);  \
        result *y = (result *)(void *)(arena + q.y);                                              \
        for (int32_t i = 0; i < size[0]; i++)                                                     \
            for (int32_t j = 0; j < size[1]; j++)                                                 \
                for (int32_t k = 0; k < size[2]; k++)                                             \
                    for (int32_t m = 0; m < size[3]; m++) {                                       \
                        const type *a = a0 + i * s[0] + j * s[1] + k * s[2] + m * s[3];           \
                        const type *b = b0 + i * t[0] + j * t[1] + k * t[2] + m * t[3];           \
                        for (int32_t n = 0; n < size[4]; n++) {                                   \
                            *y++ = (result)combine(&q, *a, *b);                                   \
                            a += s[4];                                                            \
                            b += t[4];                                                            \
                        }                                                                         \
                    }                                                                             \
    }

#define MIDGE_BROADCAST_BODY(params, type, combine) MIDGE_FLAT_BODY(params, type, type, combine)

#endif
