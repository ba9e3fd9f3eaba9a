"""Native logistic and tanh: the twins of `kernels/sigmoids.py`."""

from __future__ import annotations

import numpy as np

from ..sigmoids import LOGISTIC_BOUNDS, LOGISTIC_F32, LOGISTIC_S16, TANH_F32, TANH_S16
from .elementwise import line_of_one
from .exponential import exp
from .fixedpoint import inline
from .memory import float32_at, float64_at, int16_at, int32_at
from .registry import kernel
from .transcendental import tanh

LOGISTIC, LOGISTIC_FLOAT = LOGISTIC_S16.index, LOGISTIC_F32.index
TANH, TANH_FLOAT = TANH_S16.index, TANH_F32.index
HIGH, LOW = LOGISTIC_BOUNDS


@inline
def _interpolated(table, magnitude, bits):  # type: ignore[no-untyped-def]
    """The sigmoid table at magnitude / 2**bits < 255, in units of 2**-(16 + bits)."""
    index, fraction = magnitude >> bits, magnitude & ((1 << bits) - 1)
    base = np.int64(table[index])
    return (base << bits) + fraction * (table[index + 1] - base)


@kernel
def logistic_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    """Sigmoid by linear interpolation."""
    multiplier, shift = np.int64(p[LOGISTIC.multiplier]), p[LOGISTIC.shift]
    half, table = (1 << shift) >> 1, int32_at(constants, p[LOGISTIC.table])
    x_rows, y_rows = int32_at(constants, p[LOGISTIC.x]), int32_at(constants, p[LOGISTIC.y])
    for row in range(p[LOGISTIC.rows]):
        x, y = int16_at(arena, x_rows[row]), int16_at(arena, y_rows[row])
        for i in range(p[LOGISTIC.count]):
            position = (x[i] * multiplier + half) >> shift
            magnitude, value = abs(position), 0x7FFF << 10
            if magnitude >> 9 < 255:
                value = _interpolated(table, magnitude, 9)
            if position < 0:
                value = (1 << 25) - 1 - value
            y[i] = (value + (1 << 9)) >> 10


@inline
def _logistic(powers, x):  # type: ignore[no-untyped-def]
    one, is_low = np.float32(1), x < LOW
    power = exp(x if is_low else -x, powers)
    inner = power if is_low else one / (one + power)
    return one if x > HIGH else inner


_logistic_line = line_of_one(float32_at, _logistic)


@kernel
def logistic_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    """1 / (1 + exp(-x)), and TFLite's two ways round it far from 0."""
    powers = float64_at(constants, p[LOGISTIC_FLOAT.powers])
    x_rows = int32_at(constants, p[LOGISTIC_FLOAT.x])
    y_rows = int32_at(constants, p[LOGISTIC_FLOAT.y])
    for row in range(p[LOGISTIC_FLOAT.rows]):
        x, y = float32_at(arena, x_rows[row]), float32_at(arena, y_rows[row])
        _logistic_line(y, x, p[LOGISTIC_FLOAT.count], powers)


@kernel
def tanh_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    """The nearest float32 to tanh."""
    powers = float64_at(constants, p[TANH_FLOAT.powers])
    x_rows, y_rows = int32_at(constants, p[TANH_FLOAT.x]), int32_at(constants, p[TANH_FLOAT.y])
    for row in range(p[TANH_FLOAT.rows]):
        x, y = float32_at(arena, x_rows[row]), float32_at(arena, y_rows[row])
        for i in range(p[TANH_FLOAT.count]):
            y[i] = tanh(x[i], powers)


@kernel
def tanh_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    """2 * sigmoid(2 * x) - 1 by linear interpolation."""
    multiplier, shift = np.int64(p[TANH.multiplier]), p[TANH.shift]
    half, table = (1 << shift) >> 1, int32_at(constants, p[TANH.table])
    x_rows, y_rows = int32_at(constants, p[TANH.x]), int32_at(constants, p[TANH.y])
    for row in range(p[TANH.rows]):
        x, y = int16_at(arena, x_rows[row]), int16_at(arena, y_rows[row])
        for i in range(p[TANH.count]):
            position = (x[i] * multiplier + half) >> shift
            magnitude, value = abs(position), 0xFFFF << 8
            if magnitude >> 8 < 255:
                value = _interpolated(table, magnitude, 8)
            value -= 1 << 23
            if position < 0:
                value = -value - 1
            y[i] = (value + (1 << 7)) >> 8
