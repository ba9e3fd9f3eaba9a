"""Native twins of `kernels/vector/depthwise_conv2d.py`: one function makes all types' kernels."""

from __future__ import annotations

from functools import cache
from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic

from ..operation import Layout
from ..vector.depthwise_conv2d import LAYOUT_OF
from . import vectors as v
from .fixedpoint import inline
from .kinds import FLOAT, INT8, INT16_SHORT, Kind
from .memory import INT8_POINTER, INT32_POINTER, int8_at, int32_at
from .processor import AVX2, AVX512_VNNI, NEON, NEON_DOT, PORTABLE, own_of
from .registry import kernel
from .window import evenly_spaced, line_copier, window_copier

# Pixels of the tiles that are compiled, the largest first: of int8, and of other types.
_SHAPES = own_of(
    {
        AVX512_VNNI: (8, 4, 2, 1),
        AVX2: (8, 4, 2, 1),
        PORTABLE: (1,),
        NEON_DOT: (4, 2, 1),
        NEON: (2, 1),
    }
)
_TAP_SHAPES = own_of(
    {AVX512_VNNI: (8, 2, 1), AVX2: (4, 1), PORTABLE: (2, 1), NEON_DOT: (4, 1), NEON: (4, 1)}
)


@cache
def _tile(pixels: int, pairs: bool, kind: Kind) -> Any:
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
            if kind is INT8:
                sums = _sum(builder, pixels, pairs, arguments[:6])
            else:
                sums = _sum_taps(builder, pixels, kind, arguments[:6])
            kind.finish(builder, [[one] for one in sums], *arguments[5:])
            return context.get_dummy_value()

        return signature, emit

    return run


def _sum(builder: Any, pixels: int, pairs: bool, arguments: Any) -> list[Any]:
    """Four taps a step."""
    x, pixel, taps, steps, weights, bias = arguments
    rule, together = INT8.step(), 2 if pairs else 1
    start = rule.start(builder, INT8.bias(builder, bias, 0))
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


def _sum_taps(builder: Any, pixels: int, kind: Kind, arguments: Any) -> list[Any]:
    """A tap a step."""
    x, pixel, taps, steps, weights, bias = arguments
    start = kind.bias(builder, bias, 0)
    rooms = [cgutils.alloca_once(builder, start.type) for _ in range(pixels)]
    for room in rooms:
        builder.store(start, room)
    with cgutils.for_range(builder, steps) as loop:
        tap = builder.gep(x, [builder.sext(builder.load(builder.gep(taps, [loop.index])), v.I64)])
        place = builder.mul(loop.index, v.I64(16 * kind.itemsize))
        column = v.load(builder, weights, place, kind.values)
        for number, room in enumerate(rooms):
            values = v.load(builder, tap, builder.mul(pixel, v.I64(number)), kind.values)
            builder.store(kind.tap(builder, builder.load(room), values, column), room)
    return [builder.load(room) for room in rooms]


def _tiled(pixels: int, following: Any, pairs: bool, kind: Kind) -> Any:
    """Tiles of `pixels` while they fit, then the `following` smaller ones."""
    run = _tile(pixels, pairs, kind)

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


def _row(pairs: bool, kind: Kind) -> Any:
    """A native function that makes one block of channels of a row of pixels."""
    following = _nothing
    for pixels in reversed(_SHAPES if kind is INT8 else _TAP_SHAPES):
        following = _tiled(pixels, following, pairs, kind)
    return following


def _block(kind: Kind) -> Any:
    """A native function that makes one block of channels of a run."""
    size_of = kind.itemsize
    one_by_one = _row(False, kind)
    in_pairs = _row(True, kind) if kind is INT8 else one_by_one

    @inline
    def block(x, y, columns, p, P, channels, given):  # type: ignore[no-untyped-def]
        together, y_bytes = p[P.together], p[P.channels] * size_of
        if p[P.pairs] != 0:
            in_pairs(x, y, columns, p[P.pixel], y_bytes, channels, given)
            return
        whole, pixel, y_pixel = columns // together, together * p[P.pixel], together * y_bytes
        one_by_one(x, y, whole, pixel, y_pixel, channels, given)
        tail = columns - whole * together
        if tail > 0:
            x, y = int8_at(x, whole * pixel), int8_at(y, whole * y_pixel)
            one_by_one(x, y, 1, pixel, y_pixel, tail * p[P.channels], given)

    return block


def _blocks(kind: Kind) -> Any:
    """A native function that makes all channels of a run whose windows are in the buffer."""
    block_bytes, parameter_bytes = 16 * kind.itemsize, kind.parameter_bytes
    step_bytes = 64 if kind is INT8 else block_bytes
    make_block = _block(kind)

    @inline
    def blocks(arena, constants, p, P, y, columns):  # type: ignore[no-untyped-def]
        steps, channels = p[P.steps], p[P.together] * p[P.channels]
        taps, buffer = int32_at(constants, p[P.taps]), int8_at(arena, p[P.buffer])
        size = steps * step_bytes * (1 + p[P.pairs])
        for block in range((channels + 15) // 16):
            weights = int8_at(constants, p[P.weights] + block * size)
            parameters = int8_at(constants, p[P.parameters] + block * parameter_bytes)
            given = taps, steps, weights, parameters, p[P.least], p[P.greatest], p[P.plain]
            x, place = int8_at(buffer, block_bytes * block), int8_at(y, block_bytes * block)
            make_block(x, place, columns, p, P, channels - 16 * block, given)

    return blocks


def _convolution(words: Layout, kind: Kind) -> None:
    words_index, size_of, blocks = words.index, kind.itemsize, _blocks(kind)
    copy_lines, copy_windows = line_copier(kind), window_copier(kind)

    @inline
    def tall(arena, constants, p, x_rows, y_rows):  # type: ignore[no-untyped-def]
        """An image one pixel wide: rows are taken as pixels of a row."""
        P = words_index
        row, rows, y_bytes = 0, p[P.rows], p[P.channels] * size_of
        while row < rows:
            count = min(p[P.band], rows - row)
            if not evenly_spaced(y_rows, row, count, y_bytes):
                count = 1
            lines = p[P.kernel_height] + (count - 1) * p[P.stride_height]
            copy_lines(arena, p, P, x_rows, row * p[P.stride_height], lines)
            blocks(arena, constants, p, P, int8_at(arena, y_rows[row]), count)
            row += count

    @inline
    def wide(arena, constants, p, x_rows, y_rows):  # type: ignore[no-untyped-def]
        """Any other image, row by row, in runs of pixels."""
        P = words_index
        for row in range(p[P.rows]):
            column = 0
            while column < p[P.width]:  # a range by a variable step could raise
                columns = min(p[P.columns], p[P.width] - column)
                copy_windows(arena, p, P, x_rows, row, 1, column, columns)
                y = int8_at(arena, y_rows[row] + column * p[P.channels] * size_of)
                blocks(arena, constants, p, P, y, columns)
                column += columns

    def convolve(arena, constants, p):  # type: ignore[no-untyped-def]
        P = words_index
        x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
        if p[P.band] > 0:
            tall(arena, constants, p, x_rows, y_rows)
        else:
            wide(arena, constants, p, x_rows, y_rows)

    convolve.__name__ = words.kernel
    kernel(convolve)


_convolution(LAYOUT_OF["int8"], INT8)
_convolution(LAYOUT_OF["int16"], INT16_SHORT)
_convolution(LAYOUT_OF["float32"], FLOAT)
