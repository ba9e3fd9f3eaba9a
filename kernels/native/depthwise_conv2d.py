"""Native twins of `kernels/depthwise_conv2d.py`: a block of channels of an output pixel at a time.

A block's sums stay on the stack, so that the loop over channels, which is the innermost, becomes
vector code.
"""

from __future__ import annotations

import numpy as np

from .. import depthwise_conv2d
from .conv2d import first_tap, last_tap
from .fixedpoint import (
    add16,
    clamp,
    mac32,
    mac64,
    multiply_by_quantized_multiplier,
    multiply_by_quantized_multiplier_64,
)
from .memory import (
    BLOCK,
    float32_at,
    float32_block,
    int8_at,
    int16_at,
    int32_at,
    int32_block,
    int64_at,
    int64_block,
)
from .registry import kernel

P8 = depthwise_conv2d.S8.index
PR = depthwise_conv2d.BY_ROW_S8.index
P16 = depthwise_conv2d.S16.index
PF = depthwise_conv2d.F32.index


@kernel
def depthwise_conv2d_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[P8.x]), int32_at(constants, p[P8.y])
    weights, bias = int8_at(constants, p[P8.weights]), int32_at(constants, p[P8.bias])
    multiplier, shift = int32_at(constants, p[P8.multiplier]), int32_at(constants, p[P8.shift])
    channels, multiples, taps = p[P8.channels], p[P8.multiples], p[P8.kernel_width]
    dilation, in_channels = p[P8.dilation_width], p[P8.in_channels]
    x_offset, w_offset = np.int16(-p[P8.input_zero]), np.int16(-p[P8.weights_zero])
    output_zero, least, greatest = p[P8.output_zero], p[P8.least], p[P8.greatest]
    totals = int32_block()
    for row in range(p[P8.rows]):
        y = int8_at(arena, y_rows[row])
        for column in range(p[P8.width]):
            left = column * p[P8.stride_width] - p[P8.pad_left]
            begin = first_tap(left, dilation)
            end = last_tap(left, dilation, taps, p[P8.in_width])
            for block in range(0, channels, BLOCK):
                count = min(BLOCK, channels - block)
                for i in range(count):
                    totals[i] = bias[block + i]
                for ky in range(p[P8.kernel_height]):
                    line = x_rows[row * p[P8.stride_height] + ky * p[P8.dilation_height]]
                    if line >= 0:
                        for kx in range(begin, end):
                            x = int8_at(arena, line + (left + kx * dilation) * in_channels)
                            w = int8_at(weights, (ky * taps + kx) * channels + block)
                            if multiples == 1:
                                for i in range(count):
                                    totals[i] = mac32(
                                        totals[i],
                                        add16(x[block + i], x_offset),
                                        add16(w[i], w_offset),
                                    )
                            else:
                                for i in range(count):
                                    totals[i] = mac32(
                                        totals[i],
                                        add16(x[(block + i) // multiples], x_offset),
                                        add16(w[i], w_offset),
                                    )
                for i in range(count):
                    o = block + i
                    scaled = multiply_by_quantized_multiplier(totals[i], multiplier[o], shift[o])
                    y[column * channels + o] = clamp(scaled + output_zero, least, greatest)


@kernel
def depthwise_conv2d_by_row_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    """Rows first .. first + rows - 1 of `height` are added; the last of all makes the output."""
    x_rows, y = int32_at(constants, p[PR.x]), int8_at(arena, p[PR.y])
    sums = int32_at(arena, p[PR.sums])
    weights, bias = int8_at(constants, p[PR.weights]), int32_at(constants, p[PR.bias])
    multiplier, shift = int32_at(constants, p[PR.multiplier]), int32_at(constants, p[PR.shift])
    channels, multiples, taps = p[PR.channels], p[PR.multiples], p[PR.kernel_width]
    dilation, in_channels = p[PR.dilation_width], p[PR.in_channels]
    x_offset, w_offset = np.int16(-p[PR.input_zero]), np.int16(-p[PR.weights_zero])
    for column in range(p[PR.width]):
        left, start = column * p[PR.stride_width] - p[PR.pad_left], column * channels
        begin = first_tap(left, dilation)
        end = last_tap(left, dilation, taps, p[PR.in_width])
        if p[PR.first] == 0:
            for o in range(channels):
                sums[start + o] = bias[o]
        for row in range(p[PR.rows]):
            for kx in range(begin, end):
                x = int8_at(arena, x_rows[row] + (left + kx * dilation) * in_channels)
                w = int8_at(weights, ((p[PR.first] + row) * taps + kx) * channels)
                for o in range(channels):
                    seen = add16(x[o // multiples], x_offset)
                    sums[start + o] = mac32(sums[start + o], seen, add16(w[o], w_offset))
        if p[PR.first] + p[PR.rows] == p[PR.height]:
            for o in range(channels):
                total = sums[start + o]
                scaled = multiply_by_quantized_multiplier(total, multiplier[o], shift[o])
                y[start + o] = clamp(scaled + p[PR.output_zero], p[PR.least], p[PR.greatest])


@kernel
def depthwise_conv2d_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[P16.x]), int32_at(constants, p[P16.y])
    weights, bias = int8_at(constants, p[P16.weights]), int64_at(constants, p[P16.bias])
    multiplier, shift = int32_at(constants, p[P16.multiplier]), int32_at(constants, p[P16.shift])
    channels, multiples, taps = p[P16.channels], p[P16.multiples], p[P16.kernel_width]
    dilation, in_channels, wide = p[P16.dilation_width], p[P16.in_channels], p[P16.wide]
    totals = int64_block()
    for row in range(p[P16.rows]):
        y = int16_at(arena, y_rows[row])
        for column in range(p[P16.width]):
            left = column * p[P16.stride_width] - p[P16.pad_left]
            begin = first_tap(left, dilation)
            end = last_tap(left, dilation, taps, p[P16.in_width])
            for block in range(0, channels, BLOCK):
                count = min(BLOCK, channels - block)
                for i in range(count):
                    totals[i] = bias[block + i]
                for ky in range(p[P16.kernel_height]):
                    line = x_rows[row * p[P16.stride_height] + ky * p[P16.dilation_height]]
                    if line >= 0:
                        for kx in range(begin, end):
                            x = int16_at(arena, line + 2 * (left + kx * dilation) * in_channels)
                            w = int8_at(weights, (ky * taps + kx) * channels + block)
                            if multiples == 1:
                                for i in range(count):
                                    totals[i] = mac64(totals[i], x[block + i], w[i])
                            else:
                                for i in range(count):
                                    totals[i] = mac64(totals[i], x[(block + i) // multiples], w[i])
                for i in range(count):
                    o = block + i
                    if wide:
                        scaled = multiply_by_quantized_multiplier_64(
                            totals[i], multiplier[o], shift[o]
                        )
                    else:
                        scaled = multiply_by_quantized_multiplier(
                            np.int32(totals[i]), multiplier[o], shift[o]
                        )
                    y[column * channels + o] = clamp(scaled, p[P16.least], p[P16.greatest])


@kernel
def depthwise_conv2d_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[PF.x]), int32_at(constants, p[PF.y])
    weights, bias = float32_at(constants, p[PF.weights]), float32_at(constants, p[PF.bias])
    bounds = float32_at(constants, p[PF.bounds])
    channels, multiples, taps = p[PF.channels], p[PF.multiples], p[PF.kernel_width]
    dilation, in_channels = p[PF.dilation_width], p[PF.in_channels]
    totals = float32_block()
    for row in range(p[PF.rows]):
        y = float32_at(arena, y_rows[row])
        for column in range(p[PF.width]):
            left = column * p[PF.stride_width] - p[PF.pad_left]
            begin = first_tap(left, dilation)
            end = last_tap(left, dilation, taps, p[PF.in_width])
            for block in range(0, channels, BLOCK):
                count = min(BLOCK, channels - block)
                for i in range(count):
                    totals[i] = np.float32(0)
                for ky in range(p[PF.kernel_height]):
                    line = x_rows[row * p[PF.stride_height] + ky * p[PF.dilation_height]]
                    if line >= 0:
                        for kx in range(begin, end):
                            x = float32_at(arena, line + 4 * (left + kx * dilation) * in_channels)
                            w = (ky * taps + kx) * channels + block
                            if multiples == 1:
                                for i in range(count):
                                    totals[i] += x[block + i] * weights[w + i]
                            else:
                                for i in range(count):
                                    totals[i] += x[(block + i) // multiples] * weights[w + i]
                for i in range(count):
                    o = block + i
                    y[column * channels + o] = clamp(totals[i] + bias[o], bounds[0], bounds[1])
