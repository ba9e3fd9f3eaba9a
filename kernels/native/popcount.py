"""Counting bits in native kernels."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_I32 = ir.IntType(32)


@intrinsic
def popcount(typing_context, word):  # type: ignore[no-untyped-def]
    """How many of an int32's bits are 1, as an int32."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return types.int32(types.int32), emit
