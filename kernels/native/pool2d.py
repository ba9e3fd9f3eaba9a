"""Native twins of `kernels/pool2d.py`: a block of channels of an output pixel at a time.

One function makes the kernels of both integer types, which differ in the width of a pixel alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..operation import Layout
from ..pool2d import AVERAGE_BY_ROW_S8, AVERAGE_LAYOUTS, MAX_LAYOUTS
from .conv2d import first_tap, last_tap
from .fixedpoint import add32, clamp, inline
from .memory import BLOCK, float32_at, float32_block, int8_at, int16_at, int32_at, int32_block
from .registry import kernel


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
def rounded_mean(total, count, factor, bits, unsigned):  # type: ignore[no-untyped-def]
    """total / count, ties away from zero; `unsigned`: ties upwards, as on q + 128."""
    zero = 128 if unsigned else 0
    shifted = total + zero * count
    quotient = ((abs(shifted) + count // 2) * factor) >> bits
    return (quotient if shifted > 0 else -quotient) - zero


def _average(words: Layout, at: Any, itemsize: int) -> Callable[..., None]:
    words_index = words.index

    def average(arena, constants, p):  # type: ignore[no-untyped-def]
        P = words_index
        x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
        channels = p[P.channels]
        totals = int32_block()
        for row in range(p[P.rows]):
            y = at(arena, y_rows[row])
            for column in range(p[P.width]):
                left = column * p[P.stride_width] - p[P.pad_left]
                begin = first_tap(left, 1)
                end = last_tap(left, 1, p[P.window_width], p[P.in_width])
                for block in range(0, channels, BLOCK):
                    size = min(BLOCK, channels - block)
                    for i in range(size):
                        totals[i] = np.int32(0)
                    count = 0
                    for ky in range(p[P.window_height]):
                        line = x_rows[row * p[P.stride_height] + ky]
                        if line >= 0:
                            count += end - begin
                            for kx in range(begin, end):
                                x = at(arena, line + ((left + kx) * channels + block) * itemsize)
                                for i in range(size):
                                    totals[i] = add32(totals[i], x[i])
                    factor, bits = reciprocal(count)
                    for i in range(size):
                        mean = rounded_mean(totals[i], count, factor, bits, p[P.unsigned])
                        y[column * channels + block + i] = clamp(mean, p[P.least], p[P.greatest])

    average.__name__ = words.kernel
    return kernel(average)


def _maximum(words: Layout, at: Any, itemsize: int) -> Callable[..., None]:
    words_index = words.index
    lowest = -(1 << (8 * itemsize - 1))

    def maximum(arena, constants, p):  # type: ignore[no-untyped-def]
        P = words_index
        x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
        channels = p[P.channels]
        greatest = int32_block()
        for row in range(p[P.rows]):
            y = at(arena, y_rows[row])
            for column in range(p[P.width]):
                left = column * p[P.stride_width] - p[P.pad_left]
                begin = first_tap(left, 1)
                end = last_tap(left, 1, p[P.window_width], p[P.in_width])
                for block in range(0, channels, BLOCK):
                    size = min(BLOCK, channels - block)
                    for i in range(size):
                        greatest[i] = np.int32(lowest)
                    for ky in range(p[P.window_height]):
                        line = x_rows[row * p[P.stride_height] + ky]
                        if line >= 0:
                            for kx in range(begin, end):
                                x = at(arena, line + ((left + kx) * channels + block) * itemsize)
                                for i in range(size):
                                    greatest[i] = max(greatest[i], np.int32(x[i]))
                    for i in range(size):
                        clamped = clamp(greatest[i], p[P.least], p[P.greatest])
                        y[column * channels + block + i] = clamped

    maximum.__name__ = words.kernel
    return kernel(maximum)


average_pool2d_s8 = _average(AVERAGE_LAYOUTS["s8"], int8_at, 1)
average_pool2d_s16 = _average(AVERAGE_LAYOUTS["s16"], int16_at, 2)
max_pool2d_s8 = _maximum(MAX_LAYOUTS["s8"], int8_at, 1)
max_pool2d_s16 = _maximum(MAX_LAYOUTS["s16"], int16_at, 2)

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
                mean = rounded_mean(sums[start + i], count, factor, bits, p[PR.unsigned])
                y[start + i] = clamp(mean, p[PR.least], p[PR.greatest])


PA, PM = AVERAGE_LAYOUTS["f32"].index, MAX_LAYOUTS["f32"].index
LOWEST = np.float32(np.finfo(np.float32).min)


@kernel
def average_pool2d_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[PA.x]), int32_at(constants, p[PA.y])
    bounds, channels = float32_at(constants, p[PA.bounds]), p[PA.channels]
    totals = float32_block()
    for row in range(p[PA.rows]):
        y = float32_at(arena, y_rows[row])
        for column in range(p[PA.width]):
            left = column * p[PA.stride_width] - p[PA.pad_left]
            begin = first_tap(left, 1)
            end = last_tap(left, 1, p[PA.window_width], p[PA.in_width])
            for block in range(0, channels, BLOCK):
                size = min(BLOCK, channels - block)
                for i in range(size):
                    totals[i] = np.float32(0)
                count = 0
                for ky in range(p[PA.window_height]):
                    line = x_rows[row * p[PA.stride_height] + ky]
                    if line >= 0:
                        count += end - begin
                        for kx in range(begin, end):
                            x = float32_at(arena, line + 4 * ((left + kx) * channels + block))
                            for i in range(size):
                                totals[i] += x[i]
                for i in range(size):
                    mean = totals[i] / np.float32(count)
                    y[column * channels + block + i] = clamp(mean, bounds[0], bounds[1])


@kernel
def max_pool2d_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[PM.x]), int32_at(constants, p[PM.y])
    bounds, channels = float32_at(constants, p[PM.bounds]), p[PM.channels]
    greatest = float32_block()
    for row in range(p[PM.rows]):
        y = float32_at(arena, y_rows[row])
        for column in range(p[PM.width]):
            left = column * p[PM.stride_width] - p[PM.pad_left]
            begin = first_tap(left, 1)
            end = last_tap(left, 1, p[PM.window_width], p[PM.in_width])
            for block in range(0, channels, BLOCK):
                size = min(BLOCK, channels - block)
                for i in range(size):
                    greatest[i] = LOWEST
                for ky in range(p[PM.window_height]):
                    line = x_rows[row * p[PM.stride_height] + ky]
                    if line >= 0:
                        for kx in range(begin, end):
                            x = float32_at(arena, line + 4 * ((left + kx) * channels + block))
                            for i in range(size):
                                greatest[i] = x[i] if greatest[i] < x[i] else greatest[i]
                for i in range(size):
                    y[column * channels + block + i] = clamp(greatest[i], bounds[0], bounds[1])
