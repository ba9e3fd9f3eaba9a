"""MDPO: partial offloading while a contact lasts; what doesn't fit into it is finished here."""

from __future__ import annotations

from .exact import closed_sets
from .problem import Plan, Problem, better, evaluate, plan_of


def mdpo(problem: Problem) -> Plan:
    """The best cut whose upload, server time and download fit into `extras["window_ms"]`.

    The window begins when the device has made what it sends. Without one that fits the device
    finishes alone.
    """
    window = float(problem.extra("window_ms", "mdpo", "a contact window (--window-ms)"))
    plans = []
    for device in closed_sets(problem.costs):
        stages = evaluate(problem, device)
        if device == problem.costs.everything or stages.link_ms + stages.server_ms <= window:
            plans.append(plan_of(problem, "mdpo", device, proved=True))
    return better(problem, plans)
