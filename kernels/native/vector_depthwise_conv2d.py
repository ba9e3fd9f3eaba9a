"""Native twin of `kernels/vector/depthwise_conv2d.py`."""

from __future__ import annotations

from functools import cache
from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic

from ..vector.depthwise_conv2d import S8
from . import vectors as v
from .fixedpoint import inline
from .memory import INT8_POINTER, INT32_POINTER, int8_at, int32_at
from .processor import NEON, NEON_DOT, PORTABLE, instruction_set
from .registry import kernel
from .tile import finish
from .window import copy_lines, copy_windows, evenly_spaced

P = S8.index
# Pixels of the tiles that are compiled, the largest first.
SHAPES = {PORTABLE: (1,), NEON: (2, 1), NEON_DOT: (4, 2, 1)}.get(instruction_set(), (8, 4, 2, 1))


@cache
def _tile(pixels: int, pairs: bool) -> Any:
    """The intrinsic that makes one block of channels of a few pixels.

    With `pairs` a step's taps are those of two neighbouring pixels, and it has weights for both.

    Arguments: x (the block of the first pixel in the buffer), pixel (bytes to the next one), taps,
    steps, weights, parameters, y, y_pixel, channels (that are stored, if less than 16), least,
    greatest, plain.
    """
    integer = types.int64
    signature = types.void(
        *(INT8_POINTER, integer, INT32_POINTER, integer, INT8_POINTER, INT8_POINTER),
        *(INT8_POINTER, integer, integer, integer, integer, integer),
    )

    @intrinsic
    def run(  # type: ignore[no-untyped-def]
        typing_context, x, pixel, taps, steps, weights, parameters,
        y, y_pixel, channels, least, greatest, plain,
    ):  # fmt: skip
        def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            sums = _sum(builder, pixels, pairs, *arguments[:6])
            finish(builder, [[one] for one in sums], *arguments[5:])
            return context.get_dummy_value()

        return signature, emit

    return run


def _sum(
    builder: Any,
    pixels: int,
    pairs: bool,
    x: Any,
    pixel: Any,
    taps: Any,
    steps: Any,
    weights: Any,
    bias: Any,
) -> list[Any]:
    rule, together = v.step(), 2 if pairs else 1
    start = rule.start(builder, v.bias_of(builder, bias, 0))
    rooms = [cgutils.alloca_once_value(builder, start) for _ in range(pixels)]
    for room in rooms:
        builder.store(start, room)
    with cgutils.for_range(builder, steps) as loop:
        first = builder.mul(loop.index, v.I64(4))
        places = [
            builder.sext(builder.load(builder.gep(taps, [builder.add(first, v.I64(i))])), v.I64)
            for i in range(4)
        ]
        columns = []
        for which in range(together):
            place = builder.mul(loop.index, v.I64(64 * together))
            column = v.load(builder, weights, builder.add(place, v.I64(64 * which)), v.SUMS)
            columns.append(rule.weights(builder, column))
        for number in range(0, pixels, together):
            line = builder.gep(x, [builder.mul(pixel, v.I64(number))])
            parts = [v.load(builder, line, offset, v.BYTES) for offset in places]
            quads = rule.activations(builder, v.interleaved(builder, parts))
            for room, column in zip(rooms[number:], columns, strict=False):
                builder.store(rule.add(builder, builder.load(room), quads, column), room)
    return [rule.total(builder, builder.load(room)) for room in rooms]


def _tiled(pixels: int, following: Any, pairs: bool) -> Any:
    """Tiles of `pixels` while they fit, then the `following` smaller ones."""
    run = _tile(pixels, pairs)

    @inline
    def tiled(x, y, left, pixel, y_pixel, channels, given):  # type: ignore[no-untyped-def]
        taps, steps, weights, parameters, least, greatest, plain = given
        while left >= pixels:
            run(
                x, pixel, taps, steps, weights, parameters,
                y, y_pixel, channels, least, greatest, plain,
            )  # fmt: skip
            x, y = int8_at(x, pixels * pixel), int8_at(y, pixels * y_pixel)
            left -= pixels
        if left > 0:
            following(x, y, left, pixel, y_pixel, channels, given)

    return tiled


@inline
def _nothing(x, y, left, pixel, y_pixel, channels, given):  # type: ignore[no-untyped-def]
    pass


def _row(pairs: bool) -> Any:
    """A native function that makes one block of channels of a row of pixels."""
    following = _nothing
    for pixels in reversed(SHAPES):
        following = _tiled(pixels, following, pairs)
    return following


_pixels, _pairs = _row(False), _row(True)


@inline
def _block(x, y, columns, p, channels, given):  # type: ignore[no-untyped-def]
    """One block of channels of a run: pixels taken together, then those left over."""
    together, depth = p[P.together], p[P.channels]
    if p[P.pairs] != 0:
        _pairs(x, y, columns, p[P.pixel], depth, channels, given)
        return
    whole, pixel, y_pixel = columns // together, together * p[P.pixel], together * depth
    _pixels(x, y, whole, pixel, y_pixel, channels, given)
    tail = columns - whole * together
    if tail > 0:
        x, y = int8_at(x, whole * pixel), int8_at(y, whole * y_pixel)
        _pixels(x, y, 1, pixel, y_pixel, tail * depth, given)


@inline
def _blocks(arena, constants, p, y, columns):  # type: ignore[no-untyped-def]
    """All channels of a run whose windows are in the buffer."""
    steps, channels = p[P.steps], p[P.together] * p[P.channels]
    taps, buffer = int32_at(constants, p[P.taps]), int8_at(arena, p[P.buffer])
    size = steps * 64 * (1 + p[P.pairs])
    for block in range((channels + 15) // 16):
        weights = int8_at(constants, p[P.weights] + block * size)
        parameters = int8_at(constants, p[P.parameters] + block * v.PARAMETER_BYTES)
        given = taps, steps, weights, parameters, p[P.least], p[P.greatest], p[P.plain]
        x, place = int8_at(buffer, 16 * block), int8_at(y, 16 * block)
        _block(x, place, columns, p, channels - 16 * block, given)


@inline
def _tall(arena, constants, p, x_rows, y_rows):  # type: ignore[no-untyped-def]
    """An image one pixel wide: rows are taken as pixels of a row."""
    row, rows, depth = 0, p[P.rows], p[P.channels]
    while row < rows:
        count = min(p[P.band], rows - row)
        if not evenly_spaced(y_rows, row, count, depth):
            count = 1
        lines = p[P.kernel_height] + (count - 1) * p[P.stride_height]
        copy_lines(arena, p, P, x_rows, row * p[P.stride_height], lines)
        _blocks(arena, constants, p, int8_at(arena, y_rows[row]), count)
        row += count


@inline
def _wide(arena, constants, p, x_rows, y_rows):  # type: ignore[no-untyped-def]
    """Any other image, row by row, in runs of pixels."""
    for row in range(p[P.rows]):
        column = 0
        while column < p[P.width]:  # a range by a variable step could raise
            columns = min(p[P.columns], p[P.width] - column)
            copy_windows(arena, p, P, x_rows, row, 1, column, columns)
            y = int8_at(arena, y_rows[row] + column * p[P.channels])
            _blocks(arena, constants, p, y, columns)
            column += columns


@kernel
def depthwise_conv2d_vector_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
    if p[P.band] > 0:
        _tall(arena, constants, p, x_rows, y_rows)
    else:
        _wide(arena, constants, p, x_rows, y_rows)
