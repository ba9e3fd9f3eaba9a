"""Native mul: the twins of `kernels/mul.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..mul import MUL_F32, MUL_S8, MUL_S16, MUL_S32
from .elementwise import Native, register_binary
from .fixedpoint import clamp, inline, multiply_by_quantized_multiplier
from .memory import float32_at, int8_at, int16_at, int32_at


def _load_requantization(P: Any) -> Native:
    @inline
    def load(constants, p):  # type: ignore[no-untyped-def]
        offsets = p[P.a_offset], p[P.b_offset], p[P.y_offset]
        return offsets, p[P.multiplier], p[P.shift], p[P.minimum], p[P.maximum]

    return load


@inline
def _mul_requantized(words, a, b):  # type: ignore[no-untyped-def]
    (a_offset, b_offset, y_offset), multiplier, shift, low, high = words
    product = (a + a_offset) * (b + b_offset)
    scaled = multiply_by_quantized_multiplier(product, multiplier, shift)
    return clamp(scaled + y_offset, low, high)


def _load_limits(P: Any) -> Native:
    @inline
    def load(constants, p):  # type: ignore[no-untyped-def]
        limits = float32_at(constants, p[P.limits])
        return limits[0], limits[1]

    return load


@inline
def _mul_float(words, a, b):  # type: ignore[no-untyped-def]
    low, high = words
    product = a * b
    product = low if product < low else product  # NaN stays
    return high if product > high else product


def _load_range(P: Any) -> Native:
    @inline
    def load(constants, p):  # type: ignore[no-untyped-def]
        return p[P.minimum], p[P.maximum]

    return load


@inline
def _mul_int32(words, a, b):  # type: ignore[no-untyped-def]
    low, high = words
    return clamp(np.int32(np.int64(a) * np.int64(b)), low, high)  # wraps, then clamps


register_binary(MUL_S8, int8_at, _load_requantization, _mul_requantized)
register_binary(MUL_S16, int16_at, _load_requantization, _mul_requantized)
register_binary(MUL_F32, float32_at, _load_limits, _mul_float)
register_binary(MUL_S32, int32_at, _load_range, _mul_int32)
