"""Copying the windows of a run of output pixels into a buffer: see `kernels/vector/window.py`."""

from __future__ import annotations

from functools import cache
from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic

from . import vectors as v
from .fixedpoint import inline
from .kinds import Kind
from .memory import INT8_POINTER, int8_at


@cache
def _copy(sign: int) -> Any:
    @intrinsic
    def copy(typing_context, target, source, count):  # type: ignore[no-untyped-def]
        """Copy `count` bytes as a step takes them, 64 at a time: up to 63 more are touched."""

        def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            target, source, count = arguments
            signs, zero, by = v.constant(v.QUADS, sign), v.I64(0), v.I64(64)
            with cgutils.for_range_slice(builder, zero, count, by, v.I64) as (at, _):
                value = v.load(builder, source, at, v.QUADS)
                v.store(builder, target, at, builder.xor(value, signs))
            return context.get_dummy_value()

        return types.void(INT8_POINTER, INT8_POINTER, types.int64), emit

    return copy


@cache
def _fill(sign: int) -> Any:
    @intrinsic
    def fill(typing_context, target, value, count):  # type: ignore[no-untyped-def]
        """Set `count` bytes to a value as a step takes it, 64 at a time: up to 63 more are too."""

        def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            target, value, count = arguments
            value = builder.xor(builder.trunc(value, v.I8), v.I8(sign))
            vector = v.splat(builder, value, v.QUADS)
            zero, by = v.I64(0), v.I64(64)
            with cgutils.for_range_slice(builder, zero, count, by, v.I64) as (at, _):
                v.store(builder, target, at, vector)
            return context.get_dummy_value()

        return types.void(INT8_POINTER, types.int64, types.int64), emit

    return fill


def line_of_windows(kind: Kind) -> Any:
    """`(arena, p, P, line, target, begin, span)`: `span` bytes of an input row, which is at `line`
    or if that is negative all padding, from its byte `begin` on, padded on both sides.

    Each copy may write past its end: what follows is written after it.
    """
    set_bytes, copy_bytes = _fill(kind.sign), _copy(kind.sign)

    @inline
    def copy_line(arena, p, P, line, target, begin, span):  # type: ignore[no-untyped-def]
        fill, left, skipped = p[P.fill], min(max(-begin, 0), span), max(begin, 0)
        body = max(min(p[P.in_row] - skipped, span - left), 0)
        if line < 0:
            set_bytes(target, fill, span)
        else:
            set_bytes(target, fill, left)
            copy_bytes(int8_at(target, left), int8_at(arena, line + skipped), body)
            set_bytes(int8_at(target, left + body), fill, span - left - body)

    return copy_line


def window_copier(kind: Kind) -> Any:
    """`(arena, p, P, x_rows, row, count, column, columns)`: the windows of `columns` pixels from
    `column` on, of output rows row .. row+count-1."""
    copy_line = line_of_windows(kind)

    @inline
    def copy_windows(arena, p, P, x_rows, row, count, column, columns):  # type: ignore[no-untyped-def]
        buffer, pitch = int8_at(arena, p[P.buffer]), p[P.pitch]
        begin, span = column * p[P.pixel] - p[P.before], (columns - 1) * p[P.pixel] + p[P.extent]
        for output in range(row, row + count):
            first = output * p[P.stride_height]
            for tap in range(p[P.kernel_height]):
                line = x_rows[first + tap * p[P.dilation_height]]
                copy_line(arena, p, P, line, buffer, begin, span)
                buffer = int8_at(buffer, pitch)

    return copy_windows


def line_copier(kind: Kind) -> Any:
    """`(arena, p, P, x_rows, first, lines)`: the rows first .. first+lines-1 of an image one pixel
    wide, one after the other."""
    set_bytes, copy_bytes = _fill(kind.sign), _copy(kind.sign)

    @inline
    def copy_lines(arena, p, P, x_rows, first, lines):  # type: ignore[no-untyped-def]
        buffer, fill, size = int8_at(arena, p[P.buffer]), p[P.fill], p[P.in_row]
        for number in range(first, first + lines):
            line = x_rows[number]
            if line < 0:
                set_bytes(buffer, fill, size)
            else:
                copy_bytes(buffer, int8_at(arena, line), size)
            buffer = int8_at(buffer, size)

    return copy_lines


@inline
def evenly_spaced(y_rows, row, count, row_bytes):  # type: ignore[no-untyped-def]
    """Whether output rows row .. row+count-1 lie one after the other in memory."""
    return y_rows[row + count - 1] - y_rows[row] == (count - 1) * row_bytes
