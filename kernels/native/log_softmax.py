"""Native twin of `kernels/log_softmax.py`."""

from __future__ import annotations

import numpy as np

from ..log_softmax import GREATEST, LEAST, LOG_SOFTMAX_F32, LOG_SOFTMAX_S8, OUTPUT_SHIFT
from .exponential import exp
from .fixedpoint import clamp, inline, multiply_by_quantized_multiplier, rounding_divide_by_pot
from .gemmlowp import log as log_fixed
from .memory import float32_at, float64_at, int8_at, int32_at
from .registry import kernel
from .softmax import greatest_of
from .transcendental import log

P, BYTES = LOG_SOFTMAX_F32.index, LOG_SOFTMAX_S8.index
_LEAST = np.float32(np.finfo(np.float32).min)


@inline
def _pixel(x, y, depth, powers):  # type: ignore[no-untyped-def]
    greatest, total = _LEAST, np.float32(0)
    for i in range(depth):
        greatest = x[i] if greatest < x[i] else greatest  # passes over NaN
    for i in range(depth):
        y[i] = x[i] - greatest
        total += exp(y[i], powers)
    less = log(total)
    for i in range(depth):
        y[i] = y[i] - less


@kernel
def log_softmax_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    powers, depth = float64_at(constants, p[P.powers]), p[P.depth]
    x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
    for row in range(p[P.rows]):
        for pixel in range(p[P.pixels]):
            x = float32_at(arena, x_rows[row] + 4 * pixel * depth)
            y = float32_at(arena, y_rows[row] + 4 * pixel * depth)
            _pixel(x, y, depth, powers)


@inline
def _pixel_s8(x, y, depth, terms, differences, scaling):  # type: ignore[no-untyped-def]
    radius, multiplier, shift = scaling
    greatest, total = greatest_of(x, depth), 0
    for i in range(depth):
        total += terms[greatest - x[i]]
    less = log_fixed(total)
    near = -multiply_by_quantized_multiplier(less - (1 << 31), multiplier, shift)
    limit = min(radius + 1, near)
    for i in range(depth):
        distance, value = greatest - x[i], LEAST
        if distance < limit:
            held = np.int64(differences[distance]) - less
            value = clamp(rounding_divide_by_pot(held, OUTPUT_SHIFT) + GREATEST, LEAST, GREATEST)
        y[i] = value


@kernel
def log_softmax_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    terms = int32_at(constants, p[BYTES.terms])
    differences = int32_at(constants, p[BYTES.differences])
    scaling, depth = (p[BYTES.radius], p[BYTES.multiplier], p[BYTES.shift]), p[BYTES.depth]
    x_rows, y_rows = int32_at(constants, p[BYTES.x]), int32_at(constants, p[BYTES.y])
    for row in range(p[BYTES.rows]):
        for pixel in range(p[BYTES.pixels]):
            x = int8_at(arena, x_rows[row] + pixel * depth)
            y = int8_at(arena, y_rows[row] + pixel * depth)
            _pixel_s8(x, y, depth, terms, differences, scaling)
