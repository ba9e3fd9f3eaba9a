"""Planners that search a space of cuts with more dimensions: groups, neighbours, bit widths.

- DeepWear / CoINF: Xu et al., "DeepWear: Adaptive Local Offloading for On-Wearable Deep Learning",
  IEEE TMC 2020.
- CAS / GADS: Wang et al., context-aware adaptive surgery by the neighbour effect. The paper's k-d
  tree is a plain scan here: 10,000 contexts take a tenth of a millisecond in NumPy.
- Auto-Split: Banitalebi-Dehkordi et al., "Auto-Split: A General Framework of Collaborative
  Edge-Cloud AI", KDD 2021.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ....runtime.errors import TargetError
from .problem import Costs, Plan, Problem, better, plan_of


def deepwear(problem: Problem) -> Plan:
    """Cuts of the grouped graph: repeated regions with no cheap cut inside count as one node.

    `extras["kinds"]` gives each node's signature (operator and geometry); without it nothing is
    grouped, and a chain's answer is DADS's. For streams (objective throughput) the period counts.
    """
    points = grouped_points(problem.costs, problem.extras.get("kinds"))
    plans = [plan_of(problem, "deepwear", range(p), candidates=len(points)) for p in points]
    return better(problem, plans)


def grouped_points(costs: Costs, kinds: Sequence[object] | None) -> list[int]:
    """Cut points, without those inside a region that repeats and whose inside is no cheaper to cut
    than its end."""
    points = list(costs.single_cuts)
    if kinds is None:
        return points
    regions = [(a, b, (tuple(kinds[a:b]))) for a, b in itertools.pairwise(points)]
    kept, at = {points[0], points[-1]}, 0
    while at < len(regions):
        length = _repeat(regions, at)
        end = at + length
        edge = min(_bytes(costs, regions[at][0]), _bytes(costs, regions[end - 1][1]))
        inner = [points[i] for i in range(at + 1, end)]
        kept.update(p for p in inner if _bytes(costs, p) < edge)
        kept.update((regions[at][0], regions[end - 1][1]))
        at = end
    return sorted(kept)


def _repeat(regions: Sequence[tuple[int, int, tuple[object, ...]]], at: int) -> int:
    """The number of regions in the longest run from `at` that is elsewhere too, at least 1."""
    keys = [region[2] for region in regions]
    longest = 1
    for length in range(2, min(len(keys) // 2, len(keys) - at) + 1):
        run = keys[at : at + length]
        elsewhere = [*range(at - length + 1), *range(at + length, len(keys) - length + 1)]
        if any(keys[i : i + length] == run for i in elsewhere):
            longest = length
    return longest


def _bytes(costs: Costs, length: int) -> int:
    return sum(wire.bytes for wire in costs.crossing(frozenset(range(length))))


class NeighbourIndex:
    """CAS's offline part: for contexts of a grid the best state, found by full search.

    A context is (bandwidth in bytes a ms, latency limit in ms or inf); the nearest one is nearest
    in logarithms.
    """

    def __init__(self, problem: Problem, contexts: Sequence[tuple[float, float]]) -> None:
        self.points = problem.costs.single_cuts
        self.contexts = np.log(np.minimum(np.asarray(contexts, float), 1e9))
        self.best = [_full_search(_in_context(problem, c), self.points) for c in contexts]

    def start(self, context: tuple[float, float]) -> int:
        """The best state (a number of a cut point) of the nearest stored context."""
        at = np.log(np.minimum(np.asarray(context, float), 1e9))
        return self.best[int(((self.contexts - at) ** 2).sum(axis=1).argmin())]


def _in_context(problem: Problem, context: tuple[float, float]) -> Problem:
    bandwidth, latency = context
    ratio = bandwidth / problem.link.up
    link = replace(problem.link, up=bandwidth, down=problem.link.down * ratio)
    limit = None if latency == float("inf") else latency
    return replace(problem, link=link, limits=replace(problem.limits, latency_ms=limit))


def _rank(problem: Problem, length: int) -> tuple[float, float, int]:
    """Excess over the limits first, then the objective; ties keep more on the device."""
    stages = plan_of(problem, "cas", range(length)).stages
    excess = sum(stages.violations(problem.limits).values())
    return excess, stages.value(problem.objective), -length


def _full_search(problem: Problem, points: Sequence[int]) -> int:
    return min(range(len(points)), key=lambda i: _rank(problem, points[i]))


EXPANSIONS = 8


def cas(problem: Problem) -> Plan:
    """Best-first search over neighbouring cuts from the state of the nearest known context.

    `extras["index"]` is a `NeighbourIndex` (else the search starts in the middle) and
    `extras["expansions"]` how many states may be opened; with all of them it is exhaustive.
    """
    index: NeighbourIndex | None = problem.extras.get("index")
    points = problem.costs.single_cuts
    limit = problem.limits.latency_ms
    context = (problem.link.up, float("inf") if limit is None else limit)
    start = index.start(context) if index else len(points) // 2
    heap = [(_rank(problem, points[start]), start)]
    seen = {start}
    opened: list[tuple[tuple[float, float, int], int]] = []
    while heap and len(opened) < int(problem.extras.get("expansions", EXPANSIONS)):
        rank, state = heapq.heappop(heap)
        opened.append((rank, state))
        for near in (state - 1, state + 1):
            if 0 <= near < len(points) and near not in seen:
                seen.add(near)
                heapq.heappush(heap, (_rank(problem, points[near]), near))
    best = min(opened)[1]
    return better(problem, [plan_of(problem, "cas", range(points[best]), opened=len(opened))])


@dataclass(frozen=True)
class Choice:
    """One bit width of one layer: what it costs in error and in bytes of weights and activation."""

    bits: int
    error: float
    weight_bytes: int
    activation_bytes: int


def auto_split(problem: Problem) -> Plan:
    """Cut and bit widths of the device's part, for the least latency with error and memory bounded.

    `extras["choices"][v]`: the `Choice`s of node v; `extras["error_limit"]`: the most error in all
    (the distortion proxy, or what calibration measured); `limits.device_bytes` bounds the weights
    on the device. Bits are chosen by the Lagrangian of (error, bytes), which reaches every point of
    the convex hull; the cloud-only plan is always a candidate. Evidence: `bits`, `error`, `pareto`.
    """
    choices: Sequence[Sequence[Choice]] = problem.extra(
        "choices", "auto-split", "errors of bit widths (--error-limit)"
    )
    limit = problem.extras.get("error_limit", float("inf"))
    memory = problem.limits.device_bytes
    found = []
    for length in problem.costs.single_cuts:
        for picked in allocations(choices[:length]):
            weights, error = sum(c.weight_bytes for c in picked), sum(c.error for c in picked)
            if (memory is None or weights <= memory) and error <= limit:
                found.append(_with_bits(problem, length, picked, error))
    if not found:
        raise TargetError("no cut is within the limits on error and device memory")
    pareto = _pareto([(p.evidence["error"], p.stages.latency_ms) for p in found])
    best = min(found, key=lambda p: (p.stages.latency_ms, p.evidence["error"], -len(p.device)))
    return replace(best, evidence={**best.evidence, "pareto": pareto})


def allocations(choices: Sequence[Sequence[Choice]]) -> list[tuple[Choice, ...]]:
    """All allocations on the convex hull of (weight bytes, error): one for each slope."""
    slopes = {0.0}
    for layer in choices:
        for a in layer:
            for b in layer:
                if b.weight_bytes > a.weight_bytes and a.error > b.error:
                    slopes.add((a.error - b.error) / (b.weight_bytes - a.weight_bytes))
    edges = sorted(slopes)
    middles = [(a + b) / 2 for a, b in itertools.pairwise(edges)] + [edges[-1] * 2 + 1, 0.0]
    found = {}
    for slope in [*edges, *middles]:
        picked = tuple(
            min(layer, key=lambda c: (c.error + slope * c.weight_bytes, c.weight_bytes))
            for layer in choices
        )
        found[tuple(c.bits for c in picked)] = picked
    return list(found.values())


def _with_bits(problem: Problem, length: int, picked: Sequence[Choice], error: float) -> Plan:
    """The plan with the last layer's activation sent at its bits."""
    costs = problem.costs
    if picked:
        last = length - 1
        wires = tuple(
            replace(w, bytes=picked[-1].activation_bytes) if w.producer == last else w
            for w in costs.wires
        )
        costs = replace(costs, wires=wires)
    plan = plan_of(replace(problem, costs=costs), "auto-split", range(length))
    evidence: Mapping[str, object] = {"bits": [c.bits for c in picked], "error": error}
    return replace(plan, evidence=evidence)


def _pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    front: list[tuple[float, float]] = []
    for point in sorted(set(points)):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front
