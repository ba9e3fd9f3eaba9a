/* Square roots of floats, with no library behind them. */
#ifndef MIDGE_ROOT_H
#define MIDGE_ROOT_H

#include <string.h>

#include "midge_memory.h"

/* The greatest whole number whose square is at most x < 2**50. */
MIDGE_INLINE uint32_t midge_whole_root(uint64_t x)
{
    uint64_t result = 0;
    for (uint64_t bit = (uint64_t)1 << 48; bit != 0; bit >>= 2)
        if (x >= result + bit) {
            x -= result + bit;
            result = (result >> 1) + bit;
        } else {
            result >>= 1;
        }
    return (uint32_t)result;
}

/* sqrt, correctly rounded: of the mantissa in whole numbers, one bit more than is kept. */
static inline float midge_root(float x)
{
    uint32_t bits;
    if (!(x > 0.0f && x <= 3.402823466e38f))
        return x == 0.0f || x > 0.0f ? x : (x - x) / 0.0f;
    memcpy(&bits, &x, sizeof bits);
    int32_t exponent = (int32_t)(bits >> 23) - 150;
    uint32_t mantissa = (bits & 0x7FFFFFu) | 0x800000u;
    if (bits < 0x800000u) {
        exponent++;
        for (mantissa = bits; mantissa < 0x800000u; mantissa <<= 1)
            exponent--;
    }
    const int32_t shift = 25 + (exponent & 1 ? 0 : 1); /* the exponent left is even */
    const uint32_t found = (midge_whole_root((uint64_t)mantissa << shift) + 1) >> 1;
    /* found is 2**23 to 2**24, and the answer found * 2**((exponent - shift) / 2 + 1). */
    const uint32_t power = (uint32_t)((exponent - shift) / 2 + 1 + 150);
    bits = (power << 23) + (found - 0x800000u);
    memcpy(&x, &bits, sizeof x);
    return x;
}

#endif
