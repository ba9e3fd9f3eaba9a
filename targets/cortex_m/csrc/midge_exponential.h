/* exp of float32, with the bits of kernels/exponential.py: 2**(i / 32) times a polynomial. */
#ifndef MIDGE_EXPONENTIAL_H
#define MIDGE_EXPONENTIAL_H

#include <string.h>

#include "midge_memory.h"

/* `powers` are 2**(i / 32) for i = 0 .. 31. */
static float midge_exp(float x, const midge_double *powers)
{
    const double rounder = 0x1.8p+52; /* added and taken away, it leaves the nearest whole number */
    const double held = x < -150.0f ? -150.0 : x > 90.0f ? 90.0 : (double)x;
    if (x != x)
        return x;
    const double steps = held * 0x1.71547652b82fep+5;
    const double nearest = (steps + rounder) - rounder, rest = steps - nearest;
    const int32_t whole = (int32_t)nearest;
    const uint64_t bits = (uint64_t)((whole >> 5) + 1023) << 52;
    double octave;
    memcpy(&octave, &bits, sizeof octave);
    const double high = (0x1.c6af84b912394p-20 * rest + 0x1.ebfce50fac4f3p-13) * (rest * rest);
    return (float)((high + (0x1.62e42ff0c52d6p-6 * rest + 1.0)) * (powers[whole & 31] * octave));
}

#endif
