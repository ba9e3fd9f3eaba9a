"""Native twin of `kernels/vector/winograd.py`: bands of four output rows, filters in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..vector.winograd import S8
from ..winograd_conv2d import ELEMENTS, FACTORS, PATCH, TILE, backward
from . import vectors as v
from .kinds import INT8, PRODUCTS, Int8
from .memory import INT8_POINTER, INT32_POINTER, int8_at, int32_at
from .product import matrix_product
from .registry import kernel
from .vectors import BYTES, I64, SHORTS, SUMS
from .window import line_of_windows
from .winograd import InTile, in_lanes, load_sums, patch_transform

P = S8.index
NINTH = pow(9, -1, 1 << 32)  # times 9 it is 1, modulo 2**32
SUM_BYTES = 64  # of a block of filters
PARAMETER_BYTES = INT8.parameter_bytes

_product, _copy_line = matrix_product(PRODUCTS), line_of_windows(PRODUCTS)
_transform = patch_transform(BYTES, SHORTS)


def _backward(m: Sequence[Any]) -> list[Any]:
    """A' m of int32, with what `FACTORS` took out of the weights; sums may wrap."""
    return backward([each * int(factor) for each, factor in zip(m, FACTORS, strict=True)])


class _Tile(InTile, Int8):
    """int8 outputs of a tile."""


@intrinsic
def _finish(  # type: ignore[no-untyped-def]
    typing_context, sums, distance, parameters, arena, y_rows, offset, rows, columns, y_pixel,
    channels, least, greatest, plain,
):  # fmt: skip
    """36 sums, `distance` bytes apart, to 16 channels of a tile, `offset` bytes in output rows."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        sums, distance, parameters, arena, y_rows, offset, rows, columns, *rest = arguments
        values = load_sums(builder, sums, distance, SUMS)
        kind = _Tile()
        kind.place(arena, y_rows, I64(0), rows, columns)
        bias = kind.row(builder, parameters, 0, 1)  # of sums of q
        ninth, six = ir.Constant(SUMS, [NINTH - (1 << 32)] * 16), v.constant(SUMS, 6)
        totals = [
            [builder.add(builder.ashr(builder.mul(value, ninth), six), bias)]
            for value in in_lanes(builder, _backward, values)
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
