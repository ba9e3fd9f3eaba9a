"""Native add and sub: the twins of `kernels/add.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..add import ADD_F32, ADD_POT_S16, ADD_S8, ADD_S16, ADD_S32
from ..fixedpoint import IN_FLOATS
from .elementwise import Native, register_binary
from .fixedpoint import (
    clamp,
    inline,
    multiply_in_floats,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from .memory import float32_at, int8_at, int16_at, int32_at
from .registry import kernel


def _load_rescaling(P: Any) -> Native:
    @inline
    def load(constants, p):  # type: ignore[no-untyped-def]
        a = p[P.a_left], p[P.a_offset], p[P.a_multiplier], -p[P.a_shift]
        b = p[P.b_left], p[P.b_offset], p[P.b_multiplier], -p[P.b_shift]
        y = p[P.y_offset], p[P.y_multiplier], -p[P.y_shift]
        return a, b, y, p[P.minimum], p[P.maximum]

    return load


@inline
def _scaled(value, multiplier, right_shift):  # type: ignore[no-untyped-def]
    if right_shift == -IN_FLOATS:
        return multiply_in_floats(value, multiplier)
    high = saturating_rounding_doubling_high_mul(value, multiplier)
    return rounding_divide_by_pot(high, right_shift)


@inline
def _brought(operand, value):  # type: ignore[no-untyped-def]
    left, offset, multiplier, right_shift = operand
    return _scaled((value + offset) << left, multiplier, right_shift)


@inline
def _add_rescaled(words, a, b):  # type: ignore[no-untyped-def]
    own, other, y, low, high = words
    total = _brought(own, a) + _brought(other, b)
    return clamp(_scaled(total, y[1], y[2]) + y[0], low, high)


def _load_signs_and_limits(P: Any) -> Native:
    @inline
    def load(constants, p):  # type: ignore[no-untyped-def]
        limits = float32_at(constants, p[P.limits])
        return np.float32(p[P.a_sign]), np.float32(p[P.b_sign]), limits[0], limits[1]

    return load


@inline
def _add_float(words, a, b):  # type: ignore[no-untyped-def]
    a_sign, b_sign, low, high = words
    total = a * a_sign + b * b_sign
    total = low if total < low else total  # NaN stays
    return high if total > high else total


def _load_signs_and_range(P: Any) -> Native:
    @inline
    def load(constants, p):  # type: ignore[no-untyped-def]
        return p[P.a_sign], p[P.b_sign], p[P.minimum], p[P.maximum]

    return load


@inline
def _add_int32(words, a, b):  # type: ignore[no-untyped-def]
    a_sign, b_sign, low, high = words
    return clamp(np.int32(a * a_sign + b * b_sign), low, high)  # wraps, then clamps


_KINDS: tuple[tuple[Any, Native, Callable[[Any], Native], Native], ...] = (
    (ADD_S8, int8_at, _load_rescaling, _add_rescaled),
    (ADD_S16, int16_at, _load_rescaling, _add_rescaled),
    (ADD_F32, float32_at, _load_signs_and_limits, _add_float),
    (ADD_S32, int32_at, _load_signs_and_range, _add_int32),
)
for _kind in _KINDS:
    register_binary(*_kind)

P_POT = ADD_POT_S16.index


@kernel
def add_pot_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    """Rows of the sum of two int16 tensors, each shifted right."""
    a_rows, b_rows = int32_at(constants, p[P_POT.a]), int32_at(constants, p[P_POT.b])
    y_rows = int32_at(constants, p[P_POT.y])
    a_sign, a_shift, b_sign, b_shift = (
        p[P_POT.a_sign], p[P_POT.a_shift], p[P_POT.b_sign], p[P_POT.b_shift]
    )  # fmt: skip
    for row in range(p[P_POT.rows]):
        a, b = int16_at(arena, a_rows[row]), int16_at(arena, b_rows[row])
        y = int16_at(arena, y_rows[row])
        for i in range(p[P_POT.count]):
            left = a_sign * rounding_divide_by_pot(a[i], a_shift)
            right = b_sign * rounding_divide_by_pot(b[i], b_shift)
            y[i] = clamp(left + right, p[P_POT.minimum], p[P_POT.maximum])
