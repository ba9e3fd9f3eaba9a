"""Scalar twins of `kernels/gemmlowp.py` for native kernels."""

from __future__ import annotations

from ..fixedpoint import INT32_MAX, INT32_MIN
from ..gemmlowp import (
    LOG_2,
    LOG_BITS,
    LOG_CUBE,
    LOG_LINEAR,
    LOG_ONE,
    LOG_SQUARE,
    LOG_UNIT,
    ROOT_SQRT_HALF,
    SQRT_HALF,
)
from .fixedpoint import clamp, inline, rounding_divide_by_pot
from .fixedpoint import saturating_rounding_doubling_high_mul as multiply

_ONE_Q2 = 1 << 29
_48_OVER_17, _MINUS_32_OVER_17 = 1515870810, -1010580540  # Q2.29


@inline
def shift_left(x, bits):  # type: ignore[no-untyped-def]
    """x * 2**bits, saturating."""
    return clamp(x << bits, INT32_MIN, INT32_MAX)


@inline
def leading_zeros(value):  # type: ignore[no-untyped-def]
    """Of the 32 bits of a number in 1 .. 2**32 - 1."""
    zeros = 0
    while value < 1 << 31:
        value <<= 1
        zeros += 1
    return zeros


@inline
def one_over_one_plus_x(raw):  # type: ignore[no-untyped-def]
    """1 / (1 + x) for x in [0, 1), both Q0.31 (`gemmlowp.one_over_one_plus_x`)."""
    half = (raw + (1 << 31)) >> 1
    x = multiply(half, _MINUS_32_OVER_17) + _48_OVER_17
    for _ in range(3):
        error = _ONE_Q2 - multiply(half, x)
        step = multiply(x, error)
        x += shift_left(step, 2)
    return shift_left(x, 1)


@inline
def log(value):  # type: ignore[no-untyped-def]
    """log of a value from 1, in Q12.19; the result is Q5.26 (`gemmlowp.log`)."""
    whole = leading_zeros(value) - 1
    near = leading_zeros(multiply(value, SQRT_HALF)) - 1
    below = shift_left(multiply(value << whole, SQRT_HALF), 1)
    r = min(below, shift_left(value, near))
    quarter = 1 << (LOG_UNIT - 2)
    power = max(
        ((LOG_BITS - 1 - whole) << LOG_UNIT) + quarter, ((LOG_BITS - near) << LOG_UNIT) - quarter
    )
    q = 2 * (r - ROOT_SQRT_HALF)
    square = multiply(q, q)
    above = multiply(q, r) + multiply(multiply(q, square), LOG_CUBE)
    inner = LOG_ONE + q + multiply(LOG_SQUARE, square)
    under = multiply((r + ROOT_SQRT_HALF + 1) >> 1, inner) + multiply(LOG_LINEAR, q)
    scaled = rounding_divide_by_pot(above, 31 - LOG_UNIT)
    rest = multiply(scaled, one_over_one_plus_x(under))
    return shift_left(multiply(power, LOG_2) + rest, 1)
