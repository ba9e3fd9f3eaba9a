/* Moving bytes inside the arena. */
#include "midge_copying.h"

void midge_move(int8_t *y, const int8_t *x, int32_t count)
{
    if ((uintptr_t)y <= (uintptr_t)x) {
        int32_t i = 0;
        /* Words, where both sides allow it: a word is read before it is written. */
        if ((((uintptr_t)y | (uintptr_t)x) & 3) == 0)
            for (; i + 4 <= count; i += 4)
                *(midge_int32 *)(void *)(y + i) = *(const midge_int32 *)(const void *)(x + i);
        for (; i < count; i++)
            y[i] = x[i];
    } else {
        for (int32_t i = count - 1; i >= 0; i--)
            y[i] = x[i];
    }
}

void midge_copy_run(int8_t *y, const int8_t *x, int32_t count, int32_t step, int32_t size)
{
    if (step == size) {
        midge_move(y, x, count * size);
        return;
    }
    for (; count > 0; count--, x += step)
        for (int32_t i = 0; i < size; i++)
            *y++ = x[i];
}

void midge_fill(int8_t *y, const int8_t *pattern, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        y[i] = pattern[i & 7];
}
