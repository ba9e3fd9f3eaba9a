"""Native twins of `kernels/conv2d.py`: an output pixel at a time, a dot product over channels.

Where the taps of a kernel row lie side by side in memory they are taken as one longer dot product.
"""

from __future__ import annotations

import numpy as np

from .. import conv2d
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

P8, P16, PF = conv2d.S8.index, conv2d.S16.index, conv2d.F32.index


@inline
def first_tap(left, dilation):  # type: ignore[no-untyped-def]
    """The first tap of a window that starts at column `left` and is not left of the image."""
    return 0 if left >= 0 else (-left + dilation - 1) // dilation


@inline
def last_tap(left, dilation, taps, width):  # type: ignore[no-untyped-def]
    """One more than the last tap that is inside an image of `width` columns."""
    return 0 if left >= width else min(taps, (width - 1 - left) // dilation + 1)


@kernel
def conv2d_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[P8.x]), int32_at(constants, p[P8.y])
    weights, bias = int8_at(constants, p[P8.weights]), int32_at(constants, p[P8.bias])
    multiplier, shift = int32_at(constants, p[P8.multiplier]), int32_at(constants, p[P8.shift])
    filters, group_filters, depth = p[P8.filters], p[P8.group_filters], p[P8.depth]
    height, taps, channels = p[P8.kernel_height], p[P8.kernel_width], p[P8.in_channels]
    dilation, in_width = p[P8.dilation_width], p[P8.in_width]
    x_offset, w_offset = np.int16(-p[P8.input_zero]), np.int16(-p[P8.weights_zero])
    joined = dilation == 1 and depth == channels
    for row in range(p[P8.rows]):
        y = int8_at(arena, y_rows[row])
        window = row * p[P8.stride_height]
        for column in range(p[P8.width]):
            left = column * p[P8.stride_width] - p[P8.pad_left]
            begin = first_tap(left, dilation)
            end = last_tap(left, dilation, taps, in_width)
            length = (end - begin) * depth if joined else depth
            runs = (1 if end > begin else 0) if joined else end - begin
            for o in range(filters):
                start = (left + begin * dilation) * channels + o // group_filters * depth
                total = bias[o]
                for ky in range(height):
                    line = x_rows[window + ky * p[P8.dilation_height]]
                    if line >= 0:
                        for run in range(runs):
                            x = int8_at(arena, line + start + run * dilation * channels)
                            w = int8_at(weights, ((o * height + ky) * taps + begin + run) * depth)
                            for i in range(length):
                                total = mac32(total, add16(x[i], x_offset), add16(w[i], w_offset))
                scaled = multiply_by_quantized_multiplier(total, multiplier[o], shift[o])
                y[o] = clamp(scaled + p[P8.output_zero], p[P8.least], p[P8.greatest])
            y = int8_at(y, filters)


@kernel
def conv2d_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[P16.x]), int32_at(constants, p[P16.y])
    weights, bias = int8_at(constants, p[P16.weights]), int64_at(constants, p[P16.bias])
    multiplier, shift = int32_at(constants, p[P16.multiplier]), int32_at(constants, p[P16.shift])
    filters, group_filters, depth = p[P16.filters], p[P16.group_filters], p[P16.depth]
    height, taps, channels = p[P16.kernel_height], p[P16.kernel_width], p[P16.in_channels]
    dilation, in_width, wide = p[P16.dilation_width], p[P16.in_width], p[P16.wide]
    for row in range(p[P16.rows]):
        y = int16_at(arena, y_rows[row])
        window = row * p[P16.stride_height]
        for column in range(p[P16.width]):
            left = column * p[P16.stride_width] - p[P16.pad_left]
            begin = first_tap(left, dilation)
            end = last_tap(left, dilation, taps, in_width)
            for o in range(filters):
                start = left * channels + o // group_filters * depth
                total = bias[o]
                for ky in range(height):
                    line = x_rows[window + ky * p[P16.dilation_height]]
                    if line >= 0:
                        for kx in range(begin, end):
                            x = int16_at(arena, line + 2 * (start + kx * dilation * channels))
                            w = int8_at(weights, ((o * height + ky) * taps + kx) * depth)
                            for i in range(depth):
                                total = mac64(total, x[i], w[i])
                if wide:
                    scaled = multiply_by_quantized_multiplier_64(total, multiplier[o], shift[o])
                else:
                    narrow = np.int32(total)
                    scaled = multiply_by_quantized_multiplier(narrow, multiplier[o], shift[o])
                y[column * filters + o] = clamp(scaled, p[P16.least], p[P16.greatest])


@kernel
def conv2d_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[PF.x]), int32_at(constants, p[PF.y])
    weights, bias = float32_at(constants, p[PF.weights]), float32_at(constants, p[PF.bias])
    bounds = float32_at(constants, p[PF.bounds])
    filters, group_filters, depth = p[PF.filters], p[PF.group_filters], p[PF.depth]
    height, taps, channels = p[PF.kernel_height], p[PF.kernel_width], p[PF.in_channels]
    dilation, in_width = p[PF.dilation_width], p[PF.in_width]
    for row in range(p[PF.rows]):
        y = float32_at(arena, y_rows[row])
        window = row * p[PF.stride_height]
        for column in range(p[PF.width]):
            left = column * p[PF.stride_width] - p[PF.pad_left]
            begin = first_tap(left, dilation)
            end = last_tap(left, dilation, taps, in_width)
            for o in range(filters):
                start = left * channels + o // group_filters * depth
                total = np.float32(0)
                for ky in range(height):
                    line = x_rows[window + ky * p[PF.dilation_height]]
                    if line >= 0:
                        for kx in range(begin, end):
                            at = start + kx * dilation * channels
                            x = float32_at(arena, line + 4 * at)
                            w = ((o * height + ky) * taps + kx) * depth
                            for i in range(depth):
                                total += x[i] * weights[w + i]
                y[column * filters + o] = clamp(total + bias[o], bounds[0], bounds[1])
