"""Native twins of `kernels/l2_normalization.py`."""

from __future__ import annotations

import numpy as np

from ..inverse_root import HALF_OF_THREE, HALF_ROOT_OF_TWO, ONE, STEPS
from ..l2_normalization import F32, LEAST, S8
from .fixedpoint import (
    clamp,
    inline,
    multiply_by_quantized_multiplier,
    saturating_rounding_doubling_high_mul,
)
from .memory import float32_at, int8_at
from .registry import kernel
from .whole import root

P = S8.index
F = F32.index
_LEAST, _GREATEST = -(1 << 31), (1 << 31) - 1


@inline
def _scaled(x, bits):  # type: ignore[no-untyped-def]
    return clamp(np.int64(x) << bits, _LEAST, _GREATEST)


@inline
def _inverse_root(x):  # type: ignore[no-untyped-def]
    """(multiplier, shift) of 1 / sqrt(x), as `inverse_root` has it."""
    if x <= 1:
        return np.int64(_GREATEST), np.int64(0)
    right = np.int64(11)
    while x >= 1 << 29:
        x >>= 2
        right += 1
    pairs = np.int64(0)
    while x << (2 * pairs + 2) < 1 << 29:
        pairs += 1
    right -= pairs
    value = (x << (2 * pairs)) >> 1
    half, found = (value >> 1) + (value & 1), np.int64(ONE)
    for _ in range(STEPS):
        square = saturating_rounding_doubling_high_mul(found, found)
        cube = _scaled(saturating_rounding_doubling_high_mul(square, found), 6)
        more = saturating_rounding_doubling_high_mul(HALF_OF_THREE, found)
        found = _scaled(more - saturating_rounding_doubling_high_mul(half, cube), 3)
    found = saturating_rounding_doubling_high_mul(found, HALF_ROOT_OF_TWO)
    if right < 0:
        return found << -right, np.int64(0)
    return found, -right


@kernel
def l2_normalization_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    depth = p[P.depth]
    for pixel in range(p[P.pixels]):
        x, y = int8_at(arena, p[P.x] + pixel * depth), int8_at(arena, p[P.y] + pixel * depth)
        total = np.int64(0)
        for i in range(depth):
            value = np.int64(x[i]) + p[P.x_offset]
            total += value * value
        multiplier, shift = _inverse_root(total)
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
