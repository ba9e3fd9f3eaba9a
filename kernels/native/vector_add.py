"""Native twin of `kernels/vector/add.py`: 16 elements at a time, in order."""

from __future__ import annotations

from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic

from ..linear_add import FRACTION_BITS
from ..vector.add import LINEAR_ROW_S8, LINEAR_S8, S8
from . import vectors as v
from .memory import INT8_POINTER, INT32_POINTER, int8_at, int32_at
from .processor import SETS, instruction_set
from .registry import kernel
from .rescaling import requantized
from .steps import short_step

P, PL, PR = S8.index, LINEAR_S8.index, LINEAR_ROW_S8.index
HALF_BITS = 16  # of a scale


def _line(combiner: Any) -> Any:
    """The intrinsic `(a, b, y, words, count)` that makes `count` elements of y from those of a and
    b; `words` are the kernel's."""

    @intrinsic
    def line(typing_context, a, b, y, words, count):  # type: ignore[no-untyped-def]
        pointers = (INT8_POINTER, INT8_POINTER, INT8_POINTER, INT32_POINTER)
        return types.void(*pointers, types.int64), emit

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        a, b, y, words, count = arguments
        combined = combiner(builder, words)
        whole = builder.and_(count, v.I64(-16))
        with cgutils.for_range_slice(builder, v.I64(0), whole, v.I64(16), v.I64) as (at, _):
            v.store(builder, y, at, combined(builder, a, b, at))
        rest = builder.sub(count, whole)
        with cgutils.if_unlikely(builder, builder.icmp_signed(">", rest, v.I64(0))):
            last = combined(builder, a, b, whole)
            v.store_first(builder, y, whole, last, builder.trunc(rest, v.I32))
        return context.get_dummy_value()

    return line


def _reader(builder: Any, words: Any, P: Any) -> Any:
    """A function that builds a word in all lanes."""

    def word(name: str) -> Any:
        value = builder.load(builder.gep(words, [v.I32(getattr(P, name))]))
        return v.splat(builder, value, v.SUMS)

    return word


def _by_parts(builder: Any, words: Any) -> Any:
    """A function that builds 16 elements, its constants already in registers."""
    word = _reader(builder, words, P)
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


def _linear(P: Any) -> Any:
    """The same of a linear function: its products are of halves of the scales."""

    def combiner(builder: Any, words: Any) -> Any:
        word, bits = _reader(builder, words, P), v.constant(v.SUMS, HALF_BITS)
        scales, offset = (word("a_scale"), word("b_scale")), word("offset")
        lower = [builder.ashr(builder.shl(scale, bits), bits) for scale in scales]
        upper = [
            builder.ashr(builder.sub(scale, half), bits)
            for scale, half in zip(scales, lower, strict=True)
        ]
        limits = word("minimum"), word("maximum")
        products = _two_products(builder, upper), _two_products(builder, lower)

        def combined(builder: Any, a: Any, b: Any, at: Any) -> Any:
            given = [builder.sext(v.load(builder, x, at, v.BYTES), v.SUMS) for x in (a, b)]
            high, low = (both(builder, given) for both in products)
            high = builder.shl(high, v.constant(v.SUMS, HALF_BITS - 8))
            total = builder.add(builder.add(high, offset), builder.ashr(low, v.constant(v.SUMS, 8)))
            value = builder.ashr(total, v.constant(v.SUMS, FRACTION_BITS))
            return builder.trunc(v.limited(builder, value, *limits), v.BYTES)

        return combined

    return combiner


def _two_products(builder: Any, factors: Any) -> Any:
    """A function that builds the sum of two lanes, each times its factor; all have 16 bits."""
    if SETS[instruction_set()].machine == "aarch64":
        return lambda builder, given: builder.add(
            *(builder.mul(value, factor) for value, factor in zip(given, factors, strict=True))
        )
    rule, weights = short_step(), builder.bitcast(_paired(builder, factors), v.PAIRS)

    def both(builder: Any, given: Any) -> Any:
        pairs = builder.bitcast(_paired(builder, given), v.PAIRS)
        return rule.add(builder, v.constant(v.SUMS, 0), pairs, weights)

    return both


def _paired(builder: Any, halves: Any) -> Any:
    """Two int16 in each lane."""
    low = builder.and_(halves[0], v.constant(v.SUMS, 0xFFFF))
    return builder.or_(low, builder.shl(halves[1], v.constant(v.SUMS, 16)))


_add, _add_linear, _add_row = (
    _line(combiner) for combiner in (_by_parts, _linear(PL), _linear(PR))
)


@kernel
def add_vector_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    a_rows, b_rows = int32_at(constants, p[P.a]), int32_at(constants, p[P.b])
    y_rows = int32_at(constants, p[P.y])
    for row in range(p[P.rows]):
        a, b, y = (
            int8_at(arena, a_rows[row]), int8_at(arena, b_rows[row]), int8_at(arena, y_rows[row])
        )  # fmt: skip
        _add(a, b, y, p, p[P.count])


@kernel
def add_linear_vector_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    a_rows, b_rows = int32_at(constants, p[PL.a]), int32_at(constants, p[PL.b])
    y_rows = int32_at(constants, p[PL.y])
    for row in range(p[PL.rows]):
        a, b, y = (
            int8_at(arena, a_rows[row]), int8_at(arena, b_rows[row]), int8_at(arena, y_rows[row])
        )  # fmt: skip
        _add_linear(a, b, y, p, p[PL.count])


@kernel
def add_linear_row_vector_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    a_rows, y_rows = int32_at(constants, p[PR.a]), int32_at(constants, p[PR.y])
    b = int8_at(constants if p[PR.b_constant] else arena, p[PR.b])
    channels = p[PR.channels]
    for row in range(p[PR.rows]):
        a, y = int8_at(arena, a_rows[row]), int8_at(arena, y_rows[row])
        for column in range(p[PR.columns]):
            start = column * channels
            other = int8_at(b, column * p[PR.b_column])
            _add_row(int8_at(a, start), other, int8_at(y, start), p, channels)
