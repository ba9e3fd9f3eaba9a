"""log, sin, cos, tanh and expm1 of float32, the same bits on every machine.

C libraries disagree on the last bits of these. Ours are sums of series in float64, rounded once:
products, sums and quotients alone, none of them fused, in one order, so that NumPy, native code and
C agree. Angles are brought to a quarter turn in whole numbers, exactly (Payne, Hanek, "Radian
reduction for trigonometric functions", 1983). An answer is the nearest float32, but where it lies
within about 1e-16 of half-way between two.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .exponential import STEPS, STEPS_LOG2, STEPS_OVER_LN2, power_table

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

# ln2 / STEPS in two: the first has so few digits that 2**16 of it are exact.
STEP_HIGH = float.fromhex("0x1.62e42fefap-6")
STEP_LOW = float.fromhex("0x1.cf79abc9e3b3ap-45")
MOST = 700.0  # beyond it, and below -700, exp in float32 is infinite, or nothing
EXP = tuple(1 / math.factorial(k) for k in range(6, 0, -1))
LOG = tuple(1 / (2 * k + 1) for k in range(10, 0, -1))
SINE = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(7, 0, -1))
COSINE = tuple((-1) ** k / math.factorial(2 * k) for k in range(8, 0, -1))
ROOT_OF_2 = math.sqrt(2.0)
SMALL_EXPM1, SMALL_TANH = 2.0**-10, 2.0**-12  # below them, the first terms of Taylor's series
WHOLE_TANH = 20.0  # from there on it is 1
SMALL_ANGLE = np.float32(0.78)  # less than an eighth of a turn
TURN = math.tau / 2.0**64
_BITS = np.int64(0xFFFFFFFF)


def _series(coefficients: tuple[float, ...], z: np.ndarray) -> np.ndarray:
    """c[0] z**n + ... + c[n - 1] z, by Horner's rule."""
    total = np.zeros_like(z)
    for coefficient in coefficients:
        total = (total + coefficient) * z
    return total


def exp64(x: Float64Array) -> Float64Array:
    """exp of a float64, held at +-700: a table of 2**(i / 32) times a series."""
    held = np.clip(np.where(np.isnan(x), 0.0, x), -MOST, MOST)
    nearest = np.rint(held * STEPS_OVER_LN2)
    rest = (held - nearest * STEP_HIGH) - nearest * STEP_LOW
    whole = nearest.astype(np.int64)
    power = np.ldexp(power_table()[whole & (STEPS - 1)], (whole >> STEPS_LOG2).astype(np.int32))
    return np.where(np.isnan(x), x, power * (1.0 + _series(EXP, rest)))


def expm1(x: Float32Array) -> Float64Array:
    """exp(x) - 1, not yet rounded."""
    wide = x.astype(np.float64)
    near = wide * (1.0 + wide * (0.5 + wide * (1 / 6 + wide * (1 / 24))))
    return np.where(np.abs(wide) < SMALL_EXPM1, near, exp64(wide) - 1.0)


def tanh(x: Float32Array) -> Float32Array:
    """(1 - exp(-2 |x|)) / (1 + exp(-2 |x|)), with x's sign."""
    wide = x.astype(np.float64)
    size = np.abs(wide)
    power = exp64(-2.0 * size)
    far = np.where(size > WHOLE_TANH, 1.0, (1.0 - power) / (1.0 + power))
    near = size * (1.0 - size * size * (1 / 3))
    return np.copysign(np.where(size < SMALL_TANH, near, far), wide).astype(np.float32)


def log(x: Float32Array) -> Float32Array:
    """The natural logarithm; -inf of 0, and no number of what is below."""
    usual = (x > 0) & (x < np.inf)
    bits = np.where(usual, x, 1).astype(np.float64).view(np.int64)
    octave = ((bits >> 52) - 1023).astype(np.float64)
    part = ((bits & ((1 << 52) - 1)) | (1023 << 52)).view(np.float64)
    high = part > ROOT_OF_2
    part, octave = np.where(high, part * 0.5, part), octave + high
    s = (part - 1.0) / (part + 1.0)
    answer = (octave * math.log(2.0) + 2.0 * (s + s * _series(LOG, s * s))).astype(np.float32)
    special = np.where(x == 0, -np.float32(np.inf), np.where(x > 0, x, np.float32(np.nan)))
    return np.where(usual, answer, np.where(np.isnan(x), x, special)).astype(np.float32)


@lru_cache(maxsize=1)
def turn_words() -> NDArray[np.int64]:
    """32 bits each of 1 / (2 pi), behind 24 zeros: all that a float32 angle can reach."""
    bits = 320
    pi = 16 * _arctangent(5, bits) - 4 * _arctangent(239, bits)  # Machin's formula
    inverse = (1 << 2 * bits) // (2 * pi)  # times 2**-bits
    return np.array(
        [inverse >> (bits + 24 - 32 * (i + 1)) & 0xFFFFFFFF for i in range(9)], np.int64
    )


def _arctangent(divisor: int, bits: int) -> int:
    """arctan(1 / divisor) * 2**bits, to some units."""
    term, total, k = (1 << bits) // divisor, 0, 0
    while term:
        total += (-1) ** k * (term // (2 * k + 1))
        term, k = term // (divisor * divisor), k + 1
    return total


def _angle(x: Float32Array) -> tuple[NDArray[np.int64], Float64Array]:
    """(quarter turns, rest) of |x|, the rest within an eighth of a turn."""
    bits = np.abs(x).view(np.int32).astype(np.int64)
    mantissa = (bits & 0x7FFFFF) | 0x800000
    offset = np.clip((bits >> 23) - 150 + 24, 0, 128)  # of the digits that matter
    words = turn_words()
    at, shift = offset >> 5, offset & 31
    low, middle, high = (
        mantissa * (((words[at + i] << shift) | (words[at + i + 1] >> (32 - shift))) & _BITS)
        for i in (2, 1, 0)
    )
    middle += low >> 32
    high += middle >> 32
    turns = (high << 32) | (middle & _BITS)  # of 2**64; whole ones are gone
    quarters = (turns + (1 << 61)) >> 62
    far = (turns - (quarters << 62)).astype(np.float64) * TURN
    small = np.abs(x) < SMALL_ANGLE
    return np.where(small, 0, quarters & 3), np.where(small, np.abs(x).astype(np.float64), far)


def _sine_of(quarters: NDArray[np.int64], rest: Float64Array) -> Float64Array:
    z = rest * rest
    sine, cosine = rest + rest * _series(SINE, z), 1.0 + _series(COSINE, z)
    value = np.where(quarters & 1, cosine, sine)
    return np.where(quarters & 2, -value, value)


def sin(x: Float32Array) -> Float32Array:
    """The sine of any angle; infinite ones have none."""
    value = np.copysign(1.0, x) * _sine_of(*_angle(x))
    return np.where(np.isfinite(x), value, np.nan).astype(np.float32)


def cos(x: Float32Array) -> Float32Array:
    """The cosine of any angle; infinite ones have none."""
    quarters, rest = _angle(x)
    return np.where(np.isfinite(x), _sine_of(quarters + 1, rest), np.nan).astype(np.float32)
