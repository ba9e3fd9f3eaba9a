"""Native twins of `kernels/svdf.py`."""

from __future__ import annotations

import numpy as np

from ..svdf import F32, S8
from .fixedpoint import add32, clamp, inline, mac32, multiply_by_quantized_multiplier
from .memory import float32_at, int8_at, int16_at, int32_at
from .registry import kernel

P = S8.index
PF = F32.index


@inline
def _filtered(constants, p, filter_, x, state, total):  # type: ignore[no-untyped-def]
    """Move the filter's state on by one, and add what it gives to total."""
    depth, memory, zero = p[P.depth], p[P.memory], np.int32(-p[P.input_zero])
    weights, product = int8_at(constants, p[P.features] + filter_ * depth), np.int32(0)
    for i in range(depth):
        product = mac32(product, add32(x[i], zero), weights[i])
    newest = multiply_by_quantized_multiplier(product, p[P.state_multiplier], p[P.state_shift])
    for i in range(memory - 1):
        state[i] = state[i + 1]
    state[memory - 1] = clamp(newest, -32768, 32767)
    times = int16_at(constants, p[P.times] + 2 * filter_ * memory)
    for i in range(memory):
        total = mac32(total, state[i], times[i])
    return total


@kernel
def svdf_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    rank, filters, memory = p[P.rank], p[P.units] * p[P.rank], p[P.memory]
    bias = int32_at(constants, p[P.bias])
    for batch in range(p[P.batches]):
        x = int8_at(arena, p[P.x] + batch * p[P.depth])
        y = int8_at(arena, p[P.y] + batch * p[P.units])
        states = p[P.state] + 2 * batch * filters * memory
        for unit in range(p[P.units]):
            total = bias[unit]
            for i in range(unit * rank, (unit + 1) * rank):
                state = int16_at(arena, states + 2 * i * memory)
                total = _filtered(constants, p, i, x, state, total)
            scaled = multiply_by_quantized_multiplier(
                total, p[P.output_multiplier], p[P.output_shift]
            )
            y[unit] = clamp(scaled + p[P.output_zero], -128, 127)


@inline
def _filtered_float(constants, p, filter_, x, state):  # type: ignore[no-untyped-def]
    """Move the filter's state on by one; what it gives."""
    depth, memory = p[PF.depth], p[PF.memory]
    weights = float32_at(constants, p[PF.features] + 4 * filter_ * depth)
    times = float32_at(constants, p[PF.times] + 4 * filter_ * memory)
    newest, total = np.float32(0), np.float32(0)
    for i in range(depth):
        newest += x[i] * weights[i]
    for i in range(memory - 1):
        state[i] = state[i + 1]
    state[memory - 1] = newest
    for i in range(memory):
        total += state[i] * times[i]
    return total


@kernel
def svdf_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    rank, filters, memory = p[PF.rank], p[PF.units] * p[PF.rank], p[PF.memory]
    bias, bounds = float32_at(constants, p[PF.bias]), float32_at(constants, p[PF.bounds])
    for batch in range(p[PF.batches]):
        x = float32_at(arena, p[PF.x] + 4 * batch * p[PF.depth])
        y = float32_at(arena, p[PF.y] + 4 * batch * p[PF.units])
        states = p[PF.state] + 4 * batch * filters * memory
        for unit in range(p[PF.units]):
            total = np.float32(0)
            for i in range(unit * rank, (unit + 1) * rank):
                state = float32_at(arena, states + 4 * i * memory)
                total += _filtered_float(constants, p, i, x, state)
            y[unit] = clamp(total + bias[unit], bounds[0], bounds[1])
