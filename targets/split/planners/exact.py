"""`auto`: the exact optimum of the stated objective within the stated limits.

Latency and energy are sums over nodes and tensors, so a minimum cut is the optimum where no limit
is set. The slowest stage, memory and limits are not: there all closed sets are enumerated, of which
models with few parallel branches have few (a chain of n nodes n + 1), up to `MOST`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ....runtime.errors import TargetError
from .mincut import qdmp
from .problem import Costs, Limits, Plan, Problem, better, plan_of

MOST = 50_000


def auto(problem: Problem) -> Plan:
    """The optimum among all one-way cuts, ties with more nodes on the device."""
    if problem.objective in ("latency", "energy"):
        unlimited = qdmp(replace(problem, limits=Limits()))
        if not unlimited.stages.violations(problem.limits):
            return replace(unlimited, algorithm="auto", evidence={"method": "minimum cut"})
    sets = closed_sets(problem.costs)
    plan = better(problem, [plan_of(problem, "auto", device, True) for device in sets])
    return replace(plan, evidence={"method": "all closed sets", "sets": len(sets)})


def closed_sets(costs: Costs) -> list[frozenset[int]]:
    """Every set that the device may run; `TargetError` if there are more than `MOST`."""
    found = []
    for device in _closed_sets(costs):
        found.append(device)
        if len(found) > MOST:
            raise TargetError(
                f"the graph has more than {MOST:,} cuts, so that this objective can't be solved "
                "exactly; use --objective latency without limits, or --algorithm dads"
            )
    return found


def _closed_sets(costs: Costs) -> Iterator[frozenset[int]]:
    """Closed sets by including nodes in order: each is reached once, by its largest node last."""
    stack: list[tuple[frozenset[int], int]] = [(frozenset(), 0)]
    while stack:
        device, start = stack.pop()
        if costs.pinned <= device:
            yield device
        for node in range(start, costs.nodes):
            if costs.before[node] <= device:
                stack.append((device | {node}, node + 1))
