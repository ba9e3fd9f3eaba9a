"""Native twins of `kernels/pointwise.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..operation import Layout
from ..pointwise import (
    ABS_S16,
    ANGLES_F32,
    ELU_F32,
    EXP_F32,
    LOG_F32,
    PLAIN,
    ROOT_BITS,
    RSQRT_S16,
)
from .elementwise import Native, register
from .exponential import exp
from .fixedpoint import clamp, inline, multiply_by_quantized_multiplier
from .inverse_root import inverse_root
from .memory import float32_at, float64_at, int16_at, int32_at
from .registry import kernel
from .transcendental import cos, expm1, log, sin
from .whole import floor_of, nearest_even, root

_AT = {"s32": int32_at, "f32": float32_at}


@inline
def _abs(x):  # type: ignore[no-untyped-def]
    return abs(x)


@inline
def _negate(x):  # type: ignore[no-untyped-def]
    return -x


@inline
def _square(x):  # type: ignore[no-untyped-def]
    return x * x


@inline
def _square_s32(x):  # type: ignore[no-untyped-def]
    return np.int32(np.int64(x) * np.int64(x))


@inline
def _floor(x):  # type: ignore[no-untyped-def]
    return np.float32(floor_of(np.float64(x)))


@inline
def _ceil(x):  # type: ignore[no-untyped-def]
    return np.float32(-floor_of(-np.float64(x)))


@inline
def _rsqrt(x):  # type: ignore[no-untyped-def]
    return np.float32(1) / root(x)


_APPLY: Mapping[str, Native] = {
    "abs": _abs,
    "ceil": _ceil,
    "floor": _floor,
    "negate": _negate,
    "round": nearest_even,
    "rsqrt": _rsqrt,
    "sqrt": root,
    "square": _square,
    "square_s32": _square_s32,
}


def _walk(words: Layout, at: Native, apply: Native) -> Native:
    P: Any = words.index

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
        for row in range(p[P.rows]):
            x, y = at(arena, x_rows[row]), at(arena, y_rows[row])
            for i in range(p[P.count]):
                y[i] = apply(x[i])

    return walk


for _name, _words in PLAIN.items():
    _op, _, _suffix = _name.rpartition("_")
    _function = _APPLY.get(_name) or _APPLY[_op]
    register(_words, _walk(_words, _AT[_suffix], _function))

register(LOG_F32, _walk(LOG_F32, float32_at, log))
E = EXP_F32.index


@kernel
def exp_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    powers = float64_at(constants, p[E.powers])
    x_rows, y_rows = int32_at(constants, p[E.x]), int32_at(constants, p[E.y])
    for row in range(p[E.rows]):
        x, y = float32_at(arena, x_rows[row]), float32_at(arena, y_rows[row])
        for i in range(p[E.count]):
            y[i] = exp(x[i], powers)


A = ABS_S16.index


@kernel
def abs_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[A.x]), int32_at(constants, p[A.y])
    for row in range(p[A.rows]):
        x, y = int16_at(arena, x_rows[row]), int16_at(arena, y_rows[row])
        for i in range(p[A.count]):
            size = abs(np.int64(x[i]) + p[A.x_offset])
            scaled = multiply_by_quantized_multiplier(size, p[A.multiplier], p[A.shift])
            y[i] = clamp(scaled + p[A.y_offset], -32768, 32767)


R = RSQRT_S16.index


@inline
def _rsqrt_s16(q, multiplier, shift):  # type: ignore[no-untyped-def]
    if q <= 0:
        return np.int64(32767)
    root, root_shift = inverse_root(np.int64(q))
    fine = multiply_by_quantized_multiplier(np.int64(1), root, root_shift + ROOT_BITS)
    scaled = multiply_by_quantized_multiplier(fine, multiplier, shift - ROOT_BITS)
    return np.int64(clamp(scaled, -32768, 32767))


@kernel
def rsqrt_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[R.x]), int32_at(constants, p[R.y])
    for row in range(p[R.rows]):
        x, y = int16_at(arena, x_rows[row]), int16_at(arena, y_rows[row])
        for i in range(p[R.count]):
            y[i] = _rsqrt_s16(x[i], p[R.multiplier], p[R.shift])


def _walk_angles(words: Layout, function: Native) -> Native:
    P: Any = words.index

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        digits = int32_at(constants, p[P.words])
        x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
        for row in range(p[P.rows]):
            x, y = float32_at(arena, x_rows[row]), float32_at(arena, y_rows[row])
            for i in range(p[P.count]):
                y[i] = function(x[i], digits)

    return walk


for _name, _function in (("sin", sin), ("cos", cos)):
    register(ANGLES_F32[_name], _walk_angles(ANGLES_F32[_name], _function))

U = ELU_F32.index


@kernel
def elu_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    powers, alpha = float64_at(constants, p[U.powers]), float64_at(constants, p[U.alpha])[0]
    x_rows, y_rows = int32_at(constants, p[U.x]), int32_at(constants, p[U.y])
    for row in range(p[U.rows]):
        x, y = float32_at(arena, x_rows[row]), float32_at(arena, y_rows[row])
        for i in range(p[U.count]):
            y[i] = x[i] if x[i] > np.float32(0) else np.float32(alpha * expm1(x[i], powers))
