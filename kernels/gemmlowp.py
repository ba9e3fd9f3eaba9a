"""exp, 1 / (1 + x) and log of fixed-point numbers, as in gemmlowp's `fixedpoint.h`.

A value is an int32 `raw` with `integer_bits` bits before the point: raw / 2**(31 - integer_bits).
All products are rounded to nearest, ties upwards, at 31 bits. TFLite's int8 softmax and log_softmax
are built on these; log is TFLite's own (common.h `log_x_for_x_greater_than_or_equal_to_1`).
Arrays in, arrays out; shapes are kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

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

# Q0.31: log 2, sqrt(1/2), its root, and a rational function's coefficients: of q**3 above, below of
# q**2, 1 and q.
LOG_2, SQRT_HALF, ROOT_SQRT_HALF = 1488522236, 1518500250, 1805811301
LOG_CUBE, LOG_SQUARE, LOG_ONE, LOG_LINEAR = 117049297, 127690142, 1057819769, 638450708
LOG_BITS = 12  # before the point of log's argument
LOG_UNIT = 25  # bits behind the point of a power of two, in Q6.25


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


def _shift_left(raw: ArrayLike, bits: ArrayLike) -> Int32Array:
    """raw * 2**bits, saturating."""
    shifted = np.asarray(raw, np.int64) << np.asarray(bits, np.int64)
    return np.clip(shifted, INT32_MIN, INT32_MAX).astype(np.int32)


def one_over_one_plus_x(raw: ArrayLike) -> Int32Array:
    """1 / (1 + x) for x in [0, 1), both Q0.31: three Newton-Raphson steps."""
    half = (np.asarray(raw, np.int64) + (1 << 31)) >> 1
    x = _sum(multiply(half, _MINUS_32_OVER_17), _48_OVER_17)  # towards 1 / half, in Q2.29
    for _ in range(3):
        error = _ONE_Q2 - multiply(half, x).astype(np.int64)
        x = _sum(x, _shift_left(multiply(x, error), 2))
    return _shift_left(x, 1)


def log(raw: ArrayLike) -> Int32Array:
    """log of values from 1, in Q12.19; the result is Q5.26.

    A value is r * 2**power with r between sqrt(1/2) and 1; the power is one of whole numbers and a
    quarter or of those less a quarter, whichever is greater. log r is a rational function of
    q = 2 * (r - sqrt(sqrt(1/2))).
    """
    value = np.asarray(raw, np.int64)
    whole = _headroom(value)
    near = _headroom(multiply(value, SQRT_HALF))
    below = _shift_left(multiply(_shift_left(value, whole), SQRT_HALF), 1)
    r = np.minimum(below, _shift_left(value, near)).astype(np.int64)
    quarter = 1 << (LOG_UNIT - 2)
    power = np.maximum(
        ((LOG_BITS - 1 - whole) << LOG_UNIT) + quarter, ((LOG_BITS - near) << LOG_UNIT) - quarter
    )
    q = 2 * (r - ROOT_SQRT_HALF)
    square = multiply(q, q)
    above = _sum(multiply(q, r), multiply(multiply(q, square), LOG_CUBE))
    inner = _sum(LOG_ONE + q, multiply(LOG_SQUARE, square))
    under = _sum(multiply((r + ROOT_SQRT_HALF + 1) >> 1, inner), multiply(LOG_LINEAR, q))
    rest = multiply(rounding_divide_by_pot(above, 31 - LOG_UNIT), one_over_one_plus_x(under))
    return _shift_left(_sum(multiply(power, LOG_2), rest), 1)


def _headroom(value: ArrayLike) -> NDArray[np.int64]:
    """How far numbers from 1 can be shifted left within 31 bits."""
    return 31 - np.frexp(np.asarray(value, np.float64))[1].astype(np.int64)
