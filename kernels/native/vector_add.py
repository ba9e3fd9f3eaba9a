"""Native twin of `kernels/vector/add.py`: 16 elements at a time, in order."""

from __future__ import annotations

from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic

from ..vector.add import S8
from . import vectors as v
from .memory import INT8_POINTER, INT32_POINTER, int8_at, int32_at
from .registry import kernel
from .rescaling import requantized

P = S8.index


@intrinsic
def _add(typing_context, a, b, y, words, count):  # type: ignore[no-untyped-def]
    """`count` elements of y from those of a and b; `words` are the kernel's."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        a, b, y, words, count = arguments
        combined = _combiner(builder, words)
        whole = builder.and_(count, v.I64(-16))
        with cgutils.for_range_slice(builder, v.I64(0), whole, v.I64(16), v.I64) as (at, _):
            v.store(builder, y, at, combined(builder, a, b, at))
        rest = builder.sub(count, whole)
        with cgutils.if_unlikely(builder, builder.icmp_signed(">", rest, v.I64(0))):
            last = combined(builder, a, b, whole)
            v.store_first(builder, y, whole, last, builder.trunc(rest, v.I32))
        return context.get_dummy_value()

    pointers = (INT8_POINTER, INT8_POINTER, INT8_POINTER, INT32_POINTER)
    return types.void(*pointers, types.int64), emit


def _combiner(builder: Any, words: Any) -> Any:
    """A function that builds 16 elements, its constants already in registers."""

    def word(name: str) -> Any:
        value = builder.load(builder.gep(words, [v.I32(getattr(P, name))]))
        return v.splat(builder, value, v.SUMS)

    a_offset, a_factor, b_offset, y_offset = map(
        word, ("a_offset", "a_factor", "b_offset", "y_offset")
    )
    b_rule, y_rule = (
        _rescaling(builder, word(f"{side}_multiplier"), word(f"{side}_right")) for side in "by"
    )
    limits, left = (word("minimum"), word("maximum")), word("b_left")

    def combined(builder: Any, a: Any, b: Any, at: Any) -> Any:
        first, second = (
            builder.add(builder.sext(v.load(builder, x, at, v.BYTES), v.SUMS), offset)
            for x, offset in ((a, a_offset), (b, b_offset))
        )
        second = requantized(builder, builder.shl(second, left), b_rule)
        total = builder.add(builder.mul(first, a_factor), second)
        value = builder.add(requantized(builder, total, y_rule), y_offset)
        return builder.trunc(v.limited(builder, value, *limits), v.BYTES)

    return combined


def _rescaling(builder: Any, multiplier: Any, right: Any) -> list[Any]:
    """What `requantized` takes, for all lanes alike: no left shift, no zero point."""
    zero, one = v.constant(v.SUMS, 0), v.constant(v.SUMS, 1)
    half = builder.lshr(builder.shl(one, right), one)
    tie = builder.sext(builder.icmp_signed(">", right, zero), v.SUMS)
    return [zero, multiplier, half, tie, right]


@kernel
def add_vector_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    a_rows, b_rows = int32_at(constants, p[P.a]), int32_at(constants, p[P.b])
    y_rows = int32_at(constants, p[P.y])
    for row in range(p[P.rows]):
        a, b, y = (
            int8_at(arena, a_rows[row]), int8_at(arena, b_rows[row]), int8_at(arena, y_rows[row])
        )  # fmt: skip
        _add(a, b, y, p, p[P.count])
