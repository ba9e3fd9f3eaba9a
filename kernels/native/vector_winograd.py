"""Native twin of `kernels/vector/winograd.py`: bands of four output rows, filters in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..vector.winograd import ELEMENTS, FACTORS, PATCH, S8, TILE
from . import vectors as v
from .kinds import INT8, PRODUCTS, Int8, store_blocks
from .memory import INT8_POINTER, INT32_POINTER, int8_at, int32_at
from .product import matrix_product
from .registry import kernel
from .vectors import BYTES, I64, SHORTS, SUMS, Builder, Value
from .window import line_of_windows

P = S8.index
NINTH = pow(9, -1, 1 << 32)  # times 9 it is 1, modulo 2**32
SUM_BYTES = 64  # of a block of filters
PARAMETER_BYTES = INT8.parameter_bytes

_product, _copy_line = matrix_product(PRODUCTS), line_of_windows(PRODUCTS)


# ---- the transforms: of six values to six, and of six sums to four -----------------------------


def _forward(builder: Builder, d: Sequence[Value]) -> list[Value]:
    """B^T d of int16."""

    def times(value: Value, power: int) -> Value:
        return builder.shl(value, v.constant(SHORTS, power))

    add, sub = builder.add, builder.sub
    four2, four4 = times(d[2], 2), sub(d[4], d[2])
    outer, inner = sub(d[3], times(d[1], 2)), sub(d[4], four2)
    twice = times(sub(d[3], d[1]), 1)
    return [
        add(times(sub(d[0], d[2]), 2), four4),
        add(inner, outer),
        sub(inner, outer),
        add(four4, twice),
        sub(four4, twice),
        add(sub(times(sub(d[1], d[3]), 2), d[3]), d[5]),
    ]


def _backward(builder: Builder, m: Sequence[Value]) -> list[Value]:
    """A^T m of int32, with what `FACTORS` took out of the weights; sums may wrap."""

    def times(value: Value, factor: int) -> Value:
        return builder.mul(value, v.constant(SUMS, int(factor)))

    add, sub = builder.add, builder.sub
    near, apart = times(add(m[1], m[2]), FACTORS[1]), times(sub(m[1], m[2]), FACTORS[1])
    far, across = add(m[3], m[4]), sub(m[3], m[4])
    return [
        add(add(times(m[0], FACTORS[0]), near), far),
        add(apart, times(across, 2)),
        add(near, times(far, 4)),
        add(add(apart, times(across, 8)), times(m[5], FACTORS[5])),
    ]


def _twice(builder: Builder, transform: Any, values: Sequence[Sequence[Value]]) -> list[Any]:
    """[column][row] values, transformed along both axes: [row][column]."""
    columns = [transform(builder, column) for column in values]
    return [transform(builder, row) for row in zip(*columns, strict=True)]


@intrinsic
def _transform(typing_context, x, pixel, pitch, inputs, distance):  # type: ignore[no-untyped-def]
    """16 channels of a patch at x, to 36 vectors of int16, `distance` bytes apart."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        x, pixel, pitch, inputs, distance = arguments
        patch = [
            [
                v.load(builder, x, _far(builder, (pitch, row), (pixel, column)), BYTES)
                for row in range(PATCH)
            ]
            for column in range(PATCH)
        ]
        wide = [[builder.sext(value, SHORTS) for value in column] for column in patch]
        made = [value for row in _twice(builder, _forward, wide) for value in row]
        for number, value in enumerate(made):
            v.store(builder, inputs, builder.mul(distance, I64(number)), value)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(INT8_POINTER, integer, integer, INT8_POINTER, integer), emit


def _far(builder: Builder, *steps: tuple[Value, int]) -> Value:
    """The sum of some distances, each so many times."""
    parts = [builder.mul(size, I64(times)) for size, times in steps]
    return builder.add(*parts)


