"""Native twin of `kernels/winograd_conv2d.py`: some tiles at a time, filters in blocks of 16."""

from __future__ import annotations

from numba.core import types
from numba.extending import intrinsic

from ..winograd_conv2d import ABOVE, ELEMENTS, F32, PATCH, TILE, backward
from .fixedpoint import inline
from .kinds import FLOAT_SUMS, Float
from .memory import INT8_POINTER, INT32_POINTER, int8_at, int32_at
from .product import matrix_product
from .registry import kernel
from .vectors import FLOATS
from .window import evenly_spaced, line_of_windows
from .winograd import InTile, in_lanes, load_sums, patch_transform

P = F32.index
BLOCK_BYTES = 64  # of 16 channels

_product, _copy_line = matrix_product(FLOAT_SUMS), line_of_windows(FLOAT_SUMS)
_transform = patch_transform(FLOATS, FLOATS)


class _Tile(InTile, Float):
    """float32 outputs of a tile."""


@intrinsic
def _finish(  # type: ignore[no-untyped-def]
    typing_context, sums, distance, bias, arena, y_rows, skipped, height, width, offset, y_pixel,
    channels, least, greatest,
):  # fmt: skip
    """36 sums, `distance` bytes apart, to 16 channels of a tile, `offset` bytes in output rows."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        sums, distance, bias, arena, y_rows, skipped, height, width, offset, *rest = arguments
        kind = _Tile()
        kind.place(arena, y_rows, skipped, height, width)
        values = load_sums(builder, sums, distance, FLOATS)
        made = [[value] for value in in_lanes(builder, backward, values)]
        kind.finish(builder, made, bias, offset, *rest, None)
        return context.get_dummy_value()

    integer = types.int64
    pointers = (INT8_POINTER, integer, INT8_POINTER, INT8_POINTER, INT32_POINTER)
    return types.void(*pointers, *(integer,) * 8), emit


@inline
def _transform_tile(arena, p, lines, column, to):  # type: ignore[no-untyped-def]
    """The patch at rows `lines` of a tile in this column of tiles, all channels."""
    pixel, pitch = p[P.pixel], p[P.in_row]
    begin, span = column * TILE * pixel - p[P.before], PATCH * pixel
    x = int8_at(arena, lines[0] + begin)
    inside = lines[0] >= 0 and begin >= 0 and begin + span <= pitch
    if not (inside and evenly_spaced(lines, 0, PATCH, pitch)):
        x, pitch = int8_at(arena, p[P.buffer]), span
        for tap in range(PATCH):
            _copy_line(arena, p, P, lines[tap], int8_at(x, tap * span), begin, span)
    for channel in range(0, pixel, BLOCK_BYTES):
        place = int8_at(to, channel)
        _transform(int8_at(x, channel), pixel, pitch, place, p[P.run] * pixel)


@kernel
def winograd_conv2d_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    bounds, zero = int32_at(constants, p[P.bounds]), int32_at(constants, p[P.zero])
    buffer, pixel, run, filters = int8_at(arena, p[P.buffer]), p[P.pixel], p[P.run], p[P.filters]
    inputs, sums = int8_at(buffer, p[P.inputs]), int8_at(buffer, p[P.sums])
    rows, across, steps, above = p[P.rows], p[P.tiles], pixel // 4, p[P.first] % TILE
    tiles = (above + rows + TILE - 1) // TILE * across
    start = 0
    while start < tiles:
        count = min(run, tiles - start)
        for number in range(count):
            line, column = (start + number) // across, (start + number) % across
            lines = int32_at(constants, p[P.x] + 4 * (ABOVE - above + TILE * line))
            _transform_tile(arena, p, lines, column, int8_at(inputs, number * pixel))
        for first in range(0, filters, 16):
            size = ELEMENTS * steps * BLOCK_BYTES
            weights = int8_at(constants, p[P.weights] + first // 16 * size)
            for element in range(ELEMENTS):
                given = (zero, 1, steps, weights, size, weights, 16, 0, 0, 0)
                x = int8_at(inputs, element * run * pixel)
                y = int8_at(sums, element * run * BLOCK_BYTES)
                _product(x, y, count, pixel, BLOCK_BYTES, 16, given)
                weights = int8_at(weights, steps * BLOCK_BYTES)
            bias = int8_at(constants, p[P.bias] + 4 * first)
            for number in range(count):
                line, column = (start + number) // across, (start + number) % across
                top = TILE * line - above
                _finish(
                    int8_at(sums, number * BLOCK_BYTES), run * BLOCK_BYTES, bias,
                    arena, int32_at(constants, p[P.y] + 4 * top), -top, rows - top,
                    p[P.width] - TILE * column, 4 * (TILE * column * filters + first), 4 * filters,
                    filters - first, bounds[0], bounds[1],
                )  # fmt: skip
        start += count
