"""The three walks over two operands that `kernels/elementwise.py` lowers to, for any arithmetic.

A walk is compiled once for each pair of arithmetic and dtype: `register_binary` makes the kernels
`<op>_<type>`, `<op>_row_<type>` and `<op>_broadcast_<type>` and registers them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..elementwise import AXES, BinaryLayouts
from ..operation import Layout
from .fixedpoint import inline
from .memory import int32_at
from .registry import kernel

Native = Callable[..., Any]


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


def _same(P: Any, at: Native, load: Callable[[Any], Native], combine: Native) -> Native:
    load_words = load(P)

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        rows, count, words = p[P.rows], p[P.count], load_words(constants, p)
        a_rows, b_rows = int32_at(constants, p[P.a]), int32_at(constants, p[P.b])
        y_rows = int32_at(constants, p[P.y])
        for row in range(rows):
            a, b, y = at(arena, a_rows[row]), at(arena, b_rows[row]), at(arena, y_rows[row])
            for i in range(count):
                y[i] = combine(words, a[i], b[i])

    return walk


def _row(P: Any, at: Native, load: Callable[[Any], Native], combine: Native) -> Native:
    load_words = load(P)

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        columns, channels, words = p[P.columns], p[P.channels], load_words(constants, p)
        a_rows, y_rows = int32_at(constants, p[P.a]), int32_at(constants, p[P.y])
        b = at(constants if p[P.b_constant] else arena, p[P.b])
        b_column, b_channel = p[P.b_column], p[P.b_channel]
        for row in range(p[P.rows]):
            a, y = at(arena, a_rows[row]), at(arena, y_rows[row])
            for column in range(columns):
                i, j = column * channels, column * b_column
                for channel in range(channels):
                    y[i + channel] = combine(words, a[i + channel], b[j + channel * b_channel])

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
