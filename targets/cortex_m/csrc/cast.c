/* Numbers as another type (kernels/cast.py). */
#include "midge_kernels.h"
#include "midge_memory.h"

enum { BOOL, S8, U8, S16, S32, S64, F32 };

MIDGE_INLINE int64_t whole(const int8_t *x, int32_t i, int32_t kind)
{
    switch (kind) {
    case U8: return (uint8_t)x[i];
    case S16: return ((const midge_int16 *)(const void *)x)[i];
    case S32: return ((const midge_int32 *)(const void *)x)[i];
    case S64: return ((const midge_int64 *)(const void *)x)[i];
    default: return x[i];
    }
}

/* A float without its fraction; what has no place becomes the least number of 64 or 32 bits. */
MIDGE_INLINE int64_t cut(float x, int32_t kind)
{
    const float limit = kind == S64 ? 9223372036854775808.0f : 2147483648.0f;
    if (x >= -limit && x < limit)
        return (int64_t)x;
    return kind == S64 ? INT64_MIN : INT32_MIN;
}

MIDGE_INLINE void put(int8_t *y, int32_t i, int32_t kind, int64_t value)
{
    switch (kind) {
    case BOOL: y[i] = value != 0; break;
    case S16: ((midge_int16 *)(void *)y)[i] = (int16_t)value; break;
    case S32: ((midge_int32 *)(void *)y)[i] = (int32_t)value; break;
    case S64: ((midge_int64 *)(void *)y)[i] = value; break;
    case F32: ((midge_float *)(void *)y)[i] = (float)value; break;
    default: y[i] = (int8_t)value; break;
    }
}

void midge_cast(int8_t *arena, const int8_t *constants, const midge_cast_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *x = arena + x_rows[row];
        int8_t *y = arena + y_rows[row];
        for (int32_t i = 0; i < p->count; i++) {
            if (p->source != F32) {
                put(y, i, p->target, whole(x, i, p->source));
                continue;
            }
            const float value = midge_float_at(x, 4 * i)[0];
            if (p->target == F32)
                ((midge_float *)(void *)y)[i] = value;
            else if (p->target == BOOL)
                y[i] = value != 0.0f;
            else
                put(y, i, p->target, cut(value, p->target));
        }
    }
}
