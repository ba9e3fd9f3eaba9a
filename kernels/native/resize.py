"""Native resizing: the twins of `kernels/resize.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..operation import Layout
from ..resize import BILINEAR, FRACTION_BITS, RESIZE_NEAREST
from .elementwise import Native
from .fixedpoint import inline
from .memory import copy_bytes, float32_at, int8_at, int16_at, int32_at
from .registry import kernel

NEAREST, FLOAT = RESIZE_NEAREST.index, BILINEAR["float32"].index
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


@kernel
def resize_bilinear_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    """Four products of three factors, added in TFLite's order."""
    rows, columns = int32_at(constants, p[FLOAT.rows]), int32_at(constants, p[FLOAT.columns])
    row_weights = float32_at(constants, p[FLOAT.row_weights])
    column_weights = float32_at(constants, p[FLOAT.column_weights])
    y_height, y_width, channels = p[FLOAT.y_height], p[FLOAT.y_width], p[FLOAT.channels]
    x, y, written = float32_at(arena, p[FLOAT.x]), float32_at(arena, p[FLOAT.y]), 0
    line, zero, one = p[FLOAT.width] * channels, np.float32(0), np.float32(1)
    for image in range(p[FLOAT.images]):
        for row in range(y_height):
            top = (image * p[FLOAT.height] + rows[row]) * line
            bottom = (image * p[FLOAT.height] + rows[y_height + row]) * line
            down = row_weights[row]
            for column in range(y_width):
                left = columns[column] * channels
                right = columns[y_width + column] * channels
                across = column_weights[column]
                for c in range(channels):
                    total = x[top + left + c] * (one - down) * (one - across)
                    total += x[bottom + left + c] * down * (one - across)
                    total += x[top + right + c] * (one - down) * across
                    total += x[bottom + right + c] * down * across
                    y[written] = total + zero  # -0.0 becomes 0.0, as in TFLite
                    written += 1
