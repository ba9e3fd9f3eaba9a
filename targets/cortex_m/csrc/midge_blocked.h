/* Products of eight channels, whose sums stay in registers.
 *
 * Weights are blocks of eight channels: their biases, multipliers and shifts, int32 each, then
 * [products][8 channels] bytes. The last block may have channels that are not wanted.
 */
#ifndef MIDGE_BLOCKED_H
#define MIDGE_BLOCKED_H

#include "midge_fixedpoint.h"

/* All channels of two pixels, and of one. */
void midge_blocked_two(
    int8_t *const y[2], const int8_t *x0, const int8_t *x1, const int8_t *weights,
    int32_t products, int32_t channels, midge_output output);
void midge_blocked_one(
    int8_t *y, const int8_t *x, const int8_t *weights, int32_t products, int32_t channels,
    midge_output output);

#endif
