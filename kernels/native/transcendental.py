"""Native twins of `kernels/transcendental.py`; `powers` and `words` point to its tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..exponential import STEPS, STEPS_LOG2, STEPS_OVER_LN2
from ..transcendental import (
    COSINE,
    EXP,
    LOG,
    MOST,
    ROOT_OF_2,
    SINE,
    SMALL_ANGLE,
    SMALL_EXPM1,
    SMALL_TANH,
    STEP_HIGH,
    STEP_LOW,
    TURN,
    WHOLE_TANH,
)
from .exponential import double_of_bits
from .fixedpoint import inline

_ROUNDER = 1.5 * 2.0**52  # added and taken away, it leaves the nearest whole number
_LN2 = math.log(2.0)
_MASK = 0xFFFFFFFF
_MANTISSA, _ONE = (1 << 52) - 1, 1023 << 52  # of a double


def _bits_as(source: Any, target: Any, kind: ir.Type) -> Any:
    @intrinsic
    def bits_of(typing_context, value):  # type: ignore[no-untyped-def]
        def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            return builder.bitcast(arguments[0], kind)

        return target(source), emit

    return bits_of


_bits_of_double = _bits_as(types.float64, types.int64, ir.IntType(64))
_bits_of_float = _bits_as(types.float32, types.int32, ir.IntType(32))


def _series(coefficients: tuple[float, ...]) -> Any:
    """c[0] z**n + ... + c[n - 1] z, by Horner's rule."""

    @inline
    def series(z):  # type: ignore[no-untyped-def]
        total = 0.0
        for coefficient in coefficients:
            total = (total + coefficient) * z
        return total

    return series


_exp_series, _log_series = _series(EXP), _series(LOG)
_sine_series, _cosine_series = _series(SINE), _series(COSINE)


@inline
def exp64(x, powers):  # type: ignore[no-untyped-def]
    finite = 0.0 if x != x else x
    held = min(max(finite, -MOST), MOST)
    nearest = (held * STEPS_OVER_LN2 + _ROUNDER) - _ROUNDER
    rest = (held - nearest * STEP_HIGH) - nearest * STEP_LOW
    whole = np.int64(nearest)
    octave = double_of_bits(((whole >> STEPS_LOG2) + 1023) << 52)
    power = powers[whole & (STEPS - 1)] * octave
    return x if x != x else power * (1.0 + _exp_series(rest))


@inline
def expm1(x, powers):  # type: ignore[no-untyped-def]
    """exp - 1 of a float32, in float64."""
    wide = np.float64(x)
    if abs(wide) < SMALL_EXPM1:
        return wide * (1.0 + wide * (0.5 + wide * (1 / 6 + wide * (1 / 24))))
    return exp64(wide, powers) - 1.0


@inline
def tanh(x, powers):  # type: ignore[no-untyped-def]
    size = abs(np.float64(x))
    if size < SMALL_TANH:
        value = size * (1.0 - size * size * (1 / 3))
    elif size > WHOLE_TANH:
        value = 1.0
    else:
        power = exp64(-2.0 * size, powers)
        value = (1.0 - power) / (1.0 + power)
    return np.float32(-value if _bits_of_float(x) < 0 else value)


@inline
def log(x):  # type: ignore[no-untyped-def]
    if x != x:
        return x
    if not x > np.float32(0):
        return np.float32(-np.inf) if x == np.float32(0) else np.float32(np.nan)
    if x == np.float32(np.inf):
        return x
    bits = _bits_of_double(np.float64(x))
    octave = np.float64((bits >> 52) - 1023)
    part = double_of_bits((bits & _MANTISSA) | _ONE)
    if part > ROOT_OF_2:
        part, octave = part * 0.5, octave + 1.0
    s = (part - 1.0) / (part + 1.0)
    return np.float32(octave * _LN2 + 2.0 * (s + s * _log_series(s * s)))


@inline
def _window(words, at, shift):  # type: ignore[no-untyped-def]
    """32 bits from bit `shift` of a word on."""
    first, second = np.int64(words[at]) & _MASK, np.int64(words[at + 1]) & _MASK
    return ((first << shift) | (second >> (32 - shift))) & _MASK


@inline
def _angle(x, words):  # type: ignore[no-untyped-def]
    """(quarter turns, rest) of |x| of a finite float32."""
    size = abs(x)
    if size < SMALL_ANGLE:
        return np.int64(0), np.float64(size)
    bits = np.int64(_bits_of_float(size))
    mantissa = (bits & 0x7FFFFF) | 0x800000
    offset = (bits >> 23) - 150 + 24
    at, shift = offset >> 5, offset & 31
    low = mantissa * _window(words, at + 2, shift)
    middle = mantissa * _window(words, at + 1, shift) + (low >> 32)
    high = mantissa * _window(words, at, shift) + (middle >> 32)
    turns = (high << 32) | (middle & _MASK)
    quarters = (turns + (1 << 61)) >> 62
    return quarters & 3, np.float64(turns - (quarters << 62)) * TURN


@inline
def _sine_of(quarters, rest):  # type: ignore[no-untyped-def]
    z = rest * rest
    value = 1.0 + _cosine_series(z) if quarters & 1 else rest + rest * _sine_series(z)
    return -value if quarters & 2 else value


@inline
def sin(x, words):  # type: ignore[no-untyped-def]
    if not abs(x) < np.float32(np.inf):
        return np.float32(np.nan)
    quarters, rest = _angle(x, words)
    value = _sine_of(quarters, rest)
    return np.float32(-value if _bits_of_float(x) < 0 else value)


@inline
def cos(x, words):  # type: ignore[no-untyped-def]
    if not abs(x) < np.float32(np.inf):
        return np.float32(np.nan)
    quarters, rest = _angle(x, words)
    return np.float32(_sine_of(quarters + 1, rest))
