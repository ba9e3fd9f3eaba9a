/* Resizing of images (kernels/resize.py). */
#include "midge_copying.h"
#include "midge_kernels.h"

enum { FRACTION_BITS = 10, ONE = 1 << FRACTION_BITS };

void midge_resize_nearest(
    int8_t *arena, const int8_t *constants, const midge_resize_nearest_params *p)
{
    const midge_int32 *rows = midge_int32_at(constants, p->rows);
    const midge_int32 *columns = midge_int32_at(constants, p->columns);
    int8_t *y = arena + p->y;
    for (int32_t image = 0; image < p->images; image++)
        for (int32_t row = 0; row < p->y_height; row++) {
            const int8_t *line =
                arena + p->x + (image * p->height + rows[row]) * p->width * p->pixel_bytes;
            for (int32_t column = 0; column < p->y_width; column++) {
                midge_move(y, line + columns[column] * p->pixel_bytes, p->pixel_bytes);
                y += p->pixel_bytes;
            }
        }
}

/* total / 2**(2 * FRACTION_BITS), rounded half away from zero. */
MIDGE_INLINE int64_t rounded(int64_t total)
{
    const int64_t half = (int64_t)ONE * ONE / 2;
    const int64_t magnitude = ((total < 0 ? -total : total) + half) >> (2 * FRACTION_BITS);
    return total > 0 ? magnitude : -magnitude;
}

/* `rows` and `columns` hold the nearer, the farther index, and the weight of the farther. */
#define MIDGE_BILINEAR_BODY(type)                                                                 \
    {                                                                                             \
        const midge_int32 *rows = midge_int32_at(constants, p->rows);                             \
        const midge_int32 *columns = midge_int32_at(constants, p->columns);                       \
        const type *x = (const type *)(const void *)(arena + p->x);                               \
        type *y = (type *)(void *)(arena + p->y);                                                 \
        const int32_t line = p->width * p->channels;                                              \
        for (int32_t image = 0; image < p->images; image++)                                       \
            for (int32_t row = 0; row < p->y_height; row++) {                                     \
                const type *top = x + (image * p->height + rows[row]) * line;                     \
                const type *bottom = x + (image * p->height + rows[p->y_height + row]) * line;    \
                const int64_t down = rows[2 * p->y_height + row];                                 \
                for (int32_t column = 0; column < p->y_width; column++) {                         \
                    const int32_t left = columns[column] * p->channels;                           \
                    const int32_t right = columns[p->y_width + column] * p->channels;             \
                    const int64_t across = columns[2 * p->y_width + column];                      \
                    for (int32_t c = 0; c < p->channels; c++) {                                   \
                        const int64_t upper =                                                     \
                            top[left + c] * (ONE - across) + top[right + c] * across;             \
                        const int64_t lower =                                                     \
                            bottom[left + c] * (ONE - across) + bottom[right + c] * across;       \
                        *y++ = (type)rounded(upper * (ONE - down) + lower * down);                \
                    }                                                                             \
                }                                                                                 \
            }                                                                                     \
    }

void midge_resize_bilinear_s8(
    int8_t *arena, const int8_t *constants, const midge_resize_bilinear_s8_params *p)
MIDGE_BILINEAR_BODY(int8_t)

void midge_resize_bilinear_s16(
    int8_t *arena, const int8_t *constants, const midge_resize_bilinear_s16_params *p)
MIDGE_BILINEAR_BODY(midge_int16)

/* A float32 as it is, but that -0.0 becomes 0.0. */
#define KEPT(value) ((value) + 0.0f)

/* A number that was uint8 and is stored less 128. */
#define FROM_UINT8(value) ((float)((value) + 128))

/* Rounded half away from zero, and stored less 128. */
static int8_t to_uint8(float value)
{
    const int32_t whole = (int32_t)value;
    const float fraction = value - (float)whole; /* exact */
    return (int8_t)(whole + (fraction >= 0.5f) - (fraction <= -0.5f) - 128);
}

/* Four products of three factors, added in TFLite's order. */
#define MIDGE_BILINEAR_FLOAT_BODY(type, load, store)                                              \
    {                                                                                             \
        const midge_int32 *rows = midge_int32_at(constants, p->rows);                             \
        const midge_int32 *columns = midge_int32_at(constants, p->columns);                       \
        const midge_float *row_weights = midge_float_at(constants, p->row_weights);               \
        const midge_float *column_weights = midge_float_at(constants, p->column_weights);         \
        const type *x = (const type *)(const void *)(arena + p->x);                               \
        type *y = (type *)(void *)(arena + p->y);                                                 \
        const int32_t line = p->width * p->channels;                                              \
        for (int32_t image = 0; image < p->images; image++)                                       \
            for (int32_t row = 0; row < p->y_height; row++) {                                     \
                const type *top = x + (image * p->height + rows[row]) * line;                     \
                const type *bottom = x + (image * p->height + rows[p->y_height + row]) * line;    \
                const float down = row_weights[row];                                              \
                for (int32_t column = 0; column < p->y_width; column++) {                         \
                    const int32_t left = columns[column] * p->channels;                           \
                    const int32_t right = columns[p->y_width + column] * p->channels;             \
                    const float across = column_weights[column];                                  \
                    for (int32_t c = 0; c < p->channels; c++) {                                   \
                        float total = load(top[left + c]) * (1.0f - down) * (1.0f - across);      \
                        total += load(bottom[left + c]) * down * (1.0f - across);                 \
                        total += load(top[right + c]) * (1.0f - down) * across;                   \
                        total += load(bottom[right + c]) * down * across;                         \
                        *y++ = store(total);                                                      \
                    }                                                                             \
                }                                                                                 \
            }                                                                                     \
    }

void midge_resize_bilinear_u8(
    int8_t *arena, const int8_t *constants, const midge_resize_bilinear_u8_params *p)
MIDGE_BILINEAR_FLOAT_BODY(int8_t, FROM_UINT8, to_uint8)

void midge_resize_bilinear_f32(
    int8_t *arena, const int8_t *constants, const midge_resize_bilinear_f32_params *p)
MIDGE_BILINEAR_FLOAT_BODY(midge_float, KEPT, KEPT)
