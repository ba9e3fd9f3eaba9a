"""Planners for models with early exits: where to leave and where to cut.

- Edgent: Li, Zhou, Chen, "Edge Intelligence: On-Demand Deep Learning Model Co-Inference with
  Device-Edge Synergy", SIGCOMM MECOMM 2018 (static and dynamic).
- SPINN: Laskaridis et al., "SPINN: Synergistic Progressive Inference of Neural Networks over Device
  and Cloud", MobiCom 2020.
- EDDI and ADDA: deadlines and expected time of multi-exit graphs.

Exits are `extras["exits"]`, a sequence of `Exit`, the shallowest first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ....runtime.errors import TargetError
from .chain import neurosurgeon
from .mincut import dads_light
from .problem import Costs, Link, Plan, Problem, Stages, evaluate

DEADLINE = "a deadline (--max-latency-ms)"
EXITS = "a model with early exits and their thresholds (--exits)"


@dataclass(frozen=True)
class Exit:
    """`costs` of the nodes that feed this exit, its accuracy, and the share of answers it gives.

    The first `trunk` of its nodes lead to the deeper exits too, the others are its own head. Where
    that is stated, a cut from there on has the head on the device, each answer pays for the heads
    that were asked before, and the server runs to the last exit: what `EarlyExitExecutor` does.
    """

    costs: Costs
    accuracy: float
    share: float = 0.0
    trunk: int | None = None


def _exits(problem: Problem, algorithm: str) -> Sequence[Exit]:
    exits: Sequence[Exit] = problem.extra("exits", algorithm, EXITS)
    if not exits:
        raise TargetError(f"{algorithm} needs {EXITS}, and none were given")
    return exits


def edgent(problem: Problem) -> Plan:
    """The deepest exit whose best cut meets the deadline; else exit 0 at its best cut, `missed`."""
    return _deepest(problem, "edgent", neurosurgeon)


def eddi(problem: Problem) -> Plan:
    """As Edgent on graphs: each exit's cut is a minimum cut."""
    return _deepest(problem, "eddi", dads_light)


def _deepest(problem: Problem, name: str, planner: Any) -> Plan:
    exits = _exits(problem, name)
    deadline = problem.limits.latency_ms
    if deadline is None:
        raise TargetError(f"{name} needs {DEADLINE}, and none was given")
    free = replace(problem, limits=replace(problem.limits, latency_ms=None))
    for number in reversed(range(len(exits))):
        plan = planner(replace(free, costs=exits[number].costs))
        if plan.stages.latency_ms <= deadline or number == 0:
            evidence = {
                "exit": number,
                "accuracy": exits[number].accuracy,
                "missed": plan.stages.latency_ms > deadline,
            }
            return replace(plan, algorithm=name, proved=False, evidence=evidence)
    raise AssertionError("exit 0 always gives a plan")


def reward(accuracy: float, latency_ms: float, deadline_ms: float) -> float:
    """Edgent's reward of a plan in one state of the network, latency in seconds; 0 if late."""
    return math.exp(accuracy) + 1e3 / latency_ms if latency_ms <= deadline_ms else 0.0


def configuration_map(problem: Problem, states: Sequence[float]) -> Mapping[float, Plan]:
    """Edgent dynamic, offline: the plan of most reward for each bandwidth (bytes a ms)."""
    exits = _exits(problem, "edgent-dynamic")
    deadline = problem.limits.latency_ms
    if deadline is None:
        raise TargetError(f"edgent-dynamic needs {DEADLINE}, and none was given")
    free = replace(problem, limits=replace(problem.limits, latency_ms=None))
    table = {}
    for state in states:
        link = Link(state, problem.link.down * state / problem.link.up, problem.link.delay_ms)
        plans = []
        for number, leaving in enumerate(exits):
            plan = neurosurgeon(replace(free, costs=leaving.costs, link=link))
            gain = reward(leaving.accuracy, plan.stages.latency_ms, deadline)
            evidence = {"exit": number, "accuracy": leaving.accuracy, "reward": gain}
            plans.append(replace(plan, algorithm="edgent-dynamic", evidence=evidence))
        table[state] = max(plans, key=lambda p: (p.evidence["reward"], -p.stages.latency_ms))
    return table


def edgent_dynamic(problem: Problem) -> Plan:
    """The stored plan of the state nearest to the present bandwidth.

    `extras["states"]` are the bandwidths of historic traces; `adapt.ChangePoint` says when to look.
    """
    states = problem.extra("states", "edgent-dynamic", "bandwidth states (states)")
    table = problem.extras.get("map") or configuration_map(problem, states)
    nearest = min(table, key=lambda state: abs(state - problem.link.up))
    return table[nearest]


