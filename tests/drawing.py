"""Random geometry from a seed: the sizes, shapes, scales and operands of a sweep's models."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from build_general import Constant, general

LIMITS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}
QUANTIZED = tuple(LIMITS)
MOST_AXES = 4


class Draws:
    """Choices of one case. `limits` bounds the numbers that its inputs of a type may have.

    `by_tflm`: True where TFLite's own answer is wrong and TFLM's is not, False where TFLM crashes.
    """

    def __init__(self, operator: str, dtype: str, seed: int) -> None:
        self.seed = seed
        self.rng = np.random.default_rng([seed, zlib.crc32(f"{operator} {dtype}".encode())])
        self.limits: dict[str, tuple[float, float]] = {}
        self.by_tflm: bool | None = None

    def one_of(self, *choices: Any) -> Any:
        return choices[self.rng.integers(len(choices))]

    def between(self, least: int, most: int) -> int:
        return int(self.rng.integers(least, most + 1))

    def flag(self) -> bool:
        return bool(self.rng.integers(2))

    def pair(self, most: int) -> tuple[int, int]:
        return self.between(1, most), self.between(1, most)

    def shape(self, least: int = 1, most: int = MOST_AXES) -> tuple[int, ...]:
        """Of any rank; few elements, and now and then a row of more than a vector's."""
        sizes = [self.between(1, 5) for _ in range(self.between(least, most))]
        if sizes and self.between(0, 3) == 0:
            sizes[-1] = self.one_of(7, 16, 17, 33, 70)
        return tuple(sizes)

    def image(self, height: int = 11, width: int = 11) -> tuple[int, int, int, int]:
        depth = self.one_of(1, 1, 2, 3, 4, 8, 15, 16, 17, 33)
        return self.between(1, 3), self.between(1, height), self.between(1, width), depth

    def axes(self, rank: int) -> list[int]:
        """Different axes, some of them counted from the back."""
        chosen = self.rng.permutation(rank)[: self.between(1, rank)]
        return [self.axis(int(axis), rank) for axis in chosen]

    def axis(self, axis: int, rank: int) -> int:
        return axis - rank if self.flag() else axis

    def broadcast(self, *, count: int = 2, most: int = MOST_AXES) -> list[tuple[int, ...]]:
        """Shapes that fit each other; half of the time they are equal."""
        whole = self.shape(1, most)
        if self.flag():
            return [whole] * count
        cut = [tuple(1 if self.between(0, 2) == 0 else n for n in whole) for _ in range(count)]
        return [shape[self.between(0, len(shape)) if self.flag() else 0 :] for shape in cut]

    def scale(self, least: float = 0.003, most: float = 0.3) -> float:
        """Any float32 between, small ones as often as large ones."""
        return float(np.float32(math.exp(self.rng.uniform(math.log(least), math.log(most)))))

    def zero(self, dtype: str) -> int:
        """A zero point: anywhere, at an end, or in the middle."""
        if dtype == "int16":
            return 0
        low, high = LIMITS[dtype]
        return self.one_of(low, high, (low + high + 1) // 2, *(self.between(low, high),) * 3)

    def numbers(self, dtype: str) -> tuple[Any, ...]:
        """dtype and, if it is quantized, a scale and a zero point."""
        if dtype not in QUANTIZED:
            return (dtype,)
        return dtype, self.scale() / (256 if dtype == "int16" else 1), self.zero(dtype)

    def constant(self, shape: Sequence[int], numbers: Sequence[Any]) -> np.ndarray | Constant:
        """A constant operand of any numbers."""
        dtype = numbers[0]
        if dtype in QUANTIZED:
            return Constant(tuple(shape), *numbers)
        if dtype == "float32":
            return np.asarray(self.rng.normal(size=shape) * 3, np.float32)
        return np.asarray(self.rng.integers(0, 2 if dtype == "bool" else 90, shape), dtype)

    def values(self, shape: Sequence[int], dtype: str) -> np.ndarray:
        """An input: numbers over the whole range or the case's own, many of them at its ends."""
        limits = self.limits.get(dtype)
        if dtype == "bool":
            return self.rng.integers(0, 2, shape).astype(bool)
        if dtype == "float32":
            low, high = limits or (-6.0, 6.0)
            drawn = self.rng.uniform(low, high, shape) * (1 if limits else self.one_of(0.1, 1, 9))
            edges = np.array([low, high] if limits else [-6, -1, -0.0, 0, 0.5, 1, 6, 1e-40, 1e30])
        else:
            info = np.iinfo(dtype)
            low, high = limits or (info.min, info.max)
            drawn = self.rng.integers(int(low), int(high), shape, np.int64, endpoint=True)
            edges = np.array([low, low, high, (low + high) // 2, (low + high) // 2 + 1])
            edges = np.clip(edges.astype(np.int64), int(low), int(high))
        chosen = self.rng.choice(edges, size=shape)
        return np.where(self.rng.random(shape) < 0.1, chosen, drawn).astype(dtype)


@dataclass(frozen=True)
class Sweep:
    """Models of one operator: `draw(draws, dtype)` makes one of each of `types`.

    TFLite's own reference has no kernel, or another rule, for the types of `apart`: those are
    compared with our reference alone, and those of `by_tflm` with TFLM's interpreter. Its answers
    come from the C library in the types of `near`, where they may be off by that many units in the
    last place.
    """

    draw: Callable[[Draws, str], bytes]
    types: tuple[str, ...]
    apart: tuple[str, ...] = ()
    near: int = 0
    by_tflm: tuple[str, ...] = ()


def whole(op: str, shape: Sequence[int], numbers: Sequence[Any], *more: Any, **named: Any) -> bytes:
    """An operator of one tensor, and what else it takes, that keeps shape and numbers."""
    spec = (tuple(shape), *numbers)
    return general(op, [spec, *more], spec, **named)
