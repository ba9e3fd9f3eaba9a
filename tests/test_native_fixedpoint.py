"""The native fixed-point helpers against `kernels/fixedpoint.py`, on boundaries and at random."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from midge.kernels import fixedpoint as fp
from midge.kernels.native import fixedpoint as native

MIN, MAX = -(1 << 31), (1 << 31) - 1
EDGES = [MIN, MIN + 1, -1, 0, 1, MAX - 1, MAX, *(s << k for k in range(31) for s in (1, -1, 3, -3))]
SAMPLES = 20_000


def samples(low: int, high: int, edges: list[int], seed: int) -> np.ndarray:
    """Edges in the range, then numbers of every magnitude."""
    rng = np.random.default_rng(seed)
    spread = rng.integers(low, high, SAMPLES, endpoint=True) >> rng.integers(0, 48, SAMPLES)
    return np.concatenate([[e for e in edges if low <= e <= high], spread]).astype(np.int64)


def crossed(*axes: np.ndarray) -> list[np.ndarray]:
    """Random combinations of the values of each axis, edges often."""
    rng = np.random.default_rng(7)
    return [
        np.where(
            rng.random(SAMPLES) < 0.3,
            rng.choice(a[: len(EDGES)], SAMPLES),
            rng.choice(a, SAMPLES),
        )
        for a in axes
    ]


@njit
def _high_mul(a, b, y):
    for i in range(len(y)):
        y[i] = native.saturating_rounding_doubling_high_mul(np.int32(a[i]), np.int32(b[i]))


@njit
def _divide(x, exponent, y):
    for i in range(len(y)):
        y[i] = native.rounding_divide_by_pot(np.int32(x[i]), np.int32(exponent[i]))


@njit
def _multiply(x, multiplier, shift, y):
    for i in range(len(y)):
        y[i] = native.multiply_by_quantized_multiplier(
            np.int32(x[i]), np.int32(multiplier[i]), np.int32(shift[i])
        )


@njit
def _multiply_64(x, multiplier, shift, y):
    for i in range(len(y)):
        y[i] = native.multiply_by_quantized_multiplier_64(
            x[i], np.int32(multiplier[i]), np.int32(shift[i])
        )


INT32 = samples(MIN, MAX, EDGES, 0)
MULTIPLIERS = samples(1 << 30, MAX, [1 << 30, MAX, 0x7FFEFFFF, 0x7FFF0000], 1)
MULTIPLIERS = np.concatenate([MULTIPLIERS[MULTIPLIERS >= 1 << 30], [0]])
INT48 = samples(-(1 << 47), (1 << 47) - 1, [*EDGES, -(1 << 47), (1 << 47) - 1], 2)
SHIFTS = np.arange(-31, 31)


@pytest.mark.parametrize(
    ("name", "run", "axes"),
    [
        ("saturating_rounding_doubling_high_mul", _high_mul, (INT32, INT32)),
        ("rounding_divide_by_pot", _divide, (INT32, np.arange(32))),
        ("multiply_by_quantized_multiplier", _multiply, (INT32, MULTIPLIERS, SHIFTS)),
        ("multiply_by_quantized_multiplier_64", _multiply_64, (INT48, MULTIPLIERS, SHIFTS[:39])),
    ],
)
def test_native_has_the_bits_of_numpy(name, run, axes):
    values = crossed(*axes)
    actual = np.empty(SAMPLES, np.int64)
    run(*values, actual)
    np.testing.assert_array_equal(actual, getattr(fp, name)(*values))


def test_mac32_wraps_like_int32():
    @njit
    def run(total, a, b):
        return native.mac32(np.int32(total), np.int8(a), np.int8(b))

    assert run(MAX, 1, 1) == MIN
    assert run(5, -128, -128) == 5 + 128 * 128
    assert run(0, -128, 127) == -128 * 127
