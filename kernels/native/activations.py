"""Native activations: the twins of `kernels/activations.py`."""

from __future__ import annotations

import numpy as np

from ..activations import (
    HARD_SWISH_F32,
    LEAKY_RELU_F32,
    LEAKY_RELU_S16,
    LOGISTIC_BOUNDS,
    LOGISTIC_F32,
    LOGISTIC_S16,
    LOOKUP_S8,
    RELU_F32,
    RELU_S16,
    TANH_F32,
    TANH_S16,
)
from .elementwise import line_of_one
from .exponential import exp
from .fixedpoint import clamp, inline, multiply_by_quantized_multiplier
from .memory import float32_at, float64_at, int8_at, int16_at, int32_at
from .registry import kernel
from .transcendental import tanh

LOOKUP = LOOKUP_S8.index
RELU, RELU_FLOAT = RELU_S16.index, RELU_F32.index
LEAKY, LEAKY_FLOAT = LEAKY_RELU_S16.index, LEAKY_RELU_F32.index
LOGISTIC_FLOAT = LOGISTIC_F32.index
HIGH, LOW = LOGISTIC_BOUNDS
LOGISTIC, TANH = LOGISTIC_S16.index, TANH_S16.index
HARD_SWISH = HARD_SWISH_F32.index


@kernel
def lookup_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    """Each int8 number replaced by its entry in a table of 256."""
    table = int8_at(constants, p[LOOKUP.table])
    x_rows, y_rows = int32_at(constants, p[LOOKUP.x]), int32_at(constants, p[LOOKUP.y])
    for row in range(p[LOOKUP.rows]):
        x, y = int8_at(arena, x_rows[row]), int8_at(arena, y_rows[row])
        for i in range(p[LOOKUP.count]):
            y[i] = table[x[i] + 128]


@kernel
def relu_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    """Requantize and clamp."""
    multiplier, shift = p[RELU.multiplier], p[RELU.shift]
    low, high = p[RELU.minimum], p[RELU.maximum]
    x_rows, y_rows = int32_at(constants, p[RELU.x]), int32_at(constants, p[RELU.y])
    for row in range(p[RELU.rows]):
        x, y = int16_at(arena, x_rows[row]), int16_at(arena, y_rows[row])
        for i in range(p[RELU.count]):
            y[i] = clamp(multiply_by_quantized_multiplier(x[i], multiplier, shift), low, high)


@inline
def _relu(words, x):  # type: ignore[no-untyped-def]
    low, high, is_relu6 = words
    is_low = not x > low if is_relu6 else x < low
    value = low if is_low else x
    return high if value > high else value


_relu_line = line_of_one(float32_at, _relu)


@kernel
def relu_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    """Clamp; NaN and -0.0 stay, but not in RELU6."""
    limits = float32_at(constants, p[RELU_FLOAT.limits])
    words = limits[0], limits[1], p[RELU_FLOAT.is_relu6] != 0
    x_rows, y_rows = int32_at(constants, p[RELU_FLOAT.x]), int32_at(constants, p[RELU_FLOAT.y])
    for row in range(p[RELU_FLOAT.rows]):
        x, y = float32_at(arena, x_rows[row]), float32_at(arena, y_rows[row])
        _relu_line(y, x, p[RELU_FLOAT.count], words)


@kernel
def leaky_relu_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    """Requantize by one of two multipliers, chosen by the sign."""
    positive, positive_shift = p[LEAKY.multiplier], p[LEAKY.shift]
    negative, negative_shift = p[LEAKY.negative_multiplier], p[LEAKY.negative_shift]
    x_rows, y_rows = int32_at(constants, p[LEAKY.x]), int32_at(constants, p[LEAKY.y])
    for row in range(p[LEAKY.rows]):
        x, y = int16_at(arena, x_rows[row]), int16_at(arena, y_rows[row])
        for i in range(p[LEAKY.count]):
            multiplier = positive if x[i] >= 0 else negative  # no branch: it becomes vector code
            shift = positive_shift if x[i] >= 0 else negative_shift
            value = multiply_by_quantized_multiplier(x[i], multiplier, shift)
            y[i] = clamp(value, -32768, 32767)


@inline
def _leaky(alpha, x):  # type: ignore[no-untyped-def]
    return x if x > 0 else x * alpha


_leaky_line = line_of_one(float32_at, _leaky)


@kernel
def leaky_relu_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    """x where x > 0, else alpha * x."""
    alpha = float32_at(constants, p[LEAKY_FLOAT.alpha])[0]
    x_rows, y_rows = int32_at(constants, p[LEAKY_FLOAT.x]), int32_at(constants, p[LEAKY_FLOAT.y])
    for row in range(p[LEAKY_FLOAT.rows]):
        x, y = float32_at(arena, x_rows[row]), float32_at(arena, y_rows[row])
        _leaky_line(y, x, p[LEAKY_FLOAT.count], alpha)


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


T = TANH_F32.index


@kernel
def tanh_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    """The nearest float32 to tanh."""
    powers = float64_at(constants, p[T.powers])
    x_rows, y_rows = int32_at(constants, p[T.x]), int32_at(constants, p[T.y])
    for row in range(p[T.rows]):
        x, y = float32_at(arena, x_rows[row]), float32_at(arena, y_rows[row])
        for i in range(p[T.count]):
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


@inline
def _hard_swish(words, x):  # type: ignore[no-untyped-def]
    zero, three, six = words
    gate = x + three
    gate = gate if gate > zero else zero
    gate = gate if gate < six else six
    return x * gate / six


_hard_swish_line = line_of_one(float32_at, _hard_swish)


@kernel
def hard_swish_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    """x * clamp(x + 3, 0, 6) / 6."""
    words = np.float32(0), np.float32(3), np.float32(6)
    x_rows, y_rows = int32_at(constants, p[HARD_SWISH.x]), int32_at(constants, p[HARD_SWISH.y])
    for row in range(p[HARD_SWISH.rows]):
        x, y = float32_at(arena, x_rows[row]), float32_at(arena, y_rows[row])
        _hard_swish_line(y, x, p[HARD_SWISH.count], words)
