"""Native quantize and dequantize: the twins of `kernels/quantize.py`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...runtime.graph import DTYPES
from ..operation import Layout
from ..quantize import DEQUANTIZE, QUANTIZE, TO_EVEN
from .elementwise import Native
from .fixedpoint import clamp, inline, multiply_by_quantized_multiplier, nearest
from .memory import float32_at, int8_at, int16_at, int32_at, uint8_at
from .registry import kernel

VIEWS: dict[str, Native] = {
    "int8": int8_at, "uint8": uint8_at, "int16": int16_at, "int32": int32_at, "float32": float32_at
}  # fmt: skip


def _rounded_half_away(value):  # type: ignore[no-untyped-def]
    """A float32 rounded to int64, ties away from zero; NaN is 0, and beyond 2**31 it saturates."""
    real = np.float64(value)
    if real != real:
        return 0
    real = min(max(real, -2147483648.0), 2147483648.0)
    whole = np.int64(math.floor(abs(real) + 0.5))
    return -whole if real < 0 else whole


_rounded_half_away = inline(_rounded_half_away)


@inline
def _rounded_to_even(value):  # type: ignore[no-untyped-def]
    """The same with ties to even; it saturates far beyond int8."""
    return np.int64(0) if value != value else nearest(value)


def _quantize(
    words: Layout, at: Native, low: int, high: int, rounded: Native = _rounded_half_away
) -> Callable[..., None]:
    P = words.index

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        scale, zero_point = float32_at(constants, p[P.scale])[0], p[P.zero_point]
        x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
        for row in range(p[P.rows]):
            x, y = float32_at(arena, x_rows[row]), at(arena, y_rows[row])
            for i in range(p[P.count]):
                y[i] = clamp(rounded(x[i] / scale) + zero_point, low, high)

    return walk


def _requantize(
    words: Layout, x_at: Native, y_at: Native, low: int, high: int
) -> Callable[..., None]:
    P = words.index

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        multiplier, shift = p[P.multiplier], p[P.shift]
        x_offset, y_offset = p[P.x_offset], p[P.y_offset]
        x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
        for row in range(p[P.rows]):
            x, y = x_at(arena, x_rows[row]), y_at(arena, y_rows[row])
            for i in range(p[P.count]):
                value = np.int32(np.int64(x[i]) + x_offset)  # int32 input may wrap
                scaled = multiply_by_quantized_multiplier(value, multiplier, shift)
                y[i] = clamp(scaled + y_offset, low, high)

    return walk


def _dequantize(words: Layout, at: Native) -> Callable[..., None]:
    P = words.index

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        scale, zero_point = float32_at(constants, p[P.scale])[0], p[P.zero_point]
        x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
        for row in range(p[P.rows]):
            x, y = at(arena, x_rows[row]), float32_at(arena, y_rows[row])
            for i in range(p[P.count]):
                y[i] = np.float32(np.int64(x[i]) - zero_point) * scale

    return walk


def _register(words: Layout, function: Callable[..., Any]) -> None:
    function.__name__ = function.__qualname__ = words.kernel
    kernel(function)


for (_source, _target), _words in QUANTIZE.items():
    _limits = np.iinfo(DTYPES[_target])
    _low, _high = int(_limits.min), int(_limits.max)
    if _source == "float32":
        _register(_words, _quantize(_words, VIEWS[_target], _low, _high))
    else:
        _register(_words, _requantize(_words, VIEWS[_source], VIEWS[_target], _low, _high))
_register(TO_EVEN, _quantize(TO_EVEN, int8_at, -128, 127, _rounded_to_even))
for _source, _words in DEQUANTIZE.items():
    _register(_words, _dequantize(_words, VIEWS[_source]))
