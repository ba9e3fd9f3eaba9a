"""Native exp of float32: the twin of `kernels/exponential.py`."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..exponential import GREATEST, LEAST, POLYNOMIAL, STEPS, STEPS_LOG2, STEPS_OVER_LN2
from .fixedpoint import inline

_CUBIC, _SQUARE, _LINEAR = POLYNOMIAL
_ROUNDER = 1.5 * 2.0**52  # added and taken away, it leaves the nearest whole number
_MANTISSA_BITS, _BIAS = 52, 1023  # of a double


@intrinsic
def double_of_bits(typing_context, bits):  # type: ignore[no-untyped-def]
    """The double whose bits are those of an int64."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), emit


@inline
def exp(x, powers):  # type: ignore[no-untyped-def]
    """exp of a float32; `powers` is a pointer to the doubles of `power_table`."""
    finite = np.float32(0) if x != x else x
    steps = min(max(np.float64(finite), LEAST), GREATEST) * STEPS_OVER_LN2
    nearest = (steps + _ROUNDER) - _ROUNDER
    rest, whole = steps - nearest, np.int64(nearest)
    octave = double_of_bits(((whole >> STEPS_LOG2) + _BIAS) << _MANTISSA_BITS)
    power = powers[whole & (STEPS - 1)] * octave
    high = (_CUBIC * rest + _SQUARE) * (rest * rest)
    value = np.float32((high + (_LINEAR * rest + 1.0)) * power)
    return x if x != x else value  # no branch: a loop over it becomes vector code
