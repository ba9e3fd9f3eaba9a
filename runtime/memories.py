"""Buffers over several memories: which goes into which, and where it lies there.

The fastest memory comes first. Of all placements that fit, that one is sought which accesses fewest
bytes outside the first memory (those of the third count twice, and so on). CP-SAT decides memory
and offset of every buffer together where OR-Tools is installed. A greedy placement, most accesses
for a byte first, does otherwise and is where the solver starts. Both state the least cost that any
placement could have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import PlanError
from .memory import SOLVER_EFFORT, MemoryPlan, Overlap, Problem, Request, plan_memory, shared_bytes
from .options import Grant
from .program import Region

REGION_ALIGNMENT = 16  # of each memory's part of the arena
REPACKINGS = 20  # orders in which the greedy placement packs a full memory anew


class NoRoom(PlanError):
    """The buffers don't fit into the memories that were granted."""


def plan_memories(
    requests: Sequence[Request],
    overlaps: Sequence[Overlap],
    accesses: Mapping[str, int],
    grants: Sequence[Grant],
    alignment: int = 1,
    exact: bool = True,
) -> MemoryPlan:
    """The cheapest placement that was found, the memories' parts of the arena one after another.

    A memory in which nothing lies has no part. Raises `NoRoom` if nothing that fits was found.
    """
    problem = _Placing(requests, overlaps, accesses, grants, alignment)
    found, bound = problem.greedy(), problem.bound()
    method = "first-fit"
    if exact and (found is None or problem.cost(found) > bound):
        solved = _solve_exactly(problem, found)
        if solved is not None:
            (found, bound), method = (solved[0], max(bound, solved[1])), "cp-sat"
    if found is None:
        granted = " and ".join(f"{grant.name} {grant.bytes:,}" for grant in grants)
        raise NoRoom(f"no placement into {granted} bytes was found")
    return _laid_out(problem, found, bound, method, exact)


Found = tuple[list[int], list[int]]  # each buffer's memory, and its offset there in units


