"""exp and 1 / (1 + x) of fixed-point numbers, as in gemmlowp's `fixedpoint.h`.

A value is an int32 `raw` with `integer_bits` bits before the point: raw / 2**(31 - integer_bits).
All products are rounded to nearest, ties upwards, at 31 bits. TFLite's int8 softmax is built on
these. Arrays in, arrays out; shapes are kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .fixedpoint import (
    INT32_MAX,
    INT32_MIN,
    Int32Array,
    rounding_divide_by_pot,
)
from .fixedpoint import (
    saturating_rounding_doubling_high_mul as multiply,
)

# exp(-2**k) in Q0.31, for the bits k = -2, -1, ... of an argument.
_EXP_OF_MINUS_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
_EXP_OF_MINUS_EIGHTH, _ONE_THIRD = 1895147668, 715827883  # Q0.31
_48_OVER_17, _MINUS_32_OVER_17 = 1515870810, -1010580540  # Q2.29
_ONE_Q2 = 1 << 29


def exp_on_negative_values(raw: ArrayLike, integer_bits: int) -> Int32Array:
    """exp of values <= 0 with at most 5 integer bits; the result is Q0.31 (1 is 2**31 - 1)."""
    value = np.asarray(raw, np.int64)
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    remainder = (value & (quarter - 1)) - quarter  # in [-1/4, 0)
    result = _exp_on_last_quarter(_shift_left(remainder, integer_bits))
    whole = remainder - value
    for power, factor in enumerate(_EXP_OF_MINUS_POWERS, -2):
        if power < integer_bits:
            has_bit = (whole >> (fraction_bits + power)) & 1
            result = np.where(has_bit, multiply(result, factor), result)
    return np.where(value == 0, INT32_MAX, result).astype(np.int32)


def _exp_on_last_quarter(raw: ArrayLike) -> Int32Array:
    """exp on [-1/4, 0) in Q0.31: the Taylor polynomial of degree 4 about -1/8."""
    x = np.asarray(raw, np.int64) + (1 << 28)
    x2 = multiply(x, x)
    x3, x4 = multiply(x2, x), multiply(x2, x2)
    x4_and_x3 = multiply(_sum(rounding_divide_by_pot(x4, 2), x3), _ONE_THIRD)
    tail = rounding_divide_by_pot(_sum(x4_and_x3, x2), 1)
    return _sum(multiply(_sum(x, tail), _EXP_OF_MINUS_EIGHTH), _EXP_OF_MINUS_EIGHTH)


def _sum(a: ArrayLike, b: ArrayLike) -> Int32Array:
    return (np.asarray(a, np.int64) + np.asarray(b, np.int64)).astype(np.int32)


def _shift_left(raw: ArrayLike, bits: int) -> Int32Array:
    """raw * 2**bits, saturating."""
    return np.clip(np.asarray(raw, np.int64) << bits, INT32_MIN, INT32_MAX).astype(np.int32)


def one_over_one_plus_x(raw: ArrayLike) -> Int32Array:
    """1 / (1 + x) for x in [0, 1), both Q0.31: three Newton-Raphson steps."""
    half = (np.asarray(raw, np.int64) + (1 << 31)) >> 1
    x = _sum(multiply(half, _MINUS_32_OVER_17), _48_OVER_17)  # towards 1 / half, in Q2.29
    for _ in range(3):
        error = _ONE_Q2 - multiply(half, x).astype(np.int64)
        x = _sum(x, _shift_left(multiply(x, error), 2))
    return _shift_left(x, 1)
