"""Weights of low-bit layers from real ones, as the papers of `binary_layers.py` make them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]


def bits_of(whole: np.ndarray) -> int:
    """Bits of two's complement that hold all of these numbers."""
    least, greatest = int(whole.min()), int(whole.max())
    return max(1 + max(greatest, -least - 1).bit_length(), 1)


def abc_bases(weights: np.ndarray, count: int) -> tuple[list[Floats], NDArray[np.float64]]:
    """ABC-Net's binary bases of a layer's weights, and the alphas that come nearest to them."""
    real = np.asarray(weights, np.float64)
    shifts = [0.0] if count == 1 else [-1 + 2 * i / (count - 1) for i in range(count)]
    signs = [np.where(real - real.mean() + u * real.std() < 0, -1, 1) for u in shifts]
    matrix = np.stack([sign.reshape(-1) for sign in signs], axis=1).astype(np.float64)
    alphas = np.linalg.lstsq(matrix, real.reshape(-1), rcond=None)[0]
    return [sign.astype(np.float32) for sign in signs], alphas


def dorefa_weights(weights: np.ndarray, wide: int) -> tuple[NDArray[np.int64], float]:
    """(odd numbers from -(2^k - 1) to 2^k - 1, what 1 stands for); of one bit, the signs times the
    mean of |w|."""
    real = np.asarray(weights, np.float64)
    if wide == 1:
        return np.where(real < 0, -1, 1), float(np.abs(real).mean())
    top = (1 << wide) - 1
    squashed = np.tanh(real) / (2 * np.abs(np.tanh(real)).max()) + 0.5
    return (2 * np.round(squashed * top) - top).astype(np.int64), 1 / top


def ternary_weights(weights: np.ndarray) -> tuple[NDArray[np.int64], Floats]:
    """(-1, 0 or 1, alpha of each filter): 0 where |w| is at most 0.7 of the filter's mean |w|."""
    real = np.asarray(weights, np.float64)
    flat = np.abs(real).reshape(len(real), -1)
    kept = flat > 0.7 * flat.mean(axis=1, keepdims=True)
    alpha = (flat * kept).sum(axis=1) / np.maximum(kept.sum(axis=1), 1)
    whole = np.sign(real).astype(np.int64) * kept.reshape(real.shape)
    return whole, alpha.astype(np.float32)


def rbnn_weights(
    weights: np.ndarray, left: np.ndarray, right: np.ndarray, part: ArrayLike
) -> NDArray[np.float64]:
    """The weights whose signs a rotated network stores (Lin et al., RBNN, 2020): each filter, as a
    matrix, is turned by two rotations and mixed with itself by `part` of the way."""
    flat = np.asarray(weights, np.float64).reshape(len(weights), len(left), len(right))
    turned = left.T @ flat @ right
    mix = np.asarray(part, np.float64).reshape(-1, 1, 1)
    return (flat + mix * (turned - flat)).reshape(weights.shape)


def fold_sign(
    norm: Sequence[np.ndarray], epsilon: float, products: int
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """(thresholds, filters to be negated) of sign(batch norm(sum of signs)), all in float64.

    With sum = K - 2 p and a positive slope, the answer is negative where p is over the threshold.
    A negative slope is made positive by negating the filter. A slope of 0 leaves beta's sign.
    """
    gamma, beta, mean, variance = (np.asarray(values, np.float64) for values in norm)
    slope = gamma / np.sqrt(variance + epsilon)
    flipped = slope < 0
    with np.errstate(divide="ignore", invalid="ignore"):
        # slope * (sum - mean) + beta < 0 where sum < zero; the sums differ by 2
        zero = (mean - beta / slope) * np.where(flipped, -1, 1)
        limit = np.floor((products - zero) / 2)
    limit = np.where(slope == 0, np.where(beta < 0, -1, products), limit)
    return np.clip(limit, -1, products).astype(np.int32), flipped
