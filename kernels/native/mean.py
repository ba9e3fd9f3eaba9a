"""Native mean: the twins of `kernels/mean.py`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..mean import GROUPS, MEAN_BY_ROW_S8, MEAN_F32, MEAN_S8, MEAN_S16
from ..operation import Layout
from .elementwise import Native, register
from .fixedpoint import add32, clamp, inline, multiply_by_quantized_multiplier
from .memory import (
    BLOCK,
    float32_at,
    float32_block,
    int8_at,
    int16_at,
    int32_at,
    int64_block,
)
from .registry import kernel

assert GROUPS == 3  # as many loops as below


@inline
def first_element(axes, index):  # type: ignore[no-untyped-def]
    """The first input element of output `index`."""
    start = 0
    for axis in range(GROUPS - 1, -1, -1):
        start += index % axes[axis] * axes[GROUPS + axis]
        index //= axes[axis]
    return start


@inline
def _is_row(axes):  # type: ignore[no-untyped-def]
    """Whether the innermost outputs are of neighbouring inputs."""
    return axes[2 * GROUPS - 1] == 1


@inline
def _add_rows(totals, size, x, start, axes):  # type: ignore[no-untyped-def]
    """Add x over the reduced axes to `size` neighbouring totals, the first of them from `start`."""
    sizes, strides = 2 * GROUPS, 3 * GROUPS
    for i in range(axes[sizes]):
        for j in range(axes[sizes + 1]):
            place = start + i * axes[strides] + j * axes[strides + 1]
            for k in range(axes[sizes + 2]):
                for c in range(size):
                    totals[c] += x[place + k * axes[strides + 2] + c]


def _mean(words: Layout, at: Native, low: int, high: int) -> Callable[..., None]:
    P = words.index

    @inline
    def rescaled(p, total):  # type: ignore[no-untyped-def]
        scaled = multiply_by_quantized_multiplier(total, p[P.multiplier], p[P.shift])
        return clamp(scaled + p[P.y_offset], low, high)

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        x, y, axes = at(arena, p[P.x]), at(arena, p[P.y]), int32_at(constants, p[P.axes])
        totals, step = int64_block(), min(BLOCK, axes[2]) if _is_row(axes) else 1
        for line in range(axes[0] * axes[1]):
            for first in range(0, axes[2], step):
                index, size = line * axes[2] + first, min(step, axes[2] - first)
                for c in range(size):
                    totals[c] = p[P.sum_offset]
                _add_rows(totals, size, x, first_element(axes, index), axes)
                for c in range(size):
                    y[index + c] = rescaled(p, totals[c])

    return walk


register(MEAN_S8, _mean(MEAN_S8, int8_at, -128, 127))
register(MEAN_S16, _mean(MEAN_S16, int16_at, -32768, 32767))

R = MEAN_BY_ROW_S8.index


@kernel
def mean_by_row_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    """Rows first .. first + rows - 1 of `height` are added; the last of all makes the output."""
    x_rows, y = int32_at(constants, p[R.x]), int8_at(arena, p[R.y])
    sums = int32_at(arena, p[R.sums])
    channels = p[R.channels]
    if p[R.first] == 0:
        for i in range(channels):
            sums[i] = np.int32(0)
    for row in range(p[R.rows]):
        for column in range(p[R.columns]):
            x = int8_at(arena, x_rows[row] + column * channels)
            for i in range(channels):
                sums[i] = add32(sums[i], x[i])
    if p[R.first] + p[R.rows] == p[R.height]:
        for i in range(channels):
            total = np.int64(sums[i]) + p[R.sum_offset]
            scaled = multiply_by_quantized_multiplier(total, p[R.multiplier], p[R.shift])
            y[i] = clamp(scaled + p[R.y_offset], -128, 127)


FLOAT = MEAN_F32.index


@kernel
def mean_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    """One addition after the other, then one division."""
    axes, count = int32_at(constants, p[FLOAT.axes]), np.float32(p[FLOAT.count])
    x, y = float32_at(arena, p[FLOAT.x]), float32_at(arena, p[FLOAT.y])
    totals, step = float32_block(), min(BLOCK, axes[2]) if _is_row(axes) else 1
    for line in range(axes[0] * axes[1]):
        for first in range(0, axes[2], step):
            index, size = line * axes[2] + first, min(step, axes[2] - first)
            for c in range(size):
                totals[c] = np.float32(0)
            _add_rows(totals, size, x, first_element(axes, index), axes)
            for c in range(size):
                y[index + c] = totals[c] / count
