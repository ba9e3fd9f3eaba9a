"""Native twin of `kernels/inverse_root.py`."""

from __future__ import annotations

import numpy as np

from ..inverse_root import HALF_OF_THREE, HALF_ROOT_OF_TWO, ONE, STEPS
from .fixedpoint import clamp, inline, saturating_rounding_doubling_high_mul

_LEAST, _GREATEST = -(1 << 31), (1 << 31) - 1


@inline
def _scaled(x, bits):  # type: ignore[no-untyped-def]
    return clamp(np.int64(x) << bits, _LEAST, _GREATEST)


@inline
def inverse_root(x):  # type: ignore[no-untyped-def]
    """(multiplier, shift) of 1 / sqrt(x), as the reference has it."""
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
