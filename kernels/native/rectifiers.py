"""Native relu and leaky_relu: the twins of `kernels/rectifiers.py`."""

from __future__ import annotations

from ..rectifiers import LEAKY_RELU_F32, LEAKY_RELU_S16, RELU_F32, RELU_S16
from .elementwise import line_of_one
from .fixedpoint import clamp, inline, multiply_by_quantized_multiplier
from .memory import float32_at, int16_at, int32_at
from .registry import kernel

RELU, RELU_FLOAT = RELU_S16.index, RELU_F32.index
LEAKY, LEAKY_FLOAT = LEAKY_RELU_S16.index, LEAKY_RELU_F32.index


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
