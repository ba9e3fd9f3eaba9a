"""What each coding of each tensor costs, measured on samples: bytes, and time on both sides."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from ...runtime.backend import find_backend
from ...runtime.errors import TargetError
from ...runtime.graph import Graph
from ...runtime.pipeline import compile_graph
from .coding import CODINGS, LOSSLESS, decode, encode, find_coding

ROUNDS = 3  # of a sample
Made = TypeVar("Made")


@dataclass(frozen=True)
class CodingCost:
    """The mean over the samples, on the machine that measured."""

    name: str
    bytes: int
    encode_ms: float = 0.0
    decode_ms: float = 0.0

    def moving_ms(self, rate: float, slowdown: float, load: float) -> float:
        """Coding, sending at `rate` bytes a ms, decoding, on sides that are so much slower."""
        return slowdown * self.encode_ms + self.bytes / rate + load * self.decode_ms


def tensor_values(
    graph: Graph, samples: Sequence[Sequence[np.ndarray]]
) -> Mapping[int, list[np.ndarray]]:
    """Every tensor that can cross, in each of the samples, which are consecutive frames."""
    values: dict[int, list[np.ndarray]] = {}
    executor = find_backend("host").build(compile_graph(graph))
    try:
        for inputs in samples:
            for index, value in zip(graph.inputs, inputs, strict=True):
                values.setdefault(index, []).append(value)
            for _, index, value in executor.trace(inputs):
                values.setdefault(index, []).append(np.array(value))
    finally:
        executor.close()
    return values


def measure_codings(
    graph: Graph, samples: Sequence[Sequence[np.ndarray]], names: Iterable[str] = LOSSLESS
) -> Mapping[int, tuple[CodingCost, ...]]:
    """The codings of each tensor that takes them; differences only if there are two frames."""
    wanted = list(names)
    if any(CODINGS[n].of_difference for n in wanted) and len(samples) < 2:
        wanted = [n for n in wanted if not CODINGS[n].of_difference]
        if not wanted:
            raise TargetError("coding by differences needs at least two frames (--samples)")
    found: dict[int, tuple[CodingCost, ...]] = {}
    for index, values in tensor_values(graph, samples).items():
        tensor = graph.tensors[index]
        costs = []
        for name in wanted:
            try:
                find_coding(name, tensor)
            except TargetError:
                continue
            costs.append(_cost(name, graph, index, values))
        found[index] = tuple(costs or [CodingCost("raw", tensor.bytes)])
    return found


def _cost(name: str, graph: Graph, index: int, values: Sequence[np.ndarray]) -> CodingCost:
    tensor, sizes, there, back = graph.tensors[index], [], [], []
    pairs = list(zip([None, *values], values, strict=False))
    if CODINGS[name].of_difference:
        pairs = pairs[1:]
    for base, value in pairs:
        content, encode_ms = _timed(lambda v=value, b=base: encode(name, v, tensor, b))  # type: ignore[misc]
        _, decode_ms = _timed(lambda c=content, b=base: decode(name, c, tensor, b))  # type: ignore[misc]
        sizes.append(len(content))
        there.append(encode_ms)
        back.append(decode_ms)
    mean = statistics.fmean
    if name == "raw":
        return CodingCost(name, tensor.bytes)
    return CodingCost(name, round(mean(sizes)), mean(there), mean(back))


def _timed(make: Callable[[], Made]) -> tuple[Made, float]:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        made = make()
        times.append((time.perf_counter() - started) * 1e3)
    return made, min(times)


def choose(
    measured: Mapping[int, tuple[CodingCost, ...]], rate: float, slowdown: float, load: float
) -> Mapping[int, CodingCost]:
    """The coding of each tensor with the least time at this rate, the device's times scaled."""
    return {
        index: replace(best, encode_ms=slowdown * best.encode_ms)
        for index, costs in measured.items()
        for best in [min(costs, key=lambda cost: cost.moving_ms(rate, slowdown, load))]
    }