class _Tile(Int8):
    """A tile's outputs: of each pixel 16 channels, in rows of their own."""

    def __init__(self, arena: Value, y_rows: Value, height: Value, width: Value) -> None:
        super().__init__()
        self.arena, self.y_rows, self.height, self.width = arena, y_rows, height, width

    def store(  # type: ignore[no-untyped-def]
        self, builder, offset, y_pixel, channels, outputs
    ) -> None:
        """Only the pixels that are inside the image: `height` rows of `width`."""
        for row in range(TILE):
            with cgutils.if_likely(builder, builder.icmp_signed(">", self.height, I64(row))):
                start = builder.load(builder.gep(self.y_rows, [I64(row)]))
                line = builder.gep(self.arena, [builder.add(builder.sext(start, I64), offset)])
                for column in range(TILE):
                    inside = builder.icmp_signed(">", self.width, I64(column))
                    with cgutils.if_likely(builder, inside):
                        y = builder.gep(line, [builder.mul(y_pixel, I64(column))])
                        store_blocks(builder, y, outputs[TILE * row + column], channels, 16)


@intrinsic
def _finish(  # type: ignore[no-untyped-def]
    typing_context, sums, distance, parameters, arena, y_rows, offset, rows, columns, y_pixel,
    channels, least, greatest, plain,
):  # fmt: skip
    """36 sums, `distance` bytes apart, to 16 channels of a tile, `offset` bytes in output rows."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        sums, distance, parameters, arena, y_rows, offset, rows, columns, *rest = arguments
        values = [
            [
                v.load(builder, sums, builder.mul(distance, I64(PATCH * row + column)), SUMS)
                for row in range(PATCH)
            ]
            for column in range(PATCH)
        ]
        kind = _Tile(arena, y_rows, rows, columns)
        bias = kind.row(builder, parameters, 0, 1)  # of sums of q
        ninth, six = ir.Constant(SUMS, [NINTH - (1 << 32)] * 16), v.constant(SUMS, 6)
        totals = [
            [builder.add(builder.ashr(builder.mul(value, ninth), six), bias)]
            for row in _twice(builder, _backward, values)
            for value in row
        ]
        kind.finish(builder, totals, parameters, offset, *rest)
        return context.get_dummy_value()

    integer = types.int64
    pointers = (INT8_POINTER, integer, INT8_POINTER, INT8_POINTER, INT32_POINTER)
    return types.void(*pointers, *(integer,) * 8), emit


# ---- the kernel --------------------------------------------------------------------------------


@kernel
def conv2d_winograd_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows = int32_at(constants, p[P.x])
    zero, rows, tiles, filters = int32_at(constants, p[P.zero]), p[P.rows], p[P.tiles], p[P.filters]
    buffer, pixel, pitch, steps = int8_at(arena, p[P.buffer]), p[P.pixel], p[P.pitch], p[P.steps]
    inputs, sums = int8_at(buffer, p[P.inputs]), int8_at(buffer, p[P.sums])
    tile_bytes = 2 * pixel  # of transformed inputs
    row = 0
    while row < rows:
        count = min(TILE, rows - row)
        for tap in range(PATCH):
            line = x_rows[row + tap] if tap < count + 2 else -1
            _copy_line(arena, p, P, line, int8_at(buffer, tap * pitch), -p[P.before], pitch)
        for tile in range(tiles):
            corner = int8_at(buffer, tile * TILE * pixel)
            for channel in range(0, pixel, 16):
                to = int8_at(inputs, tile * tile_bytes + 2 * channel)
                _transform(int8_at(corner, channel), pixel, pitch, to, tiles * tile_bytes)
        for first in range(0, filters, 16):
            block = first // 16
            size = ELEMENTS * steps * 64
            weights = int8_at(constants, p[P.weights] + block * size)
            for element in range(ELEMENTS):
                given = (zero, 1, steps, weights, size, weights, 16, 0, 0, 0)
                x, y = (
                    int8_at(inputs, element * tiles * tile_bytes),
                    int8_at(sums, element * tiles * SUM_BYTES),
                )
                _product(x, y, tiles, tile_bytes, SUM_BYTES, 16, given)
                weights = int8_at(weights, steps * 64)
            parameters = int8_at(constants, p[P.parameters] + block * PARAMETER_BYTES)
            for tile in range(tiles):
                _finish(
                    int8_at(sums, tile * SUM_BYTES), tiles * SUM_BYTES, parameters,
                    arena, int32_at(constants, p[P.y] + 4 * row),
                    TILE * tile * filters + first, count, p[P.width] - TILE * tile, filters,
                    filters - first, p[P.least], p[P.greatest], p[P.plain],
                )  # fmt: skip
        row += count
