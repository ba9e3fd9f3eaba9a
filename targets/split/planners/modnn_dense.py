"""MoDNN's part for pruned dense layers: who multiplies which weight.

A sparse weight matrix is a bipartite graph of outputs and inputs. Spectral co-clustering (MSCC;
Dhillon, KDD 2001) gives each device a block of rows and columns, so that few inputs are needed
twice; what lies outside of the blocks is given row by row to the device that is least busy (FGCP).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2

import numpy as np

ROUNDS = 50


@dataclass(frozen=True, eq=False)
class Deployment:
    """`rows`, `columns`: the device that owns each output and input. `where`: the device of each
    weight's product, -1 where the weight is zero."""

    rows: np.ndarray
    columns: np.ndarray
    where: np.ndarray

    def remote_inputs(self, device: int) -> np.ndarray:
        """The inputs that a device needs and doesn't own, each once: what is sent to it."""
        used = (self.where == device).any(axis=0)
        return np.flatnonzero(used & (self.columns != device))

    def products(self, device: int, weights: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """A device's part of every output's sum (int64)."""
        own = np.where(self.where == device, weights, 0).astype(np.int64)
        return np.asarray(own @ inputs.astype(np.int64))


def deploy(weights: np.ndarray, speeds: Sequence[float]) -> Deployment:
    """Products of a dense layer's weights [outputs, inputs] over devices of these speeds."""
    rows, columns = co_clusters(weights, len(speeds))
    where = np.where(
        weights != 0, np.where(rows[:, None] == columns, rows[:, None], len(speeds)), -1
    )
    busy = [float((where == device).sum()) / speed for device, speed in enumerate(speeds)]
    left = (where == len(speeds)).sum(axis=1)
    for row in np.argsort(-left, kind="stable"):
        if left[row]:
            device = min(range(len(speeds)), key=lambda d: (busy[d] + left[row] / speeds[d], d))
            where[row, where[row] == len(speeds)] = device
            busy[device] += left[row] / speeds[device]
    return Deployment(rows, columns, where)


def co_clusters(weights: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The cluster of each row and column: k-means on scaled singular vectors 2 .. 1 + log2 k."""
    size = np.abs(weights.astype(np.float64))
    if count == 1 or not size.any():
        return np.zeros(len(size), int), np.zeros(size.shape[1], int)
    scales = [1 / np.sqrt(np.where(sums > 0, sums, 1.0)) for sums in (size.sum(1), size.sum(0))]
    left, _, right = np.linalg.svd(scales[0][:, None] * size * scales[1], full_matrices=False)
    chosen = slice(1, 1 + max(1, ceil(log2(count))))
    points = np.vstack([scales[0][:, None] * left[:, chosen], scales[1][:, None] * right[chosen].T])
    labels = _k_means(points, count)
    return labels[: len(size)], labels[len(size) :]


def _k_means(points: np.ndarray, count: int) -> np.ndarray:
    """Lloyd's rounds from centres that lie far apart, so that the result is always the same."""
    centres = points[[0]]
    while len(centres) < count:
        distances = ((points[:, None] - centres) ** 2).sum(axis=2).min(axis=1)
        centres = np.vstack([centres, points[distances.argmax()]])
    labels = np.zeros(len(points), int)
    for _ in range(ROUNDS):
        labels = ((points[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
        moved = np.array(
            [points[labels == k].mean(axis=0) if (labels == k).any() else centres[k]
             for k in range(count)]
        )  # fmt: skip
        if np.allclose(moved, centres):
            break
        centres = moved
    return labels
