/* Sums of int8 numbers in another scale (kernels/add_n.py). */
#ifndef MIDGE_SUMS_H
#define MIDGE_SUMS_H

#include "midge_fixedpoint.h"

/* A sum of numbers less their zero points; it wraps in 32 bits. */
MIDGE_INLINE int8_t midge_scaled_sum(
    int32_t total, int32_t multiplier, int32_t shift, int32_t offset)
{
    const int32_t fine = (int32_t)((uint32_t)total << 19);
    return (int8_t)midge_clamp(midge_scale(fine, multiplier, shift) + offset, INT8_MIN, INT8_MAX);
}

#endif
