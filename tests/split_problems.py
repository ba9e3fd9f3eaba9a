"""Random problems for the split planners, and brute force over their plans."""

from __future__ import annotations

import random
from dataclasses import replace

from midge.targets.split.planners import Costs, Link, Problem, Wire, evaluate

GRAPHS = 500


def random_costs(draw: random.Random, most: int = 9, density: float | None = None) -> Costs:
    """A DAG whose sinks are outputs; about one in six has a node with state."""
    nodes = draw.randint(1, most)
    share = draw.choice([0.0, 0.15, 0.3, 0.5]) if density is None else density
    before: list[set[int]] = [set()]
    for v in range(1, nodes):
        earlier = {u for u in range(v) if draw.random() < share}
        before.append(earlier or {draw.randrange(v) if share else v - 1})
    readers = [tuple(w for w in range(nodes) if v in before[w]) for v in range(nodes)]
    wires = [Wire(-1, tuple(v for v in range(nodes) if not before[v]), draw.randint(1, 40))]
    wires += [Wire(v, r, draw.randint(1, 40)) for v, r in enumerate(readers) if r]
    pinned = frozenset({draw.randrange(nodes)} if draw.random() < 0.16 else ())
    return Costs(
        tuple(draw.randint(1, 30) for _ in range(nodes)),
        tuple(draw.randint(1, 8) for _ in range(nodes)),
        tuple(wires),
        tuple(0 if r else draw.randint(1, 9) for r in readers),
        tuple(draw.randint(0, 50) for _ in range(nodes)),
        pinned,
    )


def random_problem(draw: random.Random, **changes: object) -> Problem:
    link = Link(draw.choice([0.3, 1.0, 4.0, 50.0]), draw.choice([0.5, 5.0]), draw.choice([0, 3]))
    costs = changes.pop("costs", None) or random_costs(draw)
    load = draw.choice([1.0, 2.5])
    return Problem(costs, link, server_load=load, **changes)  # type: ignore[arg-type]


def chain_problem(draw: random.Random, most: int = 8, **changes: object) -> Problem:
    costs = replace(random_costs(draw, most, density=0.0), pinned=frozenset())
    return random_problem(draw, costs=costs, **changes)


def all_plans(problem: Problem) -> list[frozenset[int]]:
    """By definition: every subset that is closed under predecessors and keeps what has state."""
    nodes = range(problem.costs.nodes)
    sets = (
        frozenset(v for v in nodes if mask >> v & 1) for mask in range(1 << problem.costs.nodes)
    )
    return [s for s in sets if problem.costs.closed(s)]


def least(problem: Problem, objective: str) -> float:
    return min(evaluate(problem, s).value(objective) for s in all_plans(problem))


def draws(seed: int, count: int = GRAPHS) -> list[random.Random]:
    return [random.Random(f"{seed}/{i}") for i in range(count)]


def equal(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-6 * max(1.0, abs(a), abs(b))
