"""Published planners behind one interface: `ALGORITHMS[name](problem) -> Plan`.

Each is tested against brute force on random graphs, as its specification says
(`tests/test_split_planners.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ....runtime.errors import TargetError
from . import chain, exact, exits, mdpo, mincut, search, streams
from .problem import Costs, Limits, Link, Plan, Power, Problem, Stages, Wire, evaluate

__all__ = [
    "ALGORITHMS", "Costs", "Limits", "Link", "Plan", "Power", "Problem", "Stages", "Wire",
    "as_good_as", "evaluate", "plan",
]  # fmt: skip

Planner = Callable[[Problem], Plan]

# The first line of each docstring is what `midge split plan --help` shows of it.
ALGORITHMS: Mapping[str, Planner] = {
    "auto": exact.auto,
    "neurosurgeon": chain.neurosurgeon,
    "jointdnn": chain.jointdnn,
    "icann2018": chain.autotune,
    "ionn": chain.ionn,
    "adaf": chain.three_tiers,
    "dads": mincut.dads,
    "dads-light": mincut.dads_light,
    "dads-heavy": mincut.dads_heavy,
    "qdmp": mincut.qdmp,
    "cic": mincut.cic,
    "edgent": exits.edgent,
    "edgent-dynamic": exits.edgent_dynamic,
    "eddi": exits.eddi,
    "adda": exits.adda,
    "spinn": exits.spinn,
    "auto-split": search.auto_split,
    "deepwear": search.deepwear,
    "cas": search.cas,
    "jps": streams.jps,
    "pico": streams.pico,
    "mdpo": mdpo.mdpo,
}

# One-way cuts of one model with nothing beside its costs: those that `auto` can be compared with.
COMPARABLE = ("neurosurgeon", "dads", "qdmp", "cic", "deepwear", "cas", "icann2018")


def plan(algorithm: str, problem: Problem) -> Plan:
    """The plan of a named algorithm; `TargetError` for an unknown name."""
    if algorithm not in ALGORITHMS:
        raise TargetError(
            f"there is no algorithm {algorithm!r}; there are {', '.join(sorted(ALGORITHMS))}"
        )
    return ALGORITHMS[algorithm](problem)


def as_good_as(problem: Problem, optimum: Plan) -> list[str]:
    """The published methods whose plan costs no more than `optimum`."""
    found = []
    for name in COMPARABLE:
        try:
            other = ALGORITHMS[name](problem)
        except TargetError:
            continue
        value, least = (p.stages.value(problem.objective) for p in (other, optimum))
        if value <= least * (1 + 1e-9):
            found.append(name)
    return found
