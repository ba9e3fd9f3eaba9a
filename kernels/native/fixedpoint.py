"""Scalar fixed-point arithmetic for native kernels: the twins of `kernels/fixedpoint.py`.

Numba widens every integer operation to 64 bits; `mac32` and `add32` stay in 32 (and wrap there), so
that LLVM can vectorise an int8 dot product in int32 lanes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from ..fixedpoint import FLOAT_LIMIT, IN_FLOATS

inline = njit(forceinline=True, error_model="numpy", boundscheck=False)

_I32 = ir.IntType(32)
ROUNDER = 3 << 22  # float32s of this size are whole numbers


def _widen32(builder: Any, value: Any) -> Any:
    return builder.sext(value, _I32) if value.type.width < 32 else value


@intrinsic
def mac32(typing_context, accumulator, a, b):  # type: ignore[no-untyped-def]
    """accumulator + a * b in int32, for signed a and b of at most 32 bits."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        total, left, right = arguments
        return builder.add(total, builder.mul(_widen32(builder, left), _widen32(builder, right)))

    if max(a.bitwidth, b.bitwidth) > 32 or not (a.signed and b.signed):
        return None
    return types.int32(types.int32, a, b), emit


@intrinsic
def mac64(typing_context, accumulator, a, b):  # type: ignore[no-untyped-def]
    """accumulator + a * b in int64, for signed a and b whose product fits 32 bits."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        total, left, right = arguments
        product = builder.mul(_widen32(builder, left), _widen32(builder, right))
        return builder.add(total, builder.sext(product, total.type))

    if a.bitwidth + b.bitwidth > 32 or not (a.signed and b.signed):
        return None
    return types.int64(types.int64, a, b), emit


@intrinsic
def add32(typing_context, a, b):  # type: ignore[no-untyped-def]
    """a + b in int32, for signed a and b of at most 32 bits."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        left, right = arguments
        return builder.add(_widen32(builder, left), _widen32(builder, right))

    if max(a.bitwidth, b.bitwidth) > 32 or not (a.signed and b.signed):
        return None
    return types.int32(a, b), emit


@intrinsic
def add16(typing_context, a, b):  # type: ignore[no-untyped-def]
    """a + b in int16, for signed a and b of at most 16 bits whose sum fits.

    An int8 value less its zero point fits; as an operand of `mac32` it lets LLVM use the
    instructions that multiply pairs of int16 and add them into int32.
    """
    wide = ir.IntType(16)

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        left, right = (
            builder.sext(value, wide) if value.type.width < 16 else value for value in arguments
        )
        return builder.add(left, right, flags=("nsw",))

    if max(a.bitwidth, b.bitwidth) > 16 or not (a.signed and b.signed):
        return None
    return types.int16(a, b), emit


@inline
def saturating_rounding_doubling_high_mul(a, b):  # type: ignore[no-untyped-def]
    """round(a * b / 2**31), ties upwards, of int32 values."""
    return min((np.int64(a) * np.int64(b) + (1 << 30)) >> 31, (1 << 31) - 1)


@inline
def rounding_divide_by_pot(x, exponent):  # type: ignore[no-untyped-def]
    """round(x / 2**exponent), ties away from zero, of an int32 value."""
    tie_fix = 1 if x < 0 and exponent > 0 else 0
    return (np.int64(x) + ((np.int64(1) << exponent) >> 1) - tie_fix) >> exponent


@intrinsic
def _float_of(typing_context, bits):  # type: ignore[no-untyped-def]
    """The float32 with these bits."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        word = context.cast(builder, arguments[0], signature.args[0], types.int32)
        return builder.bitcast(word, ir.FloatType())

    return types.float32(bits), emit


@inline
def nearest(value):  # type: ignore[no-untyped-def]
    """A float32 to the nearest whole number, ties to even, held within `FLOAT_LIMIT`."""
    held = min(max(value, np.float32(-FLOAT_LIMIT)), np.float32(FLOAT_LIMIT))
    # So large a number has no bits behind the point: adding it rounds.
    return np.int64((held + np.float32(ROUNDER)) - np.float32(ROUNDER))


@inline
def multiply_in_floats(x, bits):  # type: ignore[no-untyped-def]
    """x times the float32 with these bits, to the nearest whole number, ties to even."""
    return nearest(np.float32(x) * _float_of(bits))


@inline
def multiply_by_quantized_multiplier(x, multiplier, shift):  # type: ignore[no-untyped-def]
    """x * multiplier * 2**(shift - 31) of int32 x, rounded twice; or `IN_FLOATS`."""
    if shift == IN_FLOATS:
        return multiply_in_floats(x, multiplier)
    left, right = max(shift, 0), max(-shift, 0)
    shifted = np.int32(np.int64(x) << left)
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shifted, multiplier), right)


@inline
def multiply_by_quantized_multiplier_64(x, multiplier, shift):  # type: ignore[no-untyped-def]
    """x * reduced multiplier * 2**(shift - 15) of |x| < 2**47, rounded once."""
    reduced = (multiplier + (1 << 15)) >> 16 if multiplier < 0x7FFF0000 else 0x7FFF
    right = 15 - shift
    rounded = (np.int64(x) * np.int64(reduced) + (np.int64(1) << (right - 1))) >> right
    return np.int64(np.int32(rounded))


@inline
def clamp(value, least, greatest):  # type: ignore[no-untyped-def]
    """`value` held in [least, greatest]."""
    return min(max(value, least), greatest)
