"""Fused blocks by dynamic programming.

- AOFL: Zhou et al., "Adaptive Parallel Execution of Deep Neural Networks on Heterogeneous Edge
  Devices", SEC 2019: any number of devices for each block.
- DPFP: Li, Iosifidis, Zhang, "Receptive Field-based Segmentation for Distributed CNN Inference
  Acceleration in Collaborative Edge Computing", ICC 2022: devices are added, the fastest first,
  while that helps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ....runtime.errors import TargetError
from ..tiles.loads import NO_ROOM, excess
from ..tiles.plan import Step, TilePlan, TileProblem
from ..tiles.route import Route, priced
from .strips import ROWS, alone, cut_points, in_strips

MOST_FUSED = 24  # nodes of a block: longer ones are nearly all halo, and planning stays short


@dataclass(frozen=True)
class _Path:
    """The best way to the end of a block that was split in one way."""

    ms: float
    route: Route
    steps: tuple[Step, ...]


def aofl(problem: TileProblem) -> TilePlan:
    """The least latency over all fusings and numbers of devices; owners keep their tiles, so that
    between blocks only halos move."""
    counts = range(1, len(problem.devices) + 1)
    return priced(problem, "aofl", best_blocks(problem, list(counts)).steps)


def dpfp(problem: TileProblem) -> TilePlan:
    """As `aofl` with one number of devices for all blocks, raised while the latency falls."""
    best: _Path | None = None
    used = 1
    for count in range(1, len(problem.devices) + 1):
        path = best_blocks(problem, [count])
        if best is not None and path.ms >= best.ms:
            break
        best, used = path, count
    assert best is not None
    return priced(problem, "dpfp", best.steps, devices=used)


def best_blocks(problem: TileProblem, counts: Sequence[int]) -> _Path:
    """D[j, q] = min over i, q' of D[i, q'] + C(i, j, q | q'): exact where a chain's one tensor
    crosses, since what a block fetches depends on how that tensor was split, and on nothing else.
    """
    points = cut_points(problem)
    ways: dict[int, dict[int, _Path]] = {0: {0: _Path(0.0, Route.start(problem), ())}}
    for end in points[1:]:
        ways[end] = {}
        for first in points[: points.index(end)]:
            if end - first > MOST_FUSED and points.index(end) - points.index(first) > 1:
                continue
            for count, step in blocks(problem, first, end, counts):
                for before in ways[first].values():
                    route = before.route.copy()
                    route.take(step)
                    known = ways[end].get(count)
                    if known is None or route.ms < known.ms:
                        ways[end][count] = _Path(route.ms, route, (*before.steps, step))
    found = []
    for path in ways[points[-1]].values():
        route = path.route.copy()
        route.finish()
        found.append(replace(path, ms=route.ms))
    if not found:
        raise TargetError(NO_ROOM)
    return min(found, key=lambda path: path.ms)


def blocks(
    problem: TileProblem, first: int, end: int, counts: Sequence[int]
) -> list[tuple[int, Step]]:
    """The ways to run a block: on the gateway (0), or in rows on the `count` fastest devices."""
    nodes = range(first, end)
    found = [(0, alone(problem, nodes))]
    order = problem.by_speed
    for count in counts:
        step = in_strips(problem, nodes, order[:count], kept=True, axis=ROWS)
        if step is not None:
            found.append((count, step))
    return [(c, s) for c, s in found if all(over <= 0 for over in excess(problem, [s]).values())]
