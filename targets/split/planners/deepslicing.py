"""DeepSlicing: Zhang et al., "DeepSlicing: Collaborative and Adaptive CNN Inference with Low
Latency", IEEE TPDS 2021: proportional slices between synchronisation points (PSS), with a speed
that adapts (AIR).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..tiles.loads import within_memory
from ..tiles.plan import Step, TilePlan, TileProblem
from ..tiles.route import Route, priced
from .aofl import MOST_FUSED
from .strips import ROWS, alone, cut_points, in_strips


def deepslicing(problem: TileProblem) -> TilePlan:
    """Blocks between cut vertices in rows by speed over all devices, gathered at each block's end;
    which cut vertices synchronise is the least predicted latency's choice."""
    return within_memory(
        problem, lambda devices: priced(problem, "deepslicing", _steps(problem, devices))
    )


def _steps(problem: TileProblem, devices: Sequence[int]) -> tuple[Step, ...]:
    """The gateway has all at every synchronisation, so that costs of blocks add up."""
    points = cut_points(problem)
    start = Route.start(problem)
    best: dict[int, tuple[float, Route, tuple[Step, ...]]] = {0: (0.0, start, ())}
    for at, end in enumerate(points[1:], 1):
        for before, first in enumerate(points[:at]):
            nodes = range(first, end)
            steps = [alone(problem, nodes)]
            if len(nodes) <= MOST_FUSED or at - before == 1:
                sliced = in_strips(problem, nodes, devices, axis=ROWS)
                steps += [sliced] if sliced is not None else []
            for step in steps:
                route = best[first][1].copy()
                route.take(step)
                if end not in best or route.ms < best[end][0]:
                    best[end] = (route.ms, route, (*best[first][2], step))
    return best[points[-1]][2]


@dataclass
class Speeds:
    """Rows a millisecond of each device, smoothed: what AIR slices by after each task."""

    values: dict[int, float] = field(default_factory=dict)
    weight: float = 0.3  # of the newest task

    def observe(self, device: int, rows: int, ms: float) -> None:
        seen = rows / max(ms, 1e-9)
        old = self.values.get(device, seen)
        self.values[device] = (1 - self.weight) * old + self.weight * seen

    def applied(self, problem: TileProblem) -> TileProblem:
        """The problem with speeds as they were seen, in the gateway's where that is known."""
        unit = self.values.get(0) or 1.0
        devices = tuple(
            replace(device, speed=self.values[number] / unit) if number in self.values else device
            for number, device in enumerate(problem.devices)
        )
        return replace(problem, devices=devices)
