"""The vector matrix product: a row of pixels by all output channels, put together from tiles."""

from __future__ import annotations

from typing import Any

from .fixedpoint import inline
from .memory import int8_at
from .tile import Shapes, tile
from .vectors import PARAMETER_BYTES


def _tiled(pixels: int, following: Any, blocks: int, signed: bool) -> Any:
    """Tiles of `pixels` while they fit, then the `following` smaller ones."""
    run = tile(pixels, blocks, signed)

    @inline
    def tiled(x, y, left, pixel, y_pixel, given):  # type: ignore[no-untyped-def]
        (
            segments, segment_count, steps, weights, size, parameters,
            channels, least, greatest, plain,
        ) = given  # fmt: skip
        while left >= pixels:
            run(
                x, pixel, segments, segment_count, steps, weights, size, parameters,
                y, y_pixel, channels, least, greatest, plain,
            )  # fmt: skip
            x, y = int8_at(x, pixels * pixel), int8_at(y, pixels * y_pixel)
            left -= pixels
        if left > 0:
            following(x, y, left, pixel, y_pixel, given)

    return tiled


@inline
def _nothing(x, y, left, pixel, y_pixel, given):  # type: ignore[no-untyped-def]
    pass


def _column(blocks: int, shapes: Shapes, signed: bool) -> Any:
    """A native function that makes these many blocks of channels of all pixels of a row."""
    following = _nothing
    for pixels in reversed(shapes[blocks]):
        following = _tiled(pixels, following, blocks, signed)
    return following


def _columns(blocks: int, following: Any, shapes: Shapes, signed: bool) -> Any:
    """Columns of `blocks` while that many whole blocks are left, then the `following` ones."""
    column = _column(blocks, shapes, signed)

    @inline
    def columns(x, y, pixels, pixel, y_pixel, channels, given):  # type: ignore[no-untyped-def]
        (
            segments, segment_count, steps, weights, size, parameters,
            _, least, greatest, plain,
        ) = given  # fmt: skip
        least_left = 16 * blocks if blocks > 1 else 1
        while channels >= least_left:
            now = (
                segments, segment_count, steps, weights, size, parameters,
                channels, least, greatest, plain,
            )  # fmt: skip
            column(x, y, pixels, pixel, y_pixel, now)
            y, weights = int8_at(y, 16 * blocks), int8_at(weights, blocks * size)
            parameters = int8_at(parameters, blocks * PARAMETER_BYTES)
            channels -= 16 * blocks
        if channels > 0:
            now = (
                segments, segment_count, steps, weights, size, parameters,
                channels, least, greatest, plain,
            )  # fmt: skip
            following(x, y, pixels, pixel, y_pixel, channels, now)

    return columns


@inline
def _no_columns(x, y, pixels, pixel, y_pixel, channels, given):  # type: ignore[no-untyped-def]
    pass


def matrix_product(shapes: Shapes, signed: bool = False) -> Any:
    """`(x, y, pixels, pixel, y_pixel, channels, given)`: all channels of a row of pixels.

    x is a window buffer, or if `signed` q itself, which costs more where there are many pixels.
    `given`: segments, segment_count, steps, weights, bytes of a block's weights, parameters,
    channels, least, greatest, plain.
    """
    following = _no_columns
    for blocks in sorted(shapes):
        following = _columns(blocks, following, shapes, signed)
    return following
