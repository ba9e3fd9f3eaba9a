"""Planners for links that don't last: as much of a tensor as fits, smaller models, or a window.

- CLIO: Huang et al., "CLIO: Enabling Automatic Compilation of Deep Learning Pipelines across IoT
  and Cloud", MobiCom 2020: channels of the cut tensor, sent in slices of falling importance.
- Variants: one more dimension for Neurosurgeon, the model file (pruned or smaller networks).
- MDPO: partial offloading while a contact lasts; what doesn't fit into it is finished here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from ....runtime.errors import TargetError
from .chain import neurosurgeon
from .exact import closed_sets
from .problem import Costs, Plan, Problem, Stages, better, evaluate, plan_of


def slices(value: np.ndarray, group: int, order: Sequence[int] | None = None) -> list[np.ndarray]:
    """A tensor's channels (its last axis) in slices of `group`, in the trained `order`."""
    channels = value.shape[-1]
    ranked = list(range(channels)) if order is None else list(order)
    return [value[..., ranked[at : at + group]] for at in range(0, channels, group)]


def assemble(
    came: Sequence[np.ndarray],
    shape: Sequence[int],
    group: int,
    zero: int = 0,
    order: Sequence[int] | None = None,
) -> np.ndarray:
    """The tensor from the slices that came, the others at the zero point."""
    ranked = list(range(shape[-1])) if order is None else list(order)
    made = np.full(shape, zero, came[0].dtype if came else np.int8)
    for number, part in enumerate(came):
        made[..., ranked[number * group : (number + 1) * group]] = part
    return made


def clio(problem: Problem) -> Plan:
    """The cut, and how many slices of its tensor, with the best accuracy within the deadline.

    `limits.latency_ms` is the deadline, `extras["channels"]` the channels that cross at each cut
    point, `extras["group"]` channels a slice, and `extras["accuracy"]` tables
    {cut point: accuracy with 1, 2, ... slices}. `evidence["slices"]` is how many to wait for.
    """
    channels: Mapping[int, int] = problem.extra("channels", "clio", "channels of cuts (channels)")
    tables: Mapping[int, Sequence[float]] = problem.extra(
        "accuracy", "clio", "accuracies (accuracy)"
    )
    group = int(problem.extras.get("group", 1))
    deadline = problem.limits.latency_ms
    unlimited = replace(problem, limits=replace(problem.limits, latency_ms=None))
    found = []
    for point in problem.costs.single_cuts:
        stages = evaluate(problem, frozenset(range(point)))
        count = ceil(channels[point] / group) if point in channels else 1
        for number in range(1, count + 1):
            share = min(number * group, channels.get(point, 1)) / channels.get(point, 1)
            ms = _with_share(problem, stages, share)
            if deadline is None or ms <= deadline * (1 + 1e-12):
                accuracy = tables[point][number - 1] if point in tables else 1.0
                found.append((-accuracy, ms, -point, number))
    if not found:
        raise TargetError("no cut answers within the deadline, with however few slices")
    accuracy, ms, point, number = min(found)
    plan = plan_of(unlimited, "clio", range(-point))
    return replace(plan, evidence={"slices": number, "accuracy": -accuracy, "predicted_ms": ms})


def _with_share(problem: Problem, stages: Stages, share: float) -> float:
    return stages.latency_ms - (1 - share) * stages.sent_bytes / problem.link.up


@dataclass(frozen=True)
class Variant:
    """One of several model files for the same task."""

    name: str
    accuracy: float
    costs: Costs


def variants(problem: Problem) -> Plan:
    """The most accurate of `extras["variants"]` that some cut brings within the limits.

    Where none is within them the quickest is taken, and `evidence["missed"]` says so.
    """
    offered: Sequence[Variant] = problem.extra("variants", "variants", "model files (variants)")
    for variant in sorted(offered, key=lambda v: -v.accuracy):
        try:
            plan = neurosurgeon(replace(problem, costs=variant.costs))
        except TargetError:
            continue
        evidence = {"variant": variant.name, "accuracy": variant.accuracy, "missed": False}
        return replace(plan, algorithm="variants", evidence=evidence)
    free = replace(problem, limits=replace(problem.limits, latency_ms=None))
    plans = [(v, neurosurgeon(replace(free, costs=v.costs))) for v in offered]
    variant, plan = min(plans, key=lambda p: p[1].stages.latency_ms)
    evidence = {"variant": variant.name, "accuracy": variant.accuracy, "missed": True}
    return replace(plan, algorithm="variants", evidence=evidence)


def mdpo(problem: Problem) -> Plan:
    """The best cut whose upload, server time and download fit into `extras["window_ms"]`.

    The window begins when the device has made what it sends. Without one that fits the device
    finishes alone.
    """
    window = float(problem.extra("window_ms", "mdpo", "a contact window (window_ms)"))
    plans = []
    for device in closed_sets(problem.costs):
        stages = evaluate(problem, device)
        if device == problem.costs.everything or stages.link_ms + stages.server_ms <= window:
            plans.append(plan_of(problem, "mdpo", device, proved=True))
    return better(problem, plans)
