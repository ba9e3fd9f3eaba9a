"""Native resizing: the twins of `kernels/resize.py`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..operation import Layout
from ..resize import BILINEAR, FRACTION_BITS, RESIZE_NEAREST
from .elementwise import Native
from .fixedpoint import inline
from .memory import copy_bytes, float32_at, int8_at, int16_at, int32_at
from .registry import kernel

NEAREST = RESIZE_NEAREST.index
ONE = 1 << FRACTION_BITS


@kernel
def resize_nearest(arena, constants, p):  # type: ignore[no-untyped-def]
    """Whole pixels, moved."""
    rows, columns = int32_at(constants, p[NEAREST.rows]), int32_at(constants, p[NEAREST.columns])
    height, width = p[NEAREST.height], p[NEAREST.width]
    pixel = np.int64(p[NEAREST.pixel_bytes])
    target = np.int64(p[NEAREST.y])
    for image in range(p[NEAREST.images]):
        for row in range(p[NEAREST.y_height]):
            line = p[NEAREST.x] + (image * height + rows[row]) * width * pixel
            for column in range(p[NEAREST.y_width]):
                source = int8_at(arena, line + columns[column] * pixel)
                copy_bytes(int8_at(arena, target), source, pixel)
                target += pixel


@inline
def _rounded(total):  # type: ignore[no-untyped-def]
    """total / 2**(2 * FRACTION_BITS), rounded half away from zero; 0 from below."""
    magnitude = (abs(total) + ONE * ONE // 2) >> (2 * FRACTION_BITS)
    return magnitude if total > 0 else -magnitude


def _bilinear(words: Layout, at: Native) -> Callable[..., None]:
    P = words.index

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        rows, columns = int32_at(constants, p[P.rows]), int32_at(constants, p[P.columns])
        y_height, y_width, channels = p[P.y_height], p[P.y_width], p[P.channels]
        x, y, written = at(arena, p[P.x]), at(arena, p[P.y]), 0
        line = p[P.width] * channels
        for image in range(p[P.images]):
            for row in range(y_height):
                top = (image * p[P.height] + rows[row]) * line
                bottom = (image * p[P.height] + rows[y_height + row]) * line
                down = np.int64(rows[2 * y_height + row])
                for column in range(y_width):
                    left = columns[column] * channels
                    right = columns[y_width + column] * channels
                    across = np.int64(columns[2 * y_width + column])
                    for c in range(channels):
                        upper = x[top + left + c] * (ONE - across) + x[top + right + c] * across
                        lower = (
                            x[bottom + left + c] * (ONE - across) + x[bottom + right + c] * across
                        )
                        y[written] = _rounded(upper * (ONE - down) + lower * down)
                        written += 1

    return walk


def _register(words: Layout, function: Callable[..., Any]) -> None:
    function.__name__ = function.__qualname__ = words.kernel
    kernel(function)


_register(BILINEAR["int8"], _bilinear(BILINEAR["int8"], int8_at))
_register(BILINEAR["int16"], _bilinear(BILINEAR["int16"], int16_at))


@inline
def _kept(value):  # type: ignore[no-untyped-def]
    """A float32 as it is, but that -0.0 becomes 0.0, as in TFLite."""
    return value + np.float32(0)


@inline
def _from_uint8(value):  # type: ignore[no-untyped-def]
    """The float32 of a number that was uint8 and is stored less 128."""
    return np.float32(np.int64(value) + 128)


@inline
def _to_uint8(value):  # type: ignore[no-untyped-def]
    """Rounded half away from zero, and stored less 128."""
    magnitude = np.int64(math.floor(abs(np.float64(value)) + 0.5))
    return (magnitude if value > 0 else -magnitude) - 128


def _bilinear_float(words: Layout, at: Native, load: Native, store: Native) -> Callable[..., None]:
    """Four products of three factors in float32, added in TFLite's order."""
    P = words.index

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        rows, columns = int32_at(constants, p[P.rows]), int32_at(constants, p[P.columns])
        row_weights = float32_at(constants, p[P.row_weights])
        column_weights = float32_at(constants, p[P.column_weights])
        y_height, y_width, channels = p[P.y_height], p[P.y_width], p[P.channels]
        x, y, written = at(arena, p[P.x]), at(arena, p[P.y]), 0
        line, one = p[P.width] * channels, np.float32(1)
        for image in range(p[P.images]):
            for row in range(y_height):
                top = (image * p[P.height] + rows[row]) * line
                bottom = (image * p[P.height] + rows[y_height + row]) * line
                down = row_weights[row]
                for column in range(y_width):
                    left = columns[column] * channels
                    right = columns[y_width + column] * channels
                    across = column_weights[column]
                    for c in range(channels):
                        total = load(x[top + left + c]) * (one - down) * (one - across)
                        total += load(x[bottom + left + c]) * down * (one - across)
                        total += load(x[top + right + c]) * (one - down) * across
                        total += load(x[bottom + right + c]) * down * across
                        y[written] = store(total)
                        written += 1

    return walk


_register(BILINEAR["float32"], _bilinear_float(BILINEAR["float32"], float32_at, _kept, _kept))
_register(BILINEAR["uint8"], _bilinear_float(BILINEAR["uint8"], int8_at, _from_uint8, _to_uint8))
