"""Native twin of `kernels/vector/lookup.py`."""

from __future__ import annotations

from numba.core import cgutils, types
from numba.extending import intrinsic

from ..vector.lookup import FLIP
from . import vectors as v
from .memory import INT8_POINTER, int8_at, int32_at
from .registry import kernel

P = FLIP.index
STEP = 64  # bytes


@intrinsic
def _flip(typing_context, y, x, count):  # type: ignore[no-untyped-def]
    """Change the sign bits of `count` bytes, whole steps; each is read before it is written."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        y, x, count = arguments
        signs, by = v.constant(v.QUADS, -128), v.I64(STEP)
        with cgutils.for_range_slice(builder, v.I64(0), count, by, v.I64) as (at, _):
            v.store(builder, y, at, builder.xor(v.load(builder, x, at, v.QUADS), signs))
        return context.get_dummy_value()

    return types.void(INT8_POINTER, INT8_POINTER, types.int64), emit


@kernel
def flip_sign_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows, count = int32_at(constants, p[P.x]), int32_at(constants, p[P.y]), p[P.count]
    whole = count & -STEP
    for row in range(p[P.rows]):
        x, y = int8_at(arena, x_rows[row]), int8_at(arena, y_rows[row])
        _flip(y, x, whole)
        for i in range(whole, count):
            y[i] = x[i] ^ -128
