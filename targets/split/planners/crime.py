"""CRIME: Xu et al., collaborative inference in a network whose nodes know their neighbours' best.

A node runs a request whole or hands it on; the answer comes back the way the request went. A node's
time is linear in the request's length, fitted to what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ....runtime.errors import TargetError
from .problem import Link, Plan, Problem, plan_of

HOPS = 4


@dataclass
class Fit:
    """T(n) = slope * n + offset in milliseconds, corrected by each measurement's residual."""

    slope: float
    offset: float = 0.0
    weight: float = 0.2

    def __call__(self, length: float) -> float:
        return self.slope * length + self.offset

    def observe(self, length: float, ms: float) -> None:
        """Move both coefficients by the share `weight` of the residual (normalised steps)."""
        residual = ms - self(length)
        step = self.weight * residual / (1.0 + length * length)
        self.slope += step * length
        self.offset += step


@dataclass(frozen=True)
class Net:
    """Nodes by name, with fits; links between neighbours; what a request and an answer weigh."""

    fits: Mapping[str, Fit]
    links: Mapping[tuple[str, str], Link] = field(default_factory=dict)
    bytes_each: float = 1.0  # of a unit of length
    answer_bytes: float = 0.0

    def transfer(self, here: str, there: str, length: float) -> float:
        link = self.links[here, there]
        sent, back = self.bytes_each * length / link.up, self.answer_bytes / link.down
        return link.delay_ms + sent + back

    def best(
        self, here: str, length: float, visited: tuple[str, ...] = (), hops: int = HOPS
    ) -> tuple[float, tuple[str, ...]]:
        """What `here` advertises to one that came over `visited`: time, and the way from here."""
        found: tuple[float, tuple[str, ...]] = (self.fits[here](length), (here,))
        been = (*visited, here)
        for (start, there), _ in self.links.items():
            if start == here and there not in been and hops > 0:
                ms, way = self.best(there, length, been, hops - 1)
                found = min(found, (self.transfer(here, there, length) + ms, (here, *way)))
        return found


def crime(problem: Problem) -> Plan:
    """The whole model here, or on the node that the neighbours' estimates lead to.

    `extras["net"]` is a `Net`, `extras["length"]` the request's length, `extras["here"]` this
    node's name (default: the net's first). `evidence["path"]` is the way of the request.
    """
    net: Net = problem.extra("net", "crime", "a net of nodes (net)")
    length = float(problem.extra("length", "crime", "the request's length (length)"))
    here = str(problem.extras.get("here", next(iter(net.fits), "")))
    if here not in net.fits:
        raise TargetError(f"crime's net has no node {here!r}")
    ms, path = net.best(here, length)
    device = problem.costs.everything if len(path) == 1 else frozenset(problem.costs.pinned)
    plan = plan_of(problem, "crime", device)
    return replace(plan, evidence={"predicted_ms": ms, "path": list(path)})
