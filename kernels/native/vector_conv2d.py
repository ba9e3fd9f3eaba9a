"""Native twin of `kernels/vector/conv2d.py`."""

from __future__ import annotations

from typing import Any

from ..vector.conv2d import S8
from .fixedpoint import inline
from .memory import int8_at, int32_at
from .registry import kernel
from .tile import shapes, tile
from .vectors import PARAMETER_BYTES
from .window import copy_windows, evenly_spaced

P = S8.index


def _tiled(pixels: int, following: Any, blocks: int) -> Any:
    """Tiles of `pixels` while they fit, then the `following` smaller ones."""
    run = tile(pixels, blocks)

    @inline
    def tiled(x, y, left, pixel, y_pixel, given):  # type: ignore[no-untyped-def]
        segments, segment_count, steps, weights, size, parameters, channels, least, greatest = given
        while left >= pixels:
            run(
                x, pixel, segments, segment_count, steps, weights, size, parameters,
                y, y_pixel, channels, least, greatest,
            )  # fmt: skip
            x, y = int8_at(x, pixels * pixel), int8_at(y, pixels * y_pixel)
            left -= pixels
        if left > 0:
            following(x, y, left, pixel, y_pixel, given)

    return tiled


@inline
def _nothing(x, y, left, pixel, y_pixel, given):  # type: ignore[no-untyped-def]
    pass


def _column(blocks: int) -> Any:
    """A native function that makes these many blocks of channels of all pixels of a row."""
    following = _nothing
    for pixels in reversed(shapes()[blocks]):
        following = _tiled(pixels, following, blocks)
    return following


def _columns(blocks: int, following: Any) -> Any:
    """Columns of `blocks` while that many whole blocks are left, then the `following` ones."""
    column = _column(blocks)

    @inline
    def columns(x, y, pixels, pixel, y_pixel, channels, given):  # type: ignore[no-untyped-def]
        segments, segment_count, steps, weights, size, parameters, _, least, greatest = given
        least_left = 16 * blocks if blocks > 1 else 1
        while channels >= least_left:
            now = (
                segments, segment_count, steps, weights, size, parameters,
                channels, least, greatest,
            )  # fmt: skip
            column(x, y, pixels, pixel, y_pixel, now)
            y, weights = int8_at(y, 16 * blocks), int8_at(weights, blocks * size)
            parameters = int8_at(parameters, blocks * PARAMETER_BYTES)
            channels -= 16 * blocks
        if channels > 0:
            now = (
                segments, segment_count, steps, weights, size, parameters,
                channels, least, greatest,
            )  # fmt: skip
            following(x, y, pixels, pixel, y_pixel, channels, now)

    return columns


@inline
def _no_columns(x, y, pixels, pixel, y_pixel, channels, given):  # type: ignore[no-untyped-def]
    pass


def matrix_product() -> Any:
    """`(x, y, pixels, pixel, y_pixel, channels, given)`: all channels of a row of pixels.

    `given`: segments, segment_count, steps, weights, bytes of a block's weights, parameters,
    channels, least, greatest.
    """
    following = _no_columns
    for blocks in sorted(shapes()):
        following = _columns(blocks, following)
    return following


_product = matrix_product()


@kernel
def conv2d_vector_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
    segments, segment_count = int32_at(constants, p[P.segments]), p[P.segment_count]
    weights, parameters = int8_at(constants, p[P.weights]), int8_at(constants, p[P.parameters])
    rows, width, filters, pixel = p[P.rows], p[P.width], p[P.filters], p[P.pixel]
    buffer, steps = int8_at(arena, p[P.buffer]), p[P.steps]
    size = segment_count * steps * 64
    given = (
        segments, segment_count, steps, weights, size, parameters,
        filters, p[P.least], p[P.greatest],
    )  # fmt: skip
    row = 0
    while row < rows:
        count = min(p[P.band], rows - row)
        if not evenly_spaced(y_rows, row, count, width * filters):
            count = 1
        column = 0
        while column < width:  # a range by a variable step could raise
            columns = min(p[P.columns], width - column)
            copy_windows(arena, p, P, x_rows, row, count, column, columns)
            y = int8_at(arena, y_rows[row] + column * filters)
            _product(buffer, y, count * columns, pixel, filters, filters, given)
            column += columns
        row += count
