"""tanh and logistic of 16-bit fixed-point numbers, as in gemmlowp's `fixedpoint.h`.

A value is an int16 `raw` with `integer_bits` bits before the point: raw / 2**(15 - integer_bits).
The same series as in `gemmlowp.py`, but every step is rounded at 15 bits, so the answers are not
those of 32 bits made shorter. TFLite's integer LSTM is built on these. Arrays in, arrays out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .fixedpoint import rounding_divide_by_pot

Int16Array = NDArray[np.int16]
Int64Array = NDArray[np.int64]

INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1

# Q0.15: exp(-2**k) for the bits k = -2, -1, ... of an argument; exp(-1/8); 1/3. Then Q2.13.
EXP_OF_MINUS_POWERS = (25520, 19875, 12055, 4435, 600, 11, 0)
EXP_OF_MINUS_EIGHTH, ONE_THIRD = 28918, 10923
FORTY_EIGHT_17THS, MINUS_32_17THS = 23130, -15420
ONE_Q2 = 1 << 13


def _multiply(a: Int64Array, b: Int64Array | int) -> Int64Array:
    """a * b of Q0.15 numbers, to nearest, ties upwards."""
    product: Int64Array = np.minimum((a * b + (1 << 14)) >> 15, INT16_MAX)
    return product


def _divide_by_pot(x: Int64Array, exponent: int) -> Int64Array:
    return rounding_divide_by_pot(x, exponent).astype(np.int64)


def _shift_left(x: Int64Array, bits: int) -> Int64Array:
    """x * 2**bits, saturating."""
    shifted: Int64Array = np.clip(x << bits, INT16_MIN, INT16_MAX)
    return shifted


def _exp_on_last_quarter(a: Int64Array) -> Int64Array:
    """exp on [-1/4, 0) in Q0.15: the Taylor polynomial of degree 4 about -1/8."""
    x = a + (1 << 12)
    x2 = _multiply(x, x)
    x3, x4 = _multiply(x2, x), _multiply(x2, x2)
    tail = _multiply(_divide_by_pot(x4, 2) + x3, ONE_THIRD) + x2
    return _multiply(x + _divide_by_pot(tail, 1), EXP_OF_MINUS_EIGHTH) + EXP_OF_MINUS_EIGHTH


def _exp_on_negative_values(value: Int64Array, integer_bits: int) -> Int64Array:
    """exp of values <= 0 in Q0.15; 1 is 2**15 - 1, and under -32 it is 0."""
    fraction_bits = 15 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    remainder = (value & (quarter - 1)) - quarter  # in [-1/4, 0)
    result = _exp_on_last_quarter(remainder << integer_bits)
    whole = remainder - value
    for power, factor in enumerate(EXP_OF_MINUS_POWERS, -2):
        if power < integer_bits:
            has_bit = (whole >> (fraction_bits + power)) & 1
            result = np.where(has_bit, _multiply(result, factor), result)
    if integer_bits > 5:
        result = np.where(value < -32 << fraction_bits, 0, result)
    return np.where(value == 0, INT16_MAX, result)


def _reciprocal_of_half_one_plus(x: Int64Array) -> Int64Array:
    """2 / (1 + x) in Q2.13 for x in [0, 1] in Q0.15: three Newton-Raphson steps."""
    half = (x + INT16_MAX + 1) >> 1
    y = _multiply(half, MINUS_32_17THS) + FORTY_EIGHT_17THS
    for _ in range(3):
        error = ONE_Q2 - _multiply(half, y)
        y = y + _shift_left(_multiply(y, error), 2)
    return y


def logistic(raw: ArrayLike, integer_bits: int) -> Int16Array:
    """1 / (1 + exp(-x)) in Q0.15, for at most 7 integer bits."""
    value = np.asarray(raw, np.int64)
    exponential = _exp_on_negative_values(-np.abs(value), integer_bits)
    positive = _shift_left(_reciprocal_of_half_one_plus(exponential), 1)
    result = np.where(value > 0, positive, INT16_MAX - positive)
    return np.where(value == 0, 1 << 14, result).astype(np.int16)


def tanh(raw: ArrayLike, integer_bits: int) -> Int16Array:
    """tanh in Q0.15, for at most 6 integer bits."""
    value = np.asarray(raw, np.int64)
    # The same raw number with one integer bit more is the argument doubled.
    exponential = _exp_on_negative_values(-np.abs(value), integer_bits + 1)
    magnitude = _shift_left(_reciprocal_of_half_one_plus(exponential) - ONE_Q2, 2)
    return (np.sign(value) * magnitude).astype(np.int16)
