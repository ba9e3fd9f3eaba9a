/* Numbers to bits and back (kernels/binarize.py): a word of 32 channels at a time. */
#include "midge_bits.h"
#include "midge_kernels.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>

/* 16 numbers are compared with one limit at once; a comparison's answer is a bit for each. */
static void binarize_by_sixteen(
    int8_t *arena, const int8_t *constants, const midge_binarize_s8_params *p, int8_t limit)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *x = arena + x_rows[row];
        midge_uint32 *y = (midge_uint32 *)(void *)(arena + y_rows[row]);
        for (int32_t pixel = 0; pixel < p->width; pixel++, x += p->channels)
            for (int32_t left = p->channels; left > 0; left -= 32) {
                const int8_t *own = x + p->channels - left;
                const mve_pred16_t low = vctp8q((uint32_t)left);
                const mve_pred16_t high = left > 16 ? vctp8q((uint32_t)left - 16) : 0;
                *y++ = (uint32_t)vcmpleq_m_n_s8(vldrbq_z_s8(own, low), limit, low)
                       | (uint32_t)vcmpleq_m_n_s8(vldrbq_z_s8(own + 16, high), limit, high) << 16;
            }
    }
}
#endif

/* Bit i is 1 where channel i's number is not over its limit. */
#define MIDGE_BINARIZE_BODY(type, limit_type)                                                     \
    {                                                                                             \
        const midge_int32 *x_rows = midge_int32_at(constants, p->x);                              \
        const midge_int32 *y_rows = midge_int32_at(constants, p->y);                              \
        for (int32_t row = 0; row < p->rows; row++) {                                             \
            const type *x = (const type *)(const void *)(arena + x_rows[row]);                    \
            midge_uint32 *y = (midge_uint32 *)(void *)(arena + y_rows[row]);                      \
            for (int32_t pixel = 0; pixel < p->width; pixel++, x += p->channels) {                \
                const limit_type *limit =                                                         \
                    (const limit_type *)(const void *)(constants + p->limits);                    \
                uint32_t word = 0;                                                                \
                int32_t bit = 0;                                                                  \
                for (int32_t level = 0; level < p->levels; level++)                               \
                    for (int32_t i = 0; i < p->channels; i++) {                                   \
                        word |= (uint32_t)(x[i] <= *limit) << bit;                                \
                        limit += p->limit_step;                                                   \
                        if (++bit == 32) {                                                        \
                            *y++ = word;                                                          \
                            word = 0;                                                             \
                            bit = 0;                                                              \
                        }                                                                         \
                    }                                                                             \
                if (bit > 0)                                                                      \
                    *y++ = word;                                                                  \
            }                                                                                     \
        }                                                                                         \
    }

void midge_binarize_f32(
    int8_t *arena, const int8_t *constants, const midge_binarize_f32_params *p)
MIDGE_BINARIZE_BODY(midge_float, midge_float)

void midge_binarize_s8(
    int8_t *arena, const int8_t *constants, const midge_binarize_s8_params *p)
{
#if defined(__ARM_FEATURE_MVE)
    const int32_t limit = midge_int32_at(constants, p->limits)[0];
    if (p->levels == 1 && p->limit_step == 0 && limit >= INT8_MIN) {
        binarize_by_sixteen(arena, constants, p, (int8_t)limit);
        return;
    }
#endif
    MIDGE_BINARIZE_BODY(int8_t, midge_int32)
}

void midge_bit_planes_s8(
    int8_t *arena, const int8_t *constants, const midge_bit_planes_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *x = arena + x_rows[row];
        midge_uint32 *y = (midge_uint32 *)(void *)(arena + y_rows[row]);
        for (int32_t pixel = 0; pixel < p->width; pixel++, x += p->channels)
            for (int32_t plane = 0; plane < p->bits; plane++)
                for (int32_t begin = 0; begin < p->channels; begin += 32) {
                    const int32_t left = p->channels - begin;
                    uint32_t word = 0;
                    for (int32_t i = 0; i < (left < 32 ? left : 32); i++) {
                        const uint32_t number = (uint32_t)(x[begin + i] - p->zero_point);
                        word |= (number >> plane & 1) << i;
                    }
                    *y++ = word;
                }
    }
}

#define MIDGE_DEBINARIZE_BODY(type, low, high)                                                    \
    {                                                                                             \
        const midge_int32 *x_rows = midge_int32_at(constants, p->x);                              \
        const midge_int32 *y_rows = midge_int32_at(constants, p->y);                              \
        const int32_t words = (p->channels + 31) >> 5;                                            \
        for (int32_t row = 0; row < p->rows; row++) {                                             \
            const midge_uint32 *x = (const midge_uint32 *)(const void *)(arena + x_rows[row]);    \
            type *y = (type *)(void *)(arena + y_rows[row]);                                      \
            for (int32_t pixel = 0; pixel < p->width; pixel++, x += words)                        \
                for (int32_t i = 0; i < p->channels; i++)                                         \
                    *y++ = (type)(x[i >> 5] >> (i & 31) & 1 ? (low) : (high));                    \
        }                                                                                         \
    }

void midge_debinarize_f32(
    int8_t *arena, const int8_t *constants, const midge_debinarize_f32_params *p)
MIDGE_DEBINARIZE_BODY(midge_float, -1.0f, 1.0f)

void midge_debinarize_s8(
    int8_t *arena, const int8_t *constants, const midge_debinarize_s8_params *p)
MIDGE_DEBINARIZE_BODY(int8_t, p->minus, p->plus)
