"""The three walks over two operands that `kernels/elementwise.py` lowers to, for any arithmetic.

A walk is compiled once for each pair of arithmetic and dtype: `register_binary` makes the kernels
`<op>_<type>`, `<op>_row_<type>` and `<op>_broadcast_<type>` and registers them.

Walks by rows make a block of elements on the stack before they store it, and so become vector code
though the output may lie over an operand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..elementwise import AXES, BinaryLayouts
from ..operation import Layout
from .fixedpoint import inline
from .memory import (
    BLOCK,
    PART,
    float32_at,
    float32_block,
    int8_at,
    int8_block,
    int16_at,
    int16_block,
    int32_at,
    int32_block,
)
from .registry import kernel

Native = Callable[..., Any]
_BLOCKS = {
    int8_at: int8_block,
    int16_at: int16_block,
    int32_at: int32_block,
    float32_at: float32_block,
}


def register_binary(
    layouts: BinaryLayouts, at: Native, load: Callable[[Any], Native], combine: Native
) -> None:
    """Register the three kernels of `layouts`.

    `at` is the typed view of the operands' dtype. `load(P)` makes a native function of
    `(constants, p)` that reads the operator's own words into a tuple, once a call;
    `combine(words, a, b)` is one output element.
    """
    register(layouts.same, _same(layouts.same.index, at, load, combine))
    register(layouts.row, _row(layouts.row.index, at, load, combine))
    register_flat(layouts.broadcast, at, at, load, combine)


def register_flat(
    words: Layout, at: Native, result_at: Native, load: Callable[[Any], Native], combine: Native
) -> None:
    """Register a kernel that walks over any broadcasting, whose result may be of another type."""
    register(words, _broadcast(words.index, at, result_at, load, combine))


def no_words(P: Any) -> Native:
    """The `load` of arithmetic without parameters."""

    @inline
    def load(constants, p):  # type: ignore[no-untyped-def]
        return (0,)

    return load


def register(words: Layout, function: Callable[..., None]) -> None:
    """Register a function as the kernel of a layout."""
    function.__name__ = function.__qualname__ = words.kernel
    kernel(function)


def line_of_one(at: Native, combine: Native) -> Native:
    """A native function of `(y, x, count, words)`: y[i] is combine(words, x[i])."""
    pair = _line(at, inline(lambda words, a, b: combine(words, a)), 1)

    @inline
    def line(y, x, count, words):  # type: ignore[no-untyped-def]
        pair(y, x, x, 0, 0, count, words)

    return line


def _line(at: Native, combine: Native, step: int) -> Native:
    """A native function that makes `count` elements of y and a from `i` on; b's are from `j` on, or
    one for all if `step` is 0."""
    room = _BLOCKS[at]

    @inline
    def block(y, a, b, i, j, size, words):  # type: ignore[no-untyped-def]
        made = room()
        for k in range(size):
            made[k] = combine(words, a[i + k], b[j + k * step])
        for k in range(size):
            y[i + k] = made[k]

    @inline
    def line(y, a, b, i, j, count, words):  # type: ignore[no-untyped-def]
        whole, most = count & -BLOCK, count & -PART
        for k in range(0, whole, BLOCK):
            block(y, a, b, i + k, j + k * step, BLOCK, words)
        for k in range(whole, most, PART):
            block(y, a, b, i + k, j + k * step, PART, words)
        if most < count:
            block(y, a, b, i + most, j + most * step, count - most, words)

    return line


def _same(P: Any, at: Native, load: Callable[[Any], Native], combine: Native) -> Native:
    load_words, line = load(P), _line(at, combine, 1)

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        rows, count, words = p[P.rows], p[P.count], load_words(constants, p)
        a_rows, b_rows = int32_at(constants, p[P.a]), int32_at(constants, p[P.b])
        y_rows = int32_at(constants, p[P.y])
        for row in range(rows):
            a, b, y = at(arena, a_rows[row]), at(arena, b_rows[row]), at(arena, y_rows[row])
            line(y, a, b, 0, 0, count, words)

    return walk


def _row(P: Any, at: Native, load: Callable[[Any], Native], combine: Native) -> Native:
    load_words = load(P)
    line, line_by_one = _line(at, combine, 1), _line(at, combine, 0)

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        columns, channels, words = p[P.columns], p[P.channels], load_words(constants, p)
        a_rows, y_rows = int32_at(constants, p[P.a]), int32_at(constants, p[P.y])
        b = at(constants if p[P.b_constant] else arena, p[P.b])
        b_column, b_channel = p[P.b_column], p[P.b_channel]
        for row in range(p[P.rows]):
            a, y = at(arena, a_rows[row]), at(arena, y_rows[row])
            for column in range(columns):
                i, j = column * channels, column * b_column
                if b_channel:
                    line(y, a, b, i, j, channels, words)
                else:
                    line_by_one(y, a, b, i, j, channels, words)

    return walk


def _broadcast(
    P: Any, at: Native, result_at: Native, load: Callable[[Any], Native], combine: Native
) -> Native:
    load_words = load(P)

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        words = load_words(constants, p)
        a = at(constants if p[P.a_constant] else arena, p[P.a])
        b = at(constants if p[P.b_constant] else arena, p[P.b])
        y, axes = result_at(arena, p[P.y]), int32_at(constants, p[P.axes])
        outer, inner, i = 1, axes[AXES - 1], 0
        for axis in range(AXES - 1):
            outer *= axes[axis]
        a_step, b_step = axes[2 * AXES - 1], axes[3 * AXES - 1]
        for index in range(outer):
            a_start, b_start = _starts(axes, index)
            for j in range(inner):
                y[i] = combine(words, a[a_start + j * a_step], b[b_start + j * b_step])
                i += 1

    return walk


@inline
def _starts(axes, index):  # type: ignore[no-untyped-def]
    """Where the operands' innermost axes start at `index`, counted over all axes but the last."""
    a_start = b_start = 0
    for axis in range(AXES - 2, -1, -1):
        place = index % axes[axis]
        index //= axes[axis]
        a_start += place * axes[AXES + axis]
        b_start += place * axes[2 * AXES + axis]
    return a_start, b_start