def adda(problem: Problem) -> Plan:
    """The cut of the last exit's chain with the least expected time, over the exits' shares.

    Answers that leave before the cut never pay the network.
    """
    exits = _exits(problem, "adda")
    if abs(sum(e.share for e in exits) - 1) > 1e-6:
        raise TargetError("adda needs the share of answers that leave at each exit; they sum to 1")
    whole = exits[-1].costs
    best: tuple[float, int] | None = None
    for cut in whole.single_cuts:
        expected = sum(e.share * path_ms(problem, exits, i, cut) for i, e in enumerate(exits))
        if best is None or (expected, -cut) < (best[0], -best[1]):
            best = expected, cut
    assert best is not None
    device = frozenset(range(best[1]))
    stages = evaluate(replace(problem, costs=whole), device)
    return Plan("adda", device, stages, evidence={"expected_ms": best[0]})


def path_ms(problem: Problem, exits: Sequence[Exit], number: int, cut: int) -> float:
    """The time of one answer that leaves at an exit when the trunk is cut at `cut`."""
    return path(problem, exits, number, cut)[0].latency_ms


def path(problem: Problem, exits: Sequence[Exit], number: int, cut: int) -> tuple[Stages, int]:
    """What one answer costs that is meant to leave at exit `number`, and where it does leave."""
    leaving = exits[number]
    here = min(cut, leaving.costs.nodes)
    if leaving.trunk is not None:
        if cut >= leaving.trunk:
            here = leaving.costs.nodes
        else:
            number = len(exits) - 1
            leaving, here = exits[number], cut
    stages = evaluate(replace(problem, costs=leaving.costs), frozenset(range(here)))
    asked = [e for e in exits[:number] if e.trunk is not None and e.trunk <= cut]
    heads_ms = sum(sum(e.costs.device_ms[e.trunk :]) for e in asked)
    return replace(
        stages,
        device_ms=stages.device_ms + heads_ms,
        energy_mj=stages.energy_mj + problem.power.compute * heads_ms,
    ), number


@dataclass(frozen=True)
class Calibration:
    """For one confidence threshold: the share leaving at each exit, and the accuracy reached."""

    threshold: float
    shares: tuple[float, ...]
    accuracy: float


MEASURES = ("latency_ms", "server_ms", "accuracy", "period_ms", "energy_mj")


def spinn(problem: Problem) -> Plan:
    """Cut and threshold by constraints in the order of their priority.

    `extras["calibration"]`: `Calibration`s; `extras["constraints"]`: (measure, limit) pairs, the
    most important first, `accuracy` a least value and the others most values; a last pair with
    limit None ranks. A constraint that nobody meets becomes an objective: those that miss it least
    stay. Both sides' times are the profiled ones times their present load factors.
    """
    exits = _exits(problem, "spinn")
    table = problem.extra("calibration", "spinn", "calibrated thresholds (calibration)")
    rules = problem.extras.get("constraints") or (("latency_ms", None),)
    cuts = exits[-1].costs.single_cuts
    pairs = [(c, t, _expected(problem, exits, c, t)) for c in cuts for t in table]
    for measure, limit in rules:
        if measure not in MEASURES:
            raise TargetError(f"spinn's measures are {', '.join(MEASURES)}, not {measure!r}")
        sign = -1.0 if measure == "accuracy" else 1.0
        missed = [sign * values[measure] for _, _, values in pairs]
        if limit is not None:
            missed = [max(0.0, value - sign * limit) for value in missed]
        least = min(missed)
        pairs = [pair for pair, miss in zip(pairs, missed, strict=True) if miss <= least + 1e-12]
    cut, calibration, values = max(pairs, key=lambda pair: pair[0])
    device = frozenset(range(cut))
    stages = evaluate(replace(problem, costs=exits[-1].costs), device)
    return Plan("spinn", device, stages, evidence={"threshold": calibration.threshold, **values})


def _expected(
    problem: Problem, exits: Sequence[Exit], cut: int, calibration: Calibration
) -> dict[str, float]:
    values = dict.fromkeys(MEASURES, 0.0)
    stage = [0.0, 0.0, 0.0]
    for number, share in enumerate(calibration.shares):
        cost, _ = path(problem, exits, number, cut)
        values["latency_ms"] += share * cost.latency_ms
        values["server_ms"] += share * cost.server_ms
        values["energy_mj"] += share * cost.energy_mj
        for i, t in enumerate((cost.device_ms, cost.link_ms, cost.server_ms)):
            stage[i] += share * t
    values["period_ms"] = max(stage)
    values["accuracy"] = calibration.accuracy
    return values
