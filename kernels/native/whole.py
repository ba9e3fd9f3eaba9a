"""Whole numbers next to a float, and square roots, with no library behind them."""

from __future__ import annotations

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from .fixedpoint import inline

_WHOLE_F64, _WHOLE_F32 = 2.0**52, np.float32(2.0**23)  # from there on all numbers are whole


@inline
def floor_of(x):  # type: ignore[no-untyped-def]
    """The greatest whole number that is not above a float64."""
    if not abs(x) < _WHOLE_F64 or x == 0:
        return x
    whole = np.float64(np.int64(x))
    return whole - 1.0 if whole > x else whole


@inline
def nearest_even(x):  # type: ignore[no-untyped-def]
    """A float32 rounded to a whole number, ties to the even one; -0.0 only of itself."""
    size = abs(x)
    if not size < _WHOLE_F32 or x == 0:
        return x
    rounded = (size + _WHOLE_F32) - _WHOLE_F32
    return -rounded if x < 0 and rounded != 0 else rounded


@intrinsic
def root(typing_context, x):  # type: ignore[no-untyped-def]
    """sqrt of a float32, correctly rounded: an instruction of every processor that has floats."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        intrinsic_of = builder.module.declare_intrinsic("llvm.sqrt", [arguments[0].type])
        return builder.call(intrinsic_of, arguments)

    return types.float32(types.float32), emit
