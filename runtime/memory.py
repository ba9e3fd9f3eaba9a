"""Lifetimes to arena offsets.

Buffers that live at the same time must not share bytes, except where a kernel may write over its
own dying input (`Overlap`). OR-Tools' CP-SAT packs them exactly where it is installed; a first-fit
over several orders does otherwise, and both state how far they are from the bound.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .program import Region

SOLVER_EFFORT = 8.0  # deterministic seconds of CP-SAT, so that a plan doesn't depend on the machine
FIRST_FIT_ORDERS = 200


@dataclass(frozen=True)
class Request:
    """`size` bytes to place while items first .. last run, at a multiple of `alignment`."""

    key: str
    size: int
    first: int
    last: int
    alignment: int = 1

    def meets(self, other: Request) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Overlap:
    """`over` may lie on `under` if it starts at least `distance` bytes after `under` starts.

    `over` is the input that dies, `under` the output that is written over it; `distance` comes from
    the region rule (`regions.safe_distance`) and may be negative.
    """

    over: str
    under: str
    distance: int


def shared_bytes(over: int, under: int, distance: int) -> int:
    """Most bytes that two buffers of these sizes can share at that distance."""
    return max(over + under - max(over + max(distance, 0), under), 0)


@dataclass(frozen=True)
class MemoryPlan:
    """Where each buffer lies in the arena, in bytes from its start.

    No plan of the same buffers is smaller than `lower_bound`; `live_set` is the most bytes that
    live at any one time if no buffer lies on another. If the arena is over memories that were
    granted, `regions` are their parts of it, and the placement costs `cost` (`program.Spread`).
    """

    offsets: Mapping[str, int]
    size: int
    lower_bound: int
    live_set: int
    method: str  # first-fit or cp-sat
    regions: tuple[Region, ...] = ()
    cost: int = 0
    least_cost: int = 0


def plan_memory(
    requests: Sequence[Request],
    overlaps: Sequence[Overlap] = (),
    alignment: int = 1,
    exact: bool = True,
) -> MemoryPlan:
    """Pack the buffers; with `exact`, use CP-SAT where first-fit doesn't reach the bound.

    Without, take little time rather than little memory.

    Each starts at a multiple of `alignment`, and of its own where that is a multiple of it.
    """
    problem = Problem(requests, overlaps, alignment)
    bound = problem.bound()
    offsets = problem.first_fit(bound, FIRST_FIT_ORDERS if exact else 0)
    method = "first-fit"
    if exact and problem.end(offsets) > bound:
        solved = _solve_exactly(problem, offsets, bound)
        if solved is not None:
            (offsets, bound), method = solved, "cp-sat"
    unit = problem.unit
    return MemoryPlan(
        offsets={r.key: offset * unit for r, offset in zip(requests, offsets, strict=True)},
        size=problem.end(offsets) * unit,
        lower_bound=bound * unit,
        live_set=problem.live_set(),
        method=method,
    )


class Problem:
    """Sizes in units of the alignment; pairs that meet, and the distance that lets them overlap."""

    def __init__(
        self, requests: Sequence[Request], overlaps: Sequence[Overlap], alignment: int
    ) -> None:
        self.requests, self.overlaps, self.unit = requests, overlaps, alignment
        self.sizes = [-(-r.size // alignment) for r in requests]
        self.steps = [max(r.alignment // alignment, 1) for r in requests]
        number = {r.key: i for i, r in enumerate(requests)}
        # (over, under) -> distance in units, rounded up: further apart is always safe
        self.distance = {
            (number[o.over], number[o.under]): -(-o.distance // alignment) for o in overlaps
        }
        self.meeting: list[list[int]] = [
            [j for j, b in enumerate(requests) if j != i and a.meets(b)]
            for i, a in enumerate(requests)
        ]

    def part(self, chosen: Sequence[int]) -> Problem:
        """The same for these buffers alone, in this order."""
        requests = [self.requests[i] for i in chosen]
        keys = {r.key for r in requests}
        overlaps = [o for o in self.overlaps if {o.over, o.under} <= keys]
        return Problem(requests, overlaps, self.unit)

    def end(self, offsets: Sequence[int]) -> int:
        return max((o + s for o, s in zip(offsets, self.sizes, strict=True)), default=0)

    def live_set(self) -> int:
        return max(
            (
                sum(r.size for r in self.requests if r.first <= time <= r.last)
                for time in {r.first for r in self.requests}
            ),
            default=0,
        )

    def bound(self) -> int:
        """Most units live at one time, each overlapping pair counted as the union it must take."""
        return max((self.live_units(time) for time in {r.first for r in self.requests}), default=0)

    def live_units(self, time: int) -> int:
        """Units live at a time, each overlapping pair counted as the union it must take."""
        live = {i for i, r in enumerate(self.requests) if r.first <= time <= r.last}
        total = sum(self.sizes[i] for i in live)
        saved: dict[int, int] = {}
        for (over, under), distance in self.distance.items():
            if over in live and under in live:
                shared = shared_bytes(self.sizes[over], self.sizes[under], distance)
                saved[under] = saved.get(under, 0) + shared
        return total - sum(min(self.sizes[under], shared) for under, shared in saved.items())

    def fits(self, i: int, at: int, placed: Mapping[int, int]) -> bool:
        return all(self._apart(i, at, j, placed[j]) for j in self.meeting[i] if j in placed)

    def _apart(self, i: int, at: int, j: int, other: int) -> bool:
        if at + self.sizes[i] <= other or other + self.sizes[j] <= at:
            return True
        if (i, j) in self.distance and at >= other + self.distance[i, j]:
            return True
        return (j, i) in self.distance and other >= at + self.distance[j, i]

    def ways_apart(self, i: int, j: int, at: Sequence[Any]) -> list[tuple[Any, Any]]:
        """Pairs (low, high) of expressions over offsets `at`: one low must not exceed its high."""
        ways = [(at[i] + self.sizes[i], at[j]), (at[j] + self.sizes[j], at[i])]
        for over, under in ((i, j), (j, i)):
            if (over, under) in self.distance:
                ways.append((at[under] + self.distance[over, under], at[over]))
        return ways

    def candidates(self, i: int, placed: Mapping[int, int]) -> Iterable[int]:
        """Offsets where buffer i can touch a placed one, or the arena's start."""
        yield 0
        step = self.steps[i]
        for j in self.meeting[i]:
            if j in placed:
                yield -(-(placed[j] + self.sizes[j]) // step) * step
                if (i, j) in self.distance:
                    yield -(-max(placed[j] + self.distance[i, j], 0) // step) * step
                if (j, i) in self.distance:
                    yield max(placed[j] - self.distance[j, i], 0) // step * step

    def place(self, order: Iterable[int]) -> list[int]:
        placed: dict[int, int] = {}
        for i in order:
            placed[i] = min(at for at in self.candidates(i, placed) if self.fits(i, at, placed))
        return [placed[i] for i in range(len(self.requests))]

    def first_fit(self, bound: int, orders: int) -> list[int]:
        """The best of first-fit by size, by time, and over shuffles near the order by size."""
        count = range(len(self.requests))
        by_size = sorted(count, key=lambda i: (-self.sizes[i], self.requests[i].first))
        by_time = sorted(count, key=lambda i: (self.requests[i].first, -self.sizes[i]))
        shuffler = random.Random(0)
        best = min((self.place(by_size), self.place(by_time)), key=self.end)
        for _ in range(orders):
            if self.end(best) <= bound:
                break
            noisy = sorted(by_size, key=lambda i: -self.sizes[i] * shuffler.uniform(0.3, 1.0))
            best = min((best, self.place(noisy)), key=self.end)
        return best


def _solve_exactly(
    problem: Problem, hint: Sequence[int], bound: int
) -> tuple[list[int], int] | None:
    """CP-SAT's offsets and proven bound; None where OR-Tools is missing or finds nothing."""
    try:
        from ortools.sat.python import cp_model
    except ImportError:
        return None
    limit = problem.end(hint)
    model = cp_model.CpModel()
    end = model.new_int_var(bound, limit, "end")
    unit = [
        model.new_int_var(0, (limit - size) // step, "")
        for size, step in zip(problem.sizes, problem.steps, strict=True)
    ]
    at = [step * number for step, number in zip(problem.steps, unit, strict=True)]
    for i, size in enumerate(problem.sizes):
        model.add(at[i] + size <= end)
        model.add_hint(unit[i], hint[i] // problem.steps[i])
        for j in (j for j in problem.meeting[i] if j > i):
            literals = []
            for low, high in problem.ways_apart(i, j, at):
                literals.append(model.new_bool_var(""))
                model.add(low <= high).only_enforce_if(literals[-1])
            model.add_bool_or(literals)
    model.minimize(end)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = SOLVER_EFFORT
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    return [solver.value(a) for a in at], max(bound, int(solver.best_objective_bound))