class _Placing:
    def __init__(
        self,
        requests: Sequence[Request],
        overlaps: Sequence[Overlap],
        accesses: Mapping[str, int],
        grants: Sequence[Grant],
        alignment: int,
    ) -> None:
        self.problem = Problem(requests, overlaps, alignment)
        self.requests, self.grants = requests, grants
        self.accesses = [accesses.get(r.key, 0) for r in requests]
        self.capacity = [grant.bytes // alignment for grant in grants]

    def cost(self, found: Found) -> int:
        return sum(a * memory for a, memory in zip(self.accesses, found[0], strict=True))

    def greedy(self) -> Found | None:
        """The cheaper of two orders; None if neither fits."""
        count, sizes = range(len(self.requests)), self.problem.sizes
        hottest = sorted(count, key=lambda i: -self.accesses[i] / max(sizes[i], 1))
        largest = sorted(count, key=lambda i: -sizes[i])
        found = [self._fill(order) for order in (hottest, largest)]
        return min((f for f in found if f is not None), key=self.cost, default=None)

    def _fill(self, order: Sequence[int]) -> Found | None:
        """Each buffer into the first memory that has room for it."""
        placed: list[dict[int, int]] = [{} for _ in self.capacity]
        for i in order:
            for memory, capacity in enumerate(self.capacity):
                more = self._with(i, placed[memory], capacity)
                if more is not None:
                    placed[memory] = more
                    break
            else:
                return None
        where = {i: (m, at) for m, of in enumerate(placed) for i, at in of.items()}
        chosen = [where[i] for i in range(len(self.requests))]
        return [m for m, _ in chosen], [at for _, at in chosen]

    def _with(self, i: int, placed: Mapping[int, int], capacity: int) -> dict[int, int] | None:
        """The memory with buffer i too, packed anew if it has no gap for it; None if it is full."""
        problem, size = self.problem, self.problem.sizes[i]
        fitting = (at for at in problem.candidates(i, placed) if problem.fits(i, at, placed))
        at = min(fitting)
        if at + size <= capacity:
            return {**placed, i: at}
        chosen = [*placed, i]
        part = problem.part(chosen)
        if part.bound() > capacity:
            return None
        offsets = part.first_fit(capacity, REPACKINGS)
        return dict(zip(chosen, offsets, strict=True)) if part.end(offsets) <= capacity else None

    def bound(self) -> int:
        """Least cost: at each time, what doesn't fit into the first memory is the coldest bytes."""
        best = 0
        for time in {r.first for r in self.requests}:
            live = [i for i, r in enumerate(self.requests) if r.first <= time <= r.last]
            excess = self.problem.live_units(time) - self.capacity[0]
            cost = 0.0
            for i in sorted(live, key=lambda i: self.accesses[i] / max(self.problem.sizes[i], 1)):
                moved = min(self.problem.sizes[i], max(excess, 0))
                cost += self.accesses[i] * moved / max(self.problem.sizes[i], 1)
                excess -= moved
            best = max(best, int(cost))
        return best


def _laid_out(placing: _Placing, found: Found, bound: int, method: str, exact: bool) -> MemoryPlan:
    """Each memory packed as tight as it goes, and put behind the one before."""
    problem, unit = placing.problem, placing.problem.unit
    offsets: dict[str, int] = {}
    regions, start = list[Region](), 0
    for memory, grant in enumerate(placing.grants):
        chosen = [i for i, m in enumerate(found[0]) if m == memory]
        if not chosen:
            continue
        part = problem.part(chosen)
        plan = plan_memory(part.requests, part.overlaps, unit, exact)
        own = [found[1][i] for i in chosen]
        size, placed = plan.size, plan.offsets
        if part.end(own) * unit < size:
            size = part.end(own) * unit
            placed = {r.key: at * unit for r, at in zip(part.requests, own, strict=True)}
        offsets |= {key: start + at for key, at in placed.items()}
        accesses = sum(placing.accesses[i] for i in chosen)
        regions.append(
            Region(grant.name, start, size, grant.bytes, plan.lower_bound, accesses, grant.origin)
        )
        start += -(-size // REGION_ALIGNMENT) * REGION_ALIGNMENT
    return MemoryPlan(
        offsets=offsets,
        size=regions[-1].offset + regions[-1].bytes if regions else 0,
        lower_bound=problem.bound() * unit,
        live_set=problem.live_set(),
        method=method,
        regions=tuple(regions),
        cost=placing.cost(found),
        least_cost=bound,
    )


def _solve_exactly(placing: _Placing, hint: Found | None) -> tuple[Found, int] | None:
    """CP-SAT's placement and proven least cost; None where OR-Tools is missing or finds none."""
    try:
        from ortools.sat.python import cp_model
    except ImportError:
        return None
    problem, memories = placing.problem, range(len(placing.capacity))
    model = cp_model.CpModel()
    inside = [[model.new_bool_var("") for _ in memories] for _ in problem.sizes]
    at = []
    for i, (size, step) in enumerate(zip(problem.sizes, problem.steps, strict=True)):
        room = [capacity - size for capacity in placing.capacity]
        if max(room) < 0:
            return None
        unit = model.new_int_var(0, max(room) // step, "")
        at.append(step * unit)
        model.add_exactly_one(inside[i])
        for memory in memories:
            if room[memory] < 0:
                model.add(inside[i][memory] == 0)
            else:
                model.add(at[i] <= room[memory]).only_enforce_if(inside[i][memory])
        if hint is not None:
            model.add_hint(unit, hint[1][i] // step)
            for memory in memories:
                model.add_hint(inside[i][memory], hint[0][i] == memory)
    for i in range(len(problem.sizes)):
        for j in (j for j in problem.meeting[i] if j > i):
            apart = []
            for low, high in problem.ways_apart(i, j, at):
                apart.append(model.new_bool_var(""))
                model.add(low <= high).only_enforce_if(apart[-1])
            for memory in memories:
                model.add_bool_or([*apart, ~inside[i][memory], ~inside[j][memory]])
    for time in {r.first for r in problem.requests}:
        _add_time(model, problem, inside, placing.capacity, time)
    model.minimize(
        sum(m * a * inside[i][m] for i, a in enumerate(placing.accesses) for m in memories if m)
    )
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = SOLVER_EFFORT
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    chosen = [next(m for m in memories if solver.value(inside[i][m])) for i in range(len(at))]
    return (chosen, [solver.value(a) for a in at]), round(solver.best_objective_bound)


def _add_time(
    model: Any, problem: Problem, inside: list[list[Any]], capacity: Sequence[int], time: int
) -> None:
    """What lives at one time fits into its memory: implied by the offsets, but it bounds the cost.

    Each pair that may overlap saves what it can share if both are there, an output at most itself.
    """
    live = {i for i, r in enumerate(problem.requests) if r.first <= time <= r.last}
    for memory, most in enumerate(capacity):
        total = sum(problem.sizes[i] * inside[i][memory] for i in live)
        for under in live:
            shared = {
                over: shared_bytes(problem.sizes[over], problem.sizes[under], distance)
                for (over, other), distance in problem.distance.items()
                if other == under and over in live
            }
            if not any(shared.values()):
                continue
            saved = model.new_int_var(0, min(sum(shared.values()), problem.sizes[under]), "")
            model.add(saved <= sum(count * inside[over][memory] for over, count in shared.items()))
            model.add(saved <= problem.sizes[under] * inside[under][memory])
            total -= saved
        model.add(total <= most)
