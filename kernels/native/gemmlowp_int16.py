"""Scalar twins of `kernels/gemmlowp_int16.py` for native kernels."""

from __future__ import annotations

from ..gemmlowp_int16 import (
    EXP_OF_MINUS_EIGHTH,
    EXP_OF_MINUS_POWERS,
    FORTY_EIGHT_17THS,
    INT16_MAX,
    INT16_MIN,
    MINUS_32_17THS,
    ONE_Q2,
    ONE_THIRD,
)
from .fixedpoint import clamp, inline, rounding_divide_by_pot


@inline
def _multiply(a, b):  # type: ignore[no-untyped-def]
    return min((a * b + (1 << 14)) >> 15, INT16_MAX)


@inline
def _shift_left(x, bits):  # type: ignore[no-untyped-def]
    return clamp(x << bits, INT16_MIN, INT16_MAX)


@inline
def _exp_on_last_quarter(a):  # type: ignore[no-untyped-def]
    x = a + (1 << 12)
    x2 = _multiply(x, x)
    x3, x4 = _multiply(x2, x), _multiply(x2, x2)
    tail = _multiply(rounding_divide_by_pot(x4, 2) + x3, ONE_THIRD) + x2
    return _multiply(x + rounding_divide_by_pot(tail, 1), EXP_OF_MINUS_EIGHTH) + EXP_OF_MINUS_EIGHTH


@inline
def _exp_on_negative_values(value, integer_bits):  # type: ignore[no-untyped-def]
    fraction_bits = 15 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    remainder = (value & (quarter - 1)) - quarter
    result = _exp_on_last_quarter(remainder << integer_bits)
    whole = remainder - value
    for i in range(min(len(EXP_OF_MINUS_POWERS), integer_bits + 2)):
        if (whole >> (fraction_bits + i - 2)) & 1:
            result = _multiply(result, EXP_OF_MINUS_POWERS[i])
    if integer_bits > 5 and value < -(32 << fraction_bits):
        return 0
    return INT16_MAX if value == 0 else result


@inline
def _reciprocal_of_half_one_plus(x):  # type: ignore[no-untyped-def]
    half = (x + INT16_MAX + 1) >> 1
    y = _multiply(half, MINUS_32_17THS) + FORTY_EIGHT_17THS
    for _ in range(3):
        error = ONE_Q2 - _multiply(half, y)
        y += _shift_left(_multiply(y, error), 2)
    return y


@inline
def logistic(value, integer_bits):  # type: ignore[no-untyped-def]
    """1 / (1 + exp(-x)) in Q0.15 of an int16 value, for at most 7 integer bits."""
    if value == 0:
        return 1 << 14
    exponential = _exp_on_negative_values(-abs(value), integer_bits)
    positive = _shift_left(_reciprocal_of_half_one_plus(exponential), 1)
    return positive if value > 0 else INT16_MAX - positive


@inline
def tanh(value, integer_bits):  # type: ignore[no-untyped-def]
    """tanh in Q0.15 of an int16 value, for at most 6 integer bits."""
    if value == 0:
        return 0
    exponential = _exp_on_negative_values(-abs(value), integer_bits + 1)
    magnitude = _shift_left(_reciprocal_of_half_one_plus(exponential) - ONE_Q2, 2)
    return magnitude if value > 0 else -magnitude
