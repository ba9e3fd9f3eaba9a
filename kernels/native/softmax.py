"""Native softmax: the twins of `kernels/softmax.py`."""

from __future__ import annotations

import numpy as np

from ..softmax import SOFTMAX_F32, SOFTMAX_S8, SOFTMAX_S8_S16, SOFTMAX_S16, SUM_BITS
from .elementwise import line_of_one
from .exponential import exp
from .fixedpoint import (
    clamp,
    inline,
    multiply_by_quantized_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from .gemmlowp import leading_zeros, one_over_one_plus_x
from .memory import float32_at, float64_at, int8_at, int16_at, int32_at
from .registry import kernel

FLOAT = SOFTMAX_F32.index
FROM_8_TO_8, FROM_8_TO_16, FROM_16 = SOFTMAX_S8.index, SOFTMAX_S8_S16.index, SOFTMAX_S16.index

_LEAST_FLOAT = np.finfo(np.float32).min


@inline
def greatest_of(x, depth):  # type: ignore[no-untyped-def]
    greatest = np.int64(x[0])
    for i in range(1, depth):
        greatest = max(greatest, x[i])
    return greatest


@inline
def _pixel_s8(x, y, depth, exponentials, bits):  # type: ignore[no-untyped-def]
    """One pixel of int8 numbers to unsigned fractions of `bits` bits, less 2**(bits - 1)."""
    greatest, total = greatest_of(x, depth), 0
    for i in range(depth):
        total += rounding_divide_by_pot(max(exponentials[greatest - x[i]], 0), SUM_BITS)
    headroom = leading_zeros(total)
    reciprocal = one_over_one_plus_x((total << headroom) - (1 << 31))
    right, least = SUM_BITS - headroom + 31 - bits, -(1 << (bits - 1))
    for i in range(depth):
        exponential, value = exponentials[greatest - x[i]], 0
        if exponential >= 0:
            scaled = saturating_rounding_doubling_high_mul(reciprocal, exponential)
            if right <= 31:
                value = rounding_divide_by_pot(scaled, right)
            else:  # see `_shift_right` of the reference
                value = (scaled >> (right & 31)) + 1
        y[i] = min(value + least, -1 - least)


@kernel
def softmax_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    """int8 to int8."""
    exponentials = int32_at(constants, p[FROM_8_TO_8.exponentials])
    depth = p[FROM_8_TO_8.depth]
    x_rows, y_rows = int32_at(constants, p[FROM_8_TO_8.x]), int32_at(constants, p[FROM_8_TO_8.y])
    for row in range(p[FROM_8_TO_8.rows]):
        for pixel in range(p[FROM_8_TO_8.pixels]):
            x = int8_at(arena, x_rows[row] + pixel * depth)
            y = int8_at(arena, y_rows[row] + pixel * depth)
            _pixel_s8(x, y, depth, exponentials, 8)


@kernel
def softmax_s8_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    """int8 to int16."""
    exponentials = int32_at(constants, p[FROM_8_TO_16.exponentials])
    depth = p[FROM_8_TO_16.depth]
    x_rows, y_rows = int32_at(constants, p[FROM_8_TO_16.x]), int32_at(constants, p[FROM_8_TO_16.y])
    for row in range(p[FROM_8_TO_16.rows]):
        for pixel in range(p[FROM_8_TO_16.pixels]):
            x = int8_at(arena, x_rows[row] + pixel * depth)
            y = int16_at(arena, y_rows[row] + 2 * pixel * depth)
            _pixel_s8(x, y, depth, exponentials, 16)


@inline
def _look_up(value, table):  # type: ignore[no-untyped-def]
    """The table's function at an int16 number, by linear interpolation."""
    index, offset = 256 + (value >> 7), value & 0x7F
    base = np.int64(table[index])
    return base + (((table[index + 1] - base) * offset + 64) >> 7)


@inline
def _exponential(difference, multiplier, shift, table):  # type: ignore[no-untyped-def]
    scaled = multiply_by_quantized_multiplier(difference, multiplier, shift)
    return _look_up(clamp(scaled + 32767, -32768, 32767), table)


@inline
def _pixel_s16(x, y, depth, scaling, exponentials, reciprocals):  # type: ignore[no-untyped-def]
    """One pixel of int16 numbers to fractions in Q0.15; exponentials are looked up twice, so that
    no scratch is needed."""
    greatest, total = greatest_of(x, depth), 0
    for i in range(depth):
        total += _exponential(x[i] - greatest, scaling[0], scaling[1], exponentials)
    headroom = leading_zeros(total)
    shifted = ((total << (headroom - 1)) + (1 << 13)) >> 14
    position = clamp(shifted - (1 << 15) - (1 << 16), -32768, 32767)
    reciprocal, right = _look_up(position, reciprocals), 31 - headroom
    for i in range(depth):
        product = reciprocal * _exponential(x[i] - greatest, scaling[0], scaling[1], exponentials)
        y[i] = clamp((product + ((1 << right) >> 1)) >> right, 0, 32767)


@kernel
def softmax_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    """int16 to int16."""
    exponentials = int32_at(constants, p[FROM_16.exponentials])
    reciprocals = int32_at(constants, p[FROM_16.reciprocals])
    depth, scaling = p[FROM_16.depth], (p[FROM_16.multiplier], p[FROM_16.shift])
    x_rows, y_rows = int32_at(constants, p[FROM_16.x]), int32_at(constants, p[FROM_16.y])
    for row in range(p[FROM_16.rows]):
        for pixel in range(p[FROM_16.pixels]):
            x = int16_at(arena, x_rows[row] + 2 * pixel * depth)
            y = int16_at(arena, y_rows[row] + 2 * pixel * depth)
            _pixel_s16(x, y, depth, scaling, exponentials, reciprocals)


@inline
def _exp_of_difference(words, x):  # type: ignore[no-untyped-def]
    greatest, beta, powers = words
    return exp((x - greatest) * beta, powers)


_exp_line = line_of_one(float32_at, _exp_of_difference)


@inline
def _pixel_f32(x, y, depth, beta, powers):  # type: ignore[no-untyped-def]
    """One pixel; y holds the exponentials until their sum is known."""
    greatest, total = _LEAST_FLOAT, np.float32(0)
    for i in range(depth):
        greatest = x[i] if greatest < x[i] else greatest  # passes over NaN
    _exp_line(y, x, depth, (greatest, beta, powers))
    for i in range(depth):
        total += y[i]
    for i in range(depth):
        y[i] = y[i] / total


@kernel
def softmax_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    """float32 to float32."""
    beta, powers = float32_at(constants, p[FLOAT.beta])[0], float64_at(constants, p[FLOAT.powers])
    depth, pixels = p[FLOAT.depth], p[FLOAT.pixels]
    x_rows, y_rows = int32_at(constants, p[FLOAT.x]), int32_at(constants, p[FLOAT.y])
    for row in range(p[FLOAT.rows]):
        for pixel in range(pixels):
            x = float32_at(arena, x_rows[row] + 4 * pixel * depth)
            y = float32_at(arena, y_rows[row] + 4 * pixel * depth)
            _pixel_f32(x, y, depth, beta, powers)
