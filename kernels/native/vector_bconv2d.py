"""Native twins of `kernels/vector/bconv2d.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...runtime.graph import BINARY
from ..vector.bconv2d import LAYOUT_OF
from .bit_tile import finish_b1, finish_f32, finish_s8, shapes, tile
from .fixedpoint import inline
from .memory import copy_bytes, int8_at, int32_at
from .registry import kernel

PF, P8, PB = (LAYOUT_OF[dtype].index for dtype in ("float32", "int8", BINARY))


@inline
def fill_words(target, word, count):  # type: ignore[no-untyped-def]
    """Set `count` bytes to copies of a word."""
    words = int32_at(target, 0)
    for i in range(count >> 2):
        words[i] = np.int32(word)


@inline
def copy_rows(arena, constants, p, P, row):  # type: ignore[no-untyped-def]
    """The rows that an output row needs, padding included."""
    buffer, span, before = int8_at(arena, p[P.buffer]), p[P.span], p[P.before]
    lines = int32_at(constants, p[P.x] + 4 * row * p[P.stride_height])
    body = max(min(p[P.in_row], span - before), 0)
    for ky in range(p[P.kernel_height]):
        line = lines[ky * p[P.dilation_height]]
        if line < 0:
            fill_words(buffer, p[P.fill], span)
        else:
            fill_words(buffer, p[P.fill], before)
            copy_bytes(int8_at(buffer, before), int8_at(arena, line), body)
            after = before + body
            fill_words(int8_at(buffer, after), p[P.fill], span - after)
        buffer = int8_at(buffer, span)


@inline
def _nothing(x, y, left, pixel, y_pixel, given):  # type: ignore[no-untyped-def]
    pass


def _tiled(pixels: int, following: Any, blocks: int, plain: bool, finish: Any) -> Any:
    """Tiles of `pixels` while they fit, then the `following` smaller ones."""
    run = tile(pixels, blocks, plain, finish)

    @inline
    def tiled(x, y, left, pixel, y_pixel, given):  # type: ignore[no-untyped-def]
        segments, count, steps, pairs, pair_count, weights, size, parameters, rest = given
        channels, least, greatest = rest
        while left >= pixels:
            run(
                x, pixel, segments, count, steps, pairs, pair_count, weights, size, parameters,
                y, y_pixel, channels, least, greatest,
            )  # fmt: skip
            x, y = int8_at(x, pixels * pixel), int8_at(y, pixels * y_pixel)
            left -= pixels
        if left > 0:
            following(x, y, left, pixel, y_pixel, given)

    return tiled


def _row(blocks: int, plain: bool, finish: Any) -> Any:
    """A native function that makes these many blocks of all pixels of a row."""
    following = _nothing
    for pixels in reversed(shapes()[blocks]):
        following = _tiled(pixels, following, blocks, plain, finish)
    return following


def _kernel(
    P: Any, name: str, finish: Any, block_bytes: int, parameter_bytes: int, whole: bool
) -> Callable[..., None]:
    """`block_bytes` of output and `parameter_bytes` a block; `whole`: blocks come in pairs."""
    pairs_of = [[_row(blocks, plain, finish) for plain in (False, True)] for blocks in (2, 1)]
    (two, two_plain), (one, one_plain) = pairs_of
    bounded = hasattr(P, "least")
    P_least, P_greatest = (P.least, P.greatest) if bounded else (0, 0)

    @inline
    def columns(x, y, p, constants):  # type: ignore[no-untyped-def]
        weights, parameters = int8_at(constants, p[P.weights]), int8_at(constants, p[P.parameters])
        segments, count, steps = int32_at(constants, p[P.segments]), p[P.segment_count], p[P.steps]
        pairs, pair_count, plain = int32_at(constants, p[P.pairs]), p[P.pair_count], p[P.plain]
        planes = 1
        for pair in range(pair_count):
            planes = max(planes, pairs[3 * pair + 1] // (count * steps * 64) + 1)
        size = planes * count * steps * 64
        channels, pixel, y_pixel = p[P.filters], p[P.pixel], p[P.y_pixel]
        while channels > 0:
            rest = channels, p[P_least], p[P_greatest]
            given = segments, count, steps, pairs, pair_count, weights, size, parameters, rest
            blocks = 2 if whole or channels > 16 else 1
            if blocks == 2:
                if plain:
                    two_plain(x, y, p[P.width], pixel, y_pixel, given)
                else:
                    two(x, y, p[P.width], pixel, y_pixel, given)
            elif plain:
                one_plain(x, y, p[P.width], pixel, y_pixel, given)
            else:
                one(x, y, p[P.width], pixel, y_pixel, given)
            y, weights = int8_at(y, blocks * block_bytes), int8_at(weights, blocks * size)
            parameters = int8_at(parameters, blocks * parameter_bytes)
            channels -= 16 * blocks

    def bconv2d(arena, constants, p):  # type: ignore[no-untyped-def]
        y_rows = int32_at(constants, p[P.y])
        for row in range(p[P.rows]):
            copy_rows(arena, constants, p, P, row)
            columns(int8_at(arena, p[P.buffer]), int8_at(arena, y_rows[row]), p, constants)

    bconv2d.__name__ = name
    return kernel(bconv2d)


bconv2d_vector_f32 = _kernel(PF, "bconv2d_vector_f32", finish_f32, 64, 128, False)
bconv2d_vector_s8 = _kernel(P8, "bconv2d_vector_s8", finish_s8, 16, 128, False)
bconv2d_vector_b1 = _kernel(PB, "bconv2d_vector_b1", finish_b1, 2, 64, True)
