"""Native twins of `kernels/transpose_conv.py`: an output pixel gathers from the input pixels that
reach it, in their raster order."""

from __future__ import annotations

import numpy as np

from .. import transpose_conv
from .fixedpoint import (
    add16,
    clamp,
    inline,
    mac32,
    mac64,
    multiply_by_quantized_multiplier,
    multiply_by_quantized_multiplier_64,
)
from .memory import float32_at, int8_at, int16_at, int32_at, int64_at
from .registry import kernel

P8 = transpose_conv.S8.index
P16 = transpose_conv.S16.index
PF = transpose_conv.F32.index


@inline
def first_source(position, taps, stride):  # type: ignore[no-untyped-def]
    """The first input index whose window reaches the (padded) output `position`."""
    return max(0, (position - taps + stride) // stride)


@inline
def last_source(position, stride, size):  # type: ignore[no-untyped-def]
    """One more than the last input index whose window reaches `position`."""
    return min(size, position // stride + 1)


@kernel
def transpose_conv_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    weights, bias = int8_at(constants, p[P8.weights]), int32_at(constants, p[P8.bias])
    multiplier, shift = int32_at(constants, p[P8.multiplier]), int32_at(constants, p[P8.shift])
    height, width, filters = p[P8.height], p[P8.width], p[P8.filters]
    in_height, in_width, channels = p[P8.in_height], p[P8.in_width], p[P8.in_channels]
    lines, taps = p[P8.kernel_height], p[P8.kernel_width]
    down, across = p[P8.stride_height], p[P8.stride_width]
    x_offset, w_offset = np.int16(-p[P8.input_zero]), np.int16(-p[P8.weights_zero])
    y = int8_at(arena, p[P8.y])
    for batch in range(p[P8.batches]):
        image = int8_at(arena, p[P8.x] + batch * in_height * in_width * channels)
        for row in range(p[P8.pad_top], p[P8.pad_top] + height):
            top, bottom = first_source(row, lines, down), last_source(row, down, in_height)
            for column in range(p[P8.pad_left], p[P8.pad_left] + width):
                left = first_source(column, taps, across)
                right = last_source(column, across, in_width)
                for o in range(filters):
                    total = bias[o]
                    for i in range(top, bottom):
                        for j in range(left, right):
                            tap = (o * lines + row - i * down) * taps + column - j * across
                            x = int8_at(image, (i * in_width + j) * channels)
                            w = int8_at(weights, tap * channels)
                            for c in range(channels):
                                total = mac32(total, add16(x[c], x_offset), add16(w[c], w_offset))
                    scaled = multiply_by_quantized_multiplier(total, multiplier[o], shift[o])
                    y[o] = clamp(scaled + p[P8.output_zero], p[P8.least], p[P8.greatest])
                y = int8_at(y, filters)


@kernel
def transpose_conv_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    weights, bias = int8_at(constants, p[P16.weights]), int64_at(constants, p[P16.bias])
    multiplier, shift = int32_at(constants, p[P16.multiplier]), int32_at(constants, p[P16.shift])
    height, width, filters = p[P16.height], p[P16.width], p[P16.filters]
    in_height, in_width, channels = p[P16.in_height], p[P16.in_width], p[P16.in_channels]
    lines, taps, wide = p[P16.kernel_height], p[P16.kernel_width], p[P16.wide]
    down, across = p[P16.stride_height], p[P16.stride_width]
    y, at = int16_at(arena, p[P16.y]), 0
    for batch in range(p[P16.batches]):
        image = p[P16.x] + 2 * batch * in_height * in_width * channels
        for row in range(p[P16.pad_top], p[P16.pad_top] + height):
            top, bottom = first_source(row, lines, down), last_source(row, down, in_height)
            for column in range(p[P16.pad_left], p[P16.pad_left] + width):
                left = first_source(column, taps, across)
                right = last_source(column, across, in_width)
                for o in range(filters):
                    total = bias[o]
                    for i in range(top, bottom):
                        for j in range(left, right):
                            tap = (o * lines + row - i * down) * taps + column - j * across
                            x = int16_at(arena, image + 2 * (i * in_width + j) * channels)
                            w = int8_at(weights, tap * channels)
                            for c in range(channels):
                                total = mac64(total, x[c], w[c])
                    if wide:
                        scaled = multiply_by_quantized_multiplier_64(total, multiplier[o], shift[o])
                    else:
                        narrow = np.int32(total)
                        scaled = multiply_by_quantized_multiplier(narrow, multiplier[o], shift[o])
                    y[at] = clamp(scaled, p[P16.least], p[P16.greatest])
                    at += 1


@kernel
def transpose_conv_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    weights, bias = float32_at(constants, p[PF.weights]), float32_at(constants, p[PF.bias])
    bounds = float32_at(constants, p[PF.bounds])
    height, width, filters = p[PF.height], p[PF.width], p[PF.filters]
    in_height, in_width, channels = p[PF.in_height], p[PF.in_width], p[PF.in_channels]
    lines, taps = p[PF.kernel_height], p[PF.kernel_width]
    down, across = p[PF.stride_height], p[PF.stride_width]
    y, at = float32_at(arena, p[PF.y]), 0
    for batch in range(p[PF.batches]):
        image = p[PF.x] + 4 * batch * in_height * in_width * channels
        for row in range(p[PF.pad_top], p[PF.pad_top] + height):
            top, bottom = first_source(row, lines, down), last_source(row, down, in_height)
            for column in range(p[PF.pad_left], p[PF.pad_left] + width):
                left = first_source(column, taps, across)
                right = last_source(column, across, in_width)
                for o in range(filters):
                    total = np.float32(0)
                    for i in range(top, bottom):
                        for j in range(left, right):
                            tap = (o * lines + row - i * down) * taps + column - j * across
                            x = float32_at(arena, image + 4 * (i * in_width + j) * channels)
                            for c in range(channels):
                                total += x[c] * weights[tap * channels + c]
                    y[at] = clamp(total + bias[o], bounds[0], bounds[1])
                    at += 1
