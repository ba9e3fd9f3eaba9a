"""Native twins of `kernels/fully_connected.py`: one dot product an output."""

from __future__ import annotations

import numpy as np

from .. import fully_connected
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

P8 = fully_connected.S8.index
PR = fully_connected.BY_ROW_S8.index
P16 = fully_connected.S16.index
PF = fully_connected.F32.index


@kernel
def fully_connected_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    bias = int32_at(constants, p[P8.bias])
    multiplier, shift = int32_at(constants, p[P8.multiplier]), int32_at(constants, p[P8.shift])
    units, depth = p[P8.units], p[P8.depth]
    x_offset, w_offset = np.int16(-p[P8.input_zero]), np.int16(-p[P8.weights_zero])
    for batch in range(p[P8.batches]):
        x = int8_at(arena, p[P8.x] + batch * depth)
        y = int8_at(arena, p[P8.y] + batch * units)
        for o in range(units):
            w = int8_at(constants, p[P8.weights] + o * depth)
            total = bias[o]
            for i in range(depth):
                total = mac32(total, add16(x[i], x_offset), add16(w[i], w_offset))
            scaled = multiply_by_quantized_multiplier(total, multiplier[o], shift[o])
            y[o] = clamp(scaled + p[P8.output_zero], p[P8.least], p[P8.greatest])


@kernel
def fully_connected_by_row_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    """Rows first .. first + rows - 1 of `height` are added; the last of all makes the output."""
    x_rows, bias = int32_at(constants, p[PR.x]), int32_at(constants, p[PR.bias])
    multiplier, shift = int32_at(constants, p[PR.multiplier]), int32_at(constants, p[PR.shift])
    sums, y, length = int32_at(arena, p[PR.sums]), int8_at(arena, p[PR.y]), p[PR.length]
    x_offset, w_offset = np.int16(-p[PR.input_zero]), np.int16(-p[PR.weights_zero])
    for o in range(p[PR.units]):
        total = bias[o] if p[PR.first] == 0 else sums[o]
        for row in range(p[PR.rows]):
            x = int8_at(arena, x_rows[row])
            start = o * p[PR.depth] + (p[PR.first] + row) * length
            w = int8_at(constants, p[PR.weights] + start)
            for i in range(length):
                total = mac32(total, add16(x[i], x_offset), add16(w[i], w_offset))
        sums[o] = total
    if p[PR.first] + p[PR.rows] == p[PR.height]:
        for o in range(p[PR.units]):
            scaled = multiply_by_quantized_multiplier(sums[o], multiplier[o], shift[o])
            y[o] = clamp(scaled + p[PR.output_zero], p[PR.least], p[PR.greatest])


@kernel
def fully_connected_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    bias = int64_at(constants, p[P16.bias])
    multiplier, shift = int32_at(constants, p[P16.multiplier]), int32_at(constants, p[P16.shift])
    units, depth, wide = p[P16.units], p[P16.depth], p[P16.wide]
    for batch in range(p[P16.batches]):
        x = int16_at(arena, p[P16.x] + 2 * batch * depth)
        y = int16_at(arena, p[P16.y] + 2 * batch * units)
        for o in range(units):
            w = int8_at(constants, p[P16.weights] + o * depth)
            total = bias[o]
            for i in range(depth):
                total = mac64(total, x[i], w[i])
            if wide:
                scaled = multiply_by_quantized_multiplier_64(total, multiplier[o], shift[o])
            else:
                narrow = np.int32(total)
                scaled = multiply_by_quantized_multiplier(narrow, multiplier[o], shift[o])
            y[o] = clamp(scaled, p[P16.least], p[P16.greatest])


@inline
def sum_in_order(x, w, depth):  # type: ignore[no-untyped-def]
    """Products one after the other."""
    total = np.float32(0)
    for i in range(depth):
        total += x[i] * w[i]
    return total


@inline
def lanes_sum(x, w, depth):  # type: ignore[no-untyped-def]
    """Every fourth product in a lane of its own."""
    a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for i in range(0, depth, 4):
        a += x[i] * w[i]
        b += x[i + 1] * w[i + 1]
        c += x[i + 2] * w[i + 2]
        d += x[i + 3] * w[i + 3]
    return (a + b) + (c + d)


@kernel
def fully_connected_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    bias, bounds = float32_at(constants, p[PF.bias]), float32_at(constants, p[PF.bounds])
    units, depth = p[PF.units], p[PF.depth]
    for batch in range(p[PF.batches]):
        x = float32_at(arena, p[PF.x] + 4 * batch * depth)
        y = float32_at(arena, p[PF.y] + 4 * batch * units)
        for o in range(units):
            w = float32_at(constants, p[PF.weights] + 4 * o * depth)
            total = lanes_sum(x, w, depth) if p[PF.lanes] == 4 else sum_in_order(x, w, depth)
            y[o] = clamp(total + bias[o], bounds[0], bounds[1])
