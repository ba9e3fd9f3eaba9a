"""exp of float32, the same bits on every machine.

The C library that TFLite's own x86 build calls computes it in double: a table of 2**(i / 32) times
a polynomial of degree 3 (Arm's optimized-routines, math/expf.c). Only products and sums of doubles
are used, none of them fused, so NumPy, native code and C agree. glibc 2.36 gives the same bits for
every float32 with a finite answer, but for two where it has fused multiply-add: -63.0994606 and
32.564632 (tried one by one; `tests/test_exponential.py` samples them).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

STEPS_LOG2 = 5
STEPS = 1 << STEPS_LOG2  # table entries to a factor of 2
STEPS_OVER_LN2 = float.fromhex("0x1.71547652b82fep+0") * STEPS
POLYNOMIAL = (
    float.fromhex("0x1.c6af84b912394p-5") / STEPS**3,
    float.fromhex("0x1.ebfce50fac4f3p-3") / STEPS**2,
    float.fromhex("0x1.62e42ff0c52d6p-1") / STEPS,
)
LEAST, GREATEST = -150.0, 90.0  # beyond these the answer is 0 or infinity


def power_table() -> NDArray[np.float64]:
    """2**(i / 32) for i = 0 .. 31, each the nearest double."""
    return np.array([_nearest_root(i) for i in range(STEPS)])


def _nearest_root(i: int) -> float:
    """2**(i / 32), of whose binary digits 121 are computed exactly."""
    bits = 120
    return math.ldexp(_whole_root(1 << (STEPS * bits + i)), -bits)


def _whole_root(value: int) -> int:
    """The greatest whole number whose `STEPS`th power is at most `value`."""
    for _ in range(STEPS_LOG2):
        value = math.isqrt(value)
    return value


def exp(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """exp, rounded to float32; NaN stays, and what is too large is infinite."""
    held = np.clip(x.astype(np.float64), LEAST, GREATEST)
    held = np.where(np.isnan(held), 0.0, held)
    steps = held * STEPS_OVER_LN2
    nearest = np.rint(steps)
    rest, whole = steps - nearest, nearest.astype(np.int64)
    power = np.ldexp(power_table()[whole & (STEPS - 1)], (whole >> STEPS_LOG2).astype(np.int32))
    cubic, square, linear = POLYNOMIAL
    high = (cubic * rest + square) * (rest * rest)
    with np.errstate(over="ignore"):
        result = ((high + (linear * rest + 1.0)) * power).astype(np.float32)
    return np.where(np.isnan(x), x, result)
