"""Native twins of `kernels/pairwise.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..pairwise import (
    DIVIDE_S8,
    LEFT_SHIFT,
    PLAIN,
    PRELU_S8,
    PRELU_S16,
    SQUARED_DIFFERENCE_S8,
    SQUARED_DIFFERENCE_S16,
)
from .elementwise import Native, no_words, register_flat
from .fixedpoint import (
    clamp,
    inline,
    multiply_by_quantized_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from .memory import float32_at, int8_at, int16_at, int32_at
from .whole import floor_of

_AT = {"s8": int8_at, "s16": int16_at, "s32": int32_at, "f32": float32_at}


@inline
def _maximum(words, a, b):  # type: ignore[no-untyped-def]
    return a if a > b or a != a else b  # NaN stays; of 0.0 and -0.0 the second


@inline
def _minimum(words, a, b):  # type: ignore[no-untyped-def]
    return a if a < b or a != a else b


@inline
def _squared_difference(words, a, b):  # type: ignore[no-untyped-def]
    return (a - b) * (a - b)


@inline
def _squared_difference_s32(words, a, b):  # type: ignore[no-untyped-def]
    difference = np.int64(np.int32(np.int64(a) - np.int64(b)))
    return np.int32(difference * difference)  # wraps


@inline
def _prelu(words, x, slope):  # type: ignore[no-untyped-def]
    return x * slope if x < np.float32(0) else x


@inline
def _divide(words, a, b):  # type: ignore[no-untyped-def]
    return a / b


@inline
def _floored(a, b):  # type: ignore[no-untyped-def]
    """a / b of whole numbers, towards minus infinity; 0 for b = 0, which has no answer."""
    if b == 0:
        return np.int64(0)
    return np.int64(a) // np.int64(b)


@inline
def _divide_s32(words, a, b):  # type: ignore[no-untyped-def]
    """Cut towards zero."""
    down = _floored(a, b)
    return down + 1 if down < 0 and down * np.int64(b) != np.int64(a) else down


@inline
def _floor_divide(words, a, b):  # type: ignore[no-untyped-def]
    return _floored(a, b)


@inline
def _floor_modulo(words, a, b):  # type: ignore[no-untyped-def]
    return np.int64(a) - _floored(a, b) * np.int64(b) if b != 0 else np.int64(0)


@inline
def _floor_divide_f32(words, a, b):  # type: ignore[no-untyped-def]
    return np.float32(floor_of(np.float64(a) / np.float64(b)))


@inline
def _rest(a, b):  # type: ignore[no-untyped-def]
    """a - b * whole, exactly, for finite a >= 0 and b > 0: in binary digits, as long division."""
    times = b
    while times <= a * np.float32(0.5):
        times = times * np.float32(2)
    while times >= b:
        if a >= times:
            a = a - times
        times = times * np.float32(0.5)
    return a


@inline
def _floor_modulo_f32(words, a, b):  # type: ignore[no-untyped-def]
    size, by = abs(a), abs(b)
    if not (size < np.float32(np.inf)) or by == 0 or b != b:
        return np.float32(np.nan)
    rest = _rest(size, by) if by <= size else size
    rest = -rest if a < 0 else rest
    return rest + b if rest != 0 and (b < 0) != (rest < 0) else rest


_COMBINE = {
    "maximum": _maximum,
    "minimum": _minimum,
    "divide_s32": _divide_s32,
    "divide_f32": _divide,
    "floor_divide": _floor_divide,
    "floor_divide_f32": _floor_divide_f32,
    "floor_modulo": _floor_modulo,
    "floor_modulo_f32": _floor_modulo_f32,
    "prelu": _prelu,
    "squared_difference_s32": _squared_difference_s32,
    "squared_difference_f32": _squared_difference,
}
for _name, _words in PLAIN.items():
    _op, _, _suffix = _name.rpartition("_")
    _function = _COMBINE.get(_name) or _COMBINE[_op]
    register_flat(_words, _AT[_suffix], _AT[_suffix], no_words, _function)


def _load_prelu(P: Any) -> Native:
    @inline
    def load(constants, p):  # type: ignore[no-untyped-def]
        offsets = p[P.a_offset], p[P.b_offset], p[P.y_offset]
        positive = p[P.multiplier], p[P.shift]
        return offsets, positive, (p[P.negative_multiplier], p[P.negative_shift])

    return load


def _quantized_prelu(least: int) -> Native:
    @inline
    def prelu(words, x, slope):  # type: ignore[no-untyped-def]
        (a_offset, b_offset, y_offset), positive, negative = words
        value = x + a_offset
        if value >= 0:
            scaled = multiply_by_quantized_multiplier(value, positive[0], positive[1])
        else:
            sloped = value * (slope + b_offset)
            scaled = multiply_by_quantized_multiplier(sloped, negative[0], negative[1])
        return clamp(scaled + y_offset, least, -1 - least)

    return prelu


def _load_squared(P: Any) -> Native:
    @inline
    def load(constants, p):  # type: ignore[no-untyped-def]
        a = p[P.a_offset], p[P.a_multiplier], p[P.a_shift]
        b = p[P.b_offset], p[P.b_multiplier], p[P.b_shift]
        return a, b, (p[P.y_offset], p[P.y_multiplier], p[P.y_shift])

    return load


@inline
def _rescaled(side, value, left_shift):  # type: ignore[no-untyped-def]
    offset, multiplier, shift = side
    wide = (np.int64(value) + offset) << left_shift
    return multiply_by_quantized_multiplier(wide, multiplier, shift)


def _quantized_square(dtype: str) -> Native:
    left_shift, least = LEFT_SHIFT[dtype], int(np.iinfo(dtype).min)

    @inline
    def square(words, a, b):  # type: ignore[no-untyped-def]
        left, right, (offset, multiplier, shift) = words
        difference = _rescaled(left, a, left_shift) - _rescaled(right, b, left_shift)
        scaled = multiply_by_quantized_multiplier(difference * difference, multiplier, shift)
        return clamp(scaled + offset, least, -1 - least)

    return square


register_flat(PRELU_S8, int8_at, int8_at, _load_prelu, _quantized_prelu(-128))
register_flat(PRELU_S16, int16_at, int16_at, _load_prelu, _quantized_prelu(-32768))
register_flat(SQUARED_DIFFERENCE_S8, int8_at, int8_at, _load_squared, _quantized_square("int8"))
register_flat(SQUARED_DIFFERENCE_S16, int16_at, int16_at, _load_squared, _quantized_square("int16"))


def _load_divide(P: Any) -> Native:
    @inline
    def load(constants, p):  # type: ignore[no-untyped-def]
        tables = int32_at(constants, p[P.inverses]), int32_at(constants, p[P.places])
        return tables, (p[P.a_offset], p[P.b_offset], p[P.y_offset]), (p[P.multiplier], p[P.shift])

    return load


@inline
def _divide_s8(words, a, b):  # type: ignore[no-untyped-def]
    (inverses, places), (a_offset, b_offset, y_offset), (multiplier, shift) = words
    left, index = np.int64(a) + a_offset, np.int64(b) + 128
    left = -left if b + b_offset < 0 else left
    room = 31  # bits that it may be shifted by
    while room > 0 and not -(1 << 31) <= left << room < 1 << 31:
        room -= 1
    quotient = saturating_rounding_doubling_high_mul(left << room, inverses[index])
    scaled = saturating_rounding_doubling_high_mul(quotient, multiplier)
    right = places[index] + room - shift
    steps = rounding_divide_by_pot(scaled, right) if right <= 31 else np.int64(0)
    return clamp(steps + y_offset, -128, 127)


register_flat(DIVIDE_S8, int8_at, int8_at, _load_divide, _divide_s8)
