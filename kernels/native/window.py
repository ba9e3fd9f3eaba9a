"""Copying the windows of a run of output pixels into a buffer: see `kernels/vector/window.py`."""

from __future__ import annotations

from numba.core import cgutils, types
from numba.extending import intrinsic

from . import vectors as v
from .fixedpoint import inline
from .memory import INT8_POINTER, int8_at


@intrinsic
def flip(typing_context, target, source, count):  # type: ignore[no-untyped-def]
    """Copy `count` bytes as a step takes them, 64 at a time: up to 63 more are read and written."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        target, source, count = arguments
        sign, zero, by = v.constant(v.QUADS, v.sign()), v.I64(0), v.I64(64)
        with cgutils.for_range_slice(builder, zero, count, by, v.I64) as (at, _):
            value = v.load(builder, source, at, v.QUADS)
            v.store(builder, target, at, builder.xor(value, sign))
        return context.get_dummy_value()

    return types.void(INT8_POINTER, INT8_POINTER, types.int64), emit


@intrinsic
def _fill(typing_context, target, value, count):  # type: ignore[no-untyped-def]
    """Set `count` bytes to a value as a step takes it, 64 at a time: up to 63 more are written."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        target, value, count = arguments
        value = builder.xor(builder.trunc(value, v.I8), v.I8(v.sign()))
        vector = v.splat(builder, value, v.QUADS)
        zero, by = v.I64(0), v.I64(64)
        with cgutils.for_range_slice(builder, zero, count, by, v.I64) as (at, _):
            v.store(builder, target, at, vector)
        return context.get_dummy_value()

    return types.void(INT8_POINTER, types.int64, types.int64), emit


@inline
def copy_windows(arena, p, P, x_rows, row, count, column, columns):  # type: ignore[no-untyped-def]
    """The windows of `columns` pixels from `column` on, of output rows row .. row+count-1.

    Each copy may write past its end: what follows is written after it.
    """
    buffer, fill, pitch = int8_at(arena, p[P.buffer]), p[P.fill], p[P.pitch]
    begin, span = column * p[P.pixel] - p[P.before], (columns - 1) * p[P.pixel] + p[P.extent]
    left = min(max(-begin, 0), span)
    skipped = max(begin, 0)
    body = max(min(p[P.in_row] - skipped, span - left), 0)
    for output in range(row, row + count):
        first = output * p[P.stride_height]
        for tap in range(p[P.kernel_height]):
            line = x_rows[first + tap * p[P.dilation_height]]
            if line < 0:
                _fill(buffer, fill, span)
            else:
                _fill(buffer, fill, left)
                flip(int8_at(buffer, left), int8_at(arena, line + skipped), body)
                _fill(int8_at(buffer, left + body), fill, span - left - body)
            buffer = int8_at(buffer, pitch)


@inline
def copy_lines(arena, p, P, x_rows, first, lines):  # type: ignore[no-untyped-def]
    """The rows first .. first+lines-1 of an image one pixel wide, one after the other."""
    buffer, fill, size = int8_at(arena, p[P.buffer]), p[P.fill], p[P.in_row]
    for number in range(first, first + lines):
        line = x_rows[number]
        if line < 0:
            _fill(buffer, fill, size)
        else:
            flip(buffer, int8_at(arena, line), size)
        buffer = int8_at(buffer, size)


@inline
def evenly_spaced(y_rows, row, count, row_bytes):  # type: ignore[no-untyped-def]
    """Whether output rows row .. row+count-1 lie one after the other in memory."""
    return y_rows[row + count - 1] - y_rows[row] == (count - 1) * row_bytes
