"""The vector matrix product: a row of pixels by all output channels, put together from tiles."""

from __future__ import annotations

from typing import Any

from .fixedpoint import inline
from .kinds import Kind
from .memory import int8_at
from .tile import shapes, tile


def _tiled(pixels: int, following: Any, blocks: int, kind: Kind) -> Any:
    """Tiles of `pixels` while they fit, then the `following` smaller ones."""
    run = tile(pixels, blocks, kind)

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


def _column(blocks: int, kind: Kind, single: bool) -> Any:
    """A native function that makes these many blocks of channels of all pixels of a row."""
    following = _nothing
    for pixels in (1,) if single else reversed(shapes(kind)[blocks]):
        following = _tiled(pixels, following, blocks, kind)
    return following


def _columns(blocks: int, following: Any, kind: Kind, single: bool) -> Any:
    """Columns of `blocks` while that many whole blocks are left, then the `following` ones."""
    column = _column(blocks, kind, single)
    y_bytes, parameter_bytes = 16 * blocks * kind.itemsize, blocks * kind.parameter_bytes

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
            y, weights = int8_at(y, y_bytes), int8_at(weights, blocks * size)
            parameters = int8_at(parameters, parameter_bytes)
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


def matrix_product(kind: Kind, single: bool = False) -> Any:
    """`(x, y, pixels, pixel, y_pixel, channels, given)`: all channels of a row of pixels, which is
    always of one pixel if `single`.

    `given`: segments, segment_count, steps, weights, bytes of a block's weights, parameters,
    channels, least, greatest, plain.
    """
    following = _no_columns
    for blocks in sorted(shapes(kind)):
        following = _columns(blocks, following, kind, single)
    return following
