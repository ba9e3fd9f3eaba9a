"""Native twins of `kernels/pool2d.py`: a block of channels of an output pixel at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..operation import Layout
from ..pool2d import AVERAGE_BY_ROW_S8, AVERAGE_LAYOUTS, AWAY, EVEN, L2_F32, MAX_LAYOUTS
from .conv2d import first_tap, last_tap
from .fixedpoint import add32, clamp, inline
from .memory import (
    BLOCK,
    PART,
    float32_at,
    float32_block,
    int8_at,
    int8_block,
    int16_at,
    int16_block,
    int32_at,
    int32_block,
)
from .registry import kernel
from .whole import root


@inline
def reciprocal(count):  # type: ignore[no-untyped-def]
    """(factor, bits): n // count is (n * factor) >> bits for 0 <= n < 2**31.

    So that a loop over channels divides nothing and becomes vector code: Granlund, Montgomery,
    "Division by Invariant Integers using Multiplication", 1994.
    """
    bits = 31
    while (1 << bits) < count << 31:
        bits += 1
    return ((1 << bits) + count - 1) // count, bits


@inline
def rounded_mean(total, count, factor, bits, ties):  # type: ignore[no-untyped-def]
    """total / count, and where ties go; all but those away from zero are of q + 128."""
    zero = 0 if ties == AWAY else 128
    shifted = total + zero * count
    quotient = ((abs(shifted) + count // 2) * factor) >> bits
    if ties == EVEN and 2 * (quotient * count - shifted) == count:
        quotient -= quotient & 1
    return (quotient if shifted > 0 else -quotient) - zero


def _pool(words: Layout, at: Any, itemsize: int, block: Callable[..., None]) -> Callable[..., None]:
    """The kernel that walks over output pixels, and has `block` make some of a pixel's channels:
    as many as a constant says, so that it becomes straight vector code, while there are so many."""
    words_index = words.index

    def pool(arena, constants, p):  # type: ignore[no-untyped-def]
        P = words_index
        x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
        channels = p[P.channels]
        whole, most = channels & -BLOCK, channels & -PART
        for row in range(p[P.rows]):
            lines = x_rows, row * p[P.stride_height]
            for column in range(p[P.width]):
                left = column * p[P.stride_width] - p[P.pad_left]
                begin = first_tap(left, 1)
                end = last_tap(left, 1, p[P.window_width], p[P.in_width])
                window = arena, constants, lines, left, begin, end
                y = at(arena, y_rows[row] + column * channels * itemsize)
                for start in range(0, whole, BLOCK):
                    block(y, window, p, start, BLOCK)
                for start in range(whole, most, PART):
                    block(y, window, p, start, PART)
                if most < channels:
                    block(y, window, p, most, channels - most)

    pool.__name__ = words.kernel
    return kernel(pool)


def _average(words: Layout, at: Any, itemsize: int) -> Callable[..., None]:
    P = words.index

    @inline
    def block(y, window, p, start, size):  # type: ignore[no-untyped-def]
        arena, _, (x_rows, first), left, begin, end = window
        totals, count = int32_block(), 0
        for i in range(size):
            totals[i] = np.int32(0)
        for ky in range(p[P.window_height]):
            line = x_rows[first + ky]
            if line >= 0:
                count += end - begin
                for kx in range(begin, end):
                    x = at(arena, line + ((left + kx) * p[P.channels] + start) * itemsize)
                    for i in range(size):
                        totals[i] = add32(totals[i], x[i])
        factor, bits = reciprocal(count)
        ties, least, greatest = p[P.ties], p[P.least], p[P.greatest]
        for i in range(size):
            mean = rounded_mean(totals[i], count, factor, bits, ties)
            y[start + i] = clamp(mean, least, greatest)

    return _pool(words, at, itemsize, block)


def _maximum(words: Layout, at: Any, room: Any, itemsize: int) -> Callable[..., None]:
    P, lowest = words.index, -(1 << (8 * itemsize - 1))

    @inline
    def block(y, window, p, start, size):  # type: ignore[no-untyped-def]
        arena, _, (x_rows, first), left, begin, end = window
        most = room()
        for i in range(size):
            most[i] = lowest
        for ky in range(p[P.window_height]):
            line = x_rows[first + ky]
            if line >= 0:
                for kx in range(begin, end):
                    x = at(arena, line + ((left + kx) * p[P.channels] + start) * itemsize)
                    for i in range(size):
                        most[i] = x[i] if most[i] < x[i] else most[i]
        least, greatest = p[P.least], p[P.greatest]
        for i in range(size):
            y[start + i] = clamp(most[i], least, greatest)

    return _pool(words, at, itemsize, block)


average_pool2d_s8 = _average(AVERAGE_LAYOUTS["s8"], int8_at, 1)
average_pool2d_s16 = _average(AVERAGE_LAYOUTS["s16"], int16_at, 2)
max_pool2d_s8 = _maximum(MAX_LAYOUTS["s8"], int8_at, int8_block, 1)
max_pool2d_s16 = _maximum(MAX_LAYOUTS["s16"], int16_at, int16_block, 2)

PR = AVERAGE_BY_ROW_S8.index


@kernel
def average_pool2d_by_row_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    """Rows first .. first + rows - 1 of `height` are added; the last of all makes the output."""
    x_rows, y = int32_at(constants, p[PR.x]), int8_at(arena, p[PR.y])
    sums, channels = int32_at(arena, p[PR.sums]), p[PR.channels]
    last = p[PR.first] + p[PR.rows] == p[PR.height]
    for column in range(p[PR.width]):
        left = column * p[PR.stride_width] - p[PR.pad_left]
        begin = first_tap(left, 1)
        end = last_tap(left, 1, p[PR.window_width], p[PR.in_width])
        start = column * channels
        if p[PR.first] == 0:
            for i in range(channels):
                sums[start + i] = np.int32(0)
        for row in range(p[PR.rows]):
            for kx in range(begin, end):
                x = int8_at(arena, x_rows[row] + (left + kx) * channels)
                for i in range(channels):
                    sums[start + i] = add32(sums[start + i], x[i])
        if last:
            count = p[PR.height] * (end - begin)
            factor, bits = reciprocal(count)
            for i in range(channels):
                mean = rounded_mean(sums[start + i], count, factor, bits, p[PR.ties])
                y[start + i] = clamp(mean, p[PR.least], p[PR.greatest])


PA, PL, PM = AVERAGE_LAYOUTS["f32"].index, L2_F32.index, MAX_LAYOUTS["f32"].index
LOWEST = np.float32(np.finfo(np.float32).min)


@inline
def _average_f32(y, window, p, start, size):  # type: ignore[no-untyped-def]
    arena, constants, (x_rows, first), left, begin, end = window
    totals, count = float32_block(), 0
    for i in range(size):
        totals[i] = np.float32(0)
    for ky in range(p[PA.window_height]):
        line = x_rows[first + ky]
        if line >= 0:
            count += end - begin
            for kx in range(begin, end):
                x = float32_at(arena, line + 4 * ((left + kx) * p[PA.channels] + start))
                for i in range(size):
                    totals[i] += x[i]
    bounds, number = float32_at(constants, p[PA.bounds]), np.float32(count)
    least, greatest = bounds[0], bounds[1]
    for i in range(size):
        y[start + i] = clamp(totals[i] / number, least, greatest)


@inline
def _l2_f32(y, window, p, start, size):  # type: ignore[no-untyped-def]
    arena, constants, (x_rows, first), left, begin, end = window
    totals, count = float32_block(), 0
    for i in range(size):
        totals[i] = np.float32(0)
    for ky in range(p[PL.window_height]):
        line = x_rows[first + ky]
        if line >= 0:
            count += end - begin
            for kx in range(begin, end):
                x = float32_at(arena, line + 4 * ((left + kx) * p[PL.channels] + start))
                for i in range(size):
                    totals[i] += x[i] * x[i]
    bounds, number = float32_at(constants, p[PL.bounds]), np.float32(count)
    least, greatest = bounds[0], bounds[1]
    for i in range(size):
        y[start + i] = clamp(root(totals[i] / number), least, greatest)


@inline
def _max_f32(y, window, p, start, size):  # type: ignore[no-untyped-def]
    arena, constants, (x_rows, first), left, begin, end = window
    most = float32_block()
    for i in range(size):
        most[i] = LOWEST
    for ky in range(p[PM.window_height]):
        line = x_rows[first + ky]
        if line >= 0:
            for kx in range(begin, end):
                x = float32_at(arena, line + 4 * ((left + kx) * p[PM.channels] + start))
                for i in range(size):
                    most[i] = x[i] if most[i] < x[i] else most[i]
    bounds = float32_at(constants, p[PM.bounds])
    least, greatest = bounds[0], bounds[1]
    for i in range(size):
        y[start + i] = clamp(most[i], least, greatest)


average_pool2d_f32 = _pool(AVERAGE_LAYOUTS["f32"], float32_at, 4, _average_f32)
max_pool2d_f32 = _pool(MAX_LAYOUTS["f32"], float32_at, 4, _max_f32)
l2_pool2d_f32 = _pool(L2_F32, float32_at, 4, _l2_f32)
