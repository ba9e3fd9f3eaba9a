"""Native twin of `kernels/log_softmax.py`."""

from __future__ import annotations

import numpy as np

from ..log_softmax import LOG_SOFTMAX_F32
from .exponential import exp
from .fixedpoint import inline
from .memory import float32_at, float64_at, int32_at
from .registry import kernel
from .transcendental import log

P = LOG_SOFTMAX_F32.index
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
