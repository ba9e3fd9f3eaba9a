"""Native twins of `kernels/l2_normalization.py`."""

from __future__ import annotations

import numpy as np

from ..l2_normalization import F32, LEAST, S8
from .fixedpoint import clamp, multiply_by_quantized_multiplier
from .inverse_root import inverse_root
from .memory import float32_at, int8_at
from .registry import kernel
from .whole import root

P = S8.index
F = F32.index


@kernel
def l2_normalization_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    depth = p[P.depth]
    for pixel in range(p[P.pixels]):
        x, y = int8_at(arena, p[P.x] + pixel * depth), int8_at(arena, p[P.y] + pixel * depth)
        total = np.int64(0)
        for i in range(depth):
            value = np.int64(x[i]) + p[P.x_offset]
            total += value * value
        multiplier, shift = inverse_root(total)
        for i in range(depth):
            value = (np.int64(x[i]) + p[P.x_offset]) << p[P.before]
            scaled = multiply_by_quantized_multiplier(value, multiplier, shift + p[P.after])
            y[i] = clamp(scaled + p[P.y_offset], -128, 127)


@kernel
def l2_normalization_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    depth = p[F.depth]
    for pixel in range(p[F.pixels]):
        x = float32_at(arena, p[F.x] + 4 * pixel * depth)
        y = float32_at(arena, p[F.y] + 4 * pixel * depth)
        total = np.float32(0)
        for i in range(depth):
            total += x[i] * x[i]
        size = max(root(total), LEAST)
        for i in range(depth):
            y[i] = x[i] / size
