"""MeDNN: Mao et al., "MeDNN: A Distributed Mobile System with Enhanced Partition and Deployment for
Large-Scale DNNs", ICCAD 2017: greedy two-dimensional partition (GTDP).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from ....runtime.errors import TargetError
from ..tiles.boxes import Box
from ..tiles.loads import within_memory
from ..tiles.plan import Step, TilePlan, TileProblem
from ..tiles.route import priced
from .strips import COLUMNS, ROWS, alone, cut_along, layers, shares, tiled

SIDES = ("shorter", "longer", "min-halo")
MOST_DIVISIONS = 6  # nodes of which all divisions into two groups are tried


def mednn(problem: TileProblem) -> TilePlan:
    """Each layer in a two-dimensional partition: groups of devices halved until each is alone.

    `extras["side"]`: which side of a region is split: the shorter (the default), the longer, or the
    one that costs the least halo.
    """
    side = problem.extras.get("side", "shorter")
    if side not in SIDES:
        raise TargetError(f"mednn splits the side {', '.join(SIDES)}, not {side!r}")
    return within_memory(
        problem, lambda devices: priced(problem, "mednn", _steps(problem, devices, side))
    )


def _steps(problem: TileProblem, devices: Sequence[int], side: str) -> list[Step]:
    steps = []
    for nodes in layers(problem):
        step = None
        if problem.geometry.is_segment(nodes):
            box = problem.geometry.whole[problem.geometry.output(nodes[-1])]
            speeds = {d: problem.devices[d].speed for d in devices}
            step = tiled(problem, nodes, partition(box, speeds, side))
        steps.append(step or alone(problem, nodes))
    return steps


def partition(box: Box, speeds: dict[int, float], side: str) -> list[tuple[int, Box]]:
    """Boxes that cover `box`, each device's in proportion to its speed but for rounding."""
    if len(speeds) == 1:
        return [(next(iter(speeds)), box)]
    best = None
    for group in _divisions(speeds):
        rest = {d: s for d, s in speeds.items() if d not in group}
        weights = [sum(speeds[d] for d in group), sum(rest.values())]
        for axis in _axes(box, side):
            length = box[axis][1] - box[axis][0]
            halves = cut_along(box, axis, shares(length, weights))
            error = abs(shares(length, weights)[0] - length * weights[0] / sum(weights))
            halo = box[1 - axis][1] - box[1 - axis][0]  # the length of the new edge
            rank = (halo, error / length)
            if best is None or rank < best[0]:
                best = (rank, group, rest, halves)
    assert best is not None
    _, group, rest, (first, second) = best
    found = []
    if first is not None:
        found += partition(first, {d: speeds[d] for d in group}, side)
    if second is not None:
        found += partition(second, rest, side)
    return found


def _axes(box: Box, side: str) -> list[int]:
    if side == "min-halo":
        return [ROWS, COLUMNS]
    height, width = (end - begin for begin, end in box)
    longer = ROWS if height >= width else COLUMNS
    return [longer if side == "longer" else 1 - longer]


def _divisions(speeds: dict[int, float]) -> Iterator[tuple[int, ...]]:
    """Groups that hold the first device; of many devices the one nearest to half the speed."""
    devices = sorted(speeds)
    if len(devices) <= MOST_DIVISIONS:
        for size in range(1, len(devices)):
            for others in combinations(devices[1:], size - 1):
                yield (devices[0], *others)
        return
    group: list[int] = []
    for device in sorted(devices, key=lambda d: -speeds[d]):
        if 2 * sum(speeds[d] for d in (*group, device)) <= sum(speeds.values()):
            group.append(device)
    yield tuple(group or devices[:1])
