"""1 / sqrt(x) of whole numbers as multiplier and shift, in gemmlowp's fixed point.

(TFLite `GetInvSqrtQuantizedMultiplierExp`, kernels/internal/common.cc.)
"""

from __future__ import annotations

from .fixedpoint import INT32_MAX, INT32_MIN, saturating_rounding_doubling_high_mul

STEPS = 5  # of Newton's method
HALF_OF_THREE = (1 << 28) + (1 << 27)  # 1.5, with three bits before the point
HALF_ROOT_OF_TWO = 1518500250  # sqrt(2) / 2 in Q0.31
ONE = 1 << 28


def inverse_root(x: int) -> tuple[int, int]:
    """(multiplier, shift) such that multiplier * 2**(shift - 31) is about 1 / sqrt(x); x as 1 if
    it is less."""
    if x <= 1:
        return INT32_MAX, 0
    right = 11
    while x >= 1 << 29:
        x, right = x >> 2, right + 1
    pairs = (31 - x.bit_length()) // 2 - 1
    right -= pairs
    x <<= 2 * pairs
    root = _newton(x >> 1)
    return (root << -right, 0) if right < 0 else (root, -right)


def _newton(x: int) -> int:
    half, root = _halved(x), ONE
    for _ in range(STEPS):
        cube = _scaled(_product(_product(root, root), root), 6)
        root = _scaled(_product(HALF_OF_THREE, root) - _product(half, cube), 3)
    return _product(root, HALF_ROOT_OF_TWO)


def _product(a: int, b: int) -> int:
    return int(saturating_rounding_doubling_high_mul(a, b))


def _halved(x: int) -> int:
    """x / 2, ties away from zero, for x >= 0."""
    return (x >> 1) + (x & 1)


def _scaled(x: int, bits: int) -> int:
    """x * 2**bits, saturating."""
    return min(max(x << bits, INT32_MIN), INT32_MAX)
