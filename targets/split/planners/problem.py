"""What a split planner is given and what it answers.

The cost model is the one that the literature shares (Kang et al., "Neurosurgeon", ASPLOS 2017; Hu
et al., "DADS", INFOCOM 2019): every node has a time on either side, every tensor is sent at most
once, and one request carries all tensors that cross, so that its delay is paid once.
Times are milliseconds, sizes bytes, rates bytes a millisecond, energies millijoules, powers watts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ....runtime.errors import TargetError

INPUT = -1  # the producer of the model's inputs
OBJECTIVES = ("latency", "energy", "throughput", "memory")


@dataclass(frozen=True)
class Wire:
    """A tensor that may cross: who makes it (`INPUT` or a node), its readers, its bytes as sent.

    Where it is coded, `encode_ms` is the device's time for it and `decode_ms` the server's.
    """

    producer: int
    readers: tuple[int, ...]
    bytes: int
    encode_ms: float = 0.0
    decode_ms: float = 0.0


@dataclass(frozen=True)
class Costs:
    """A graph as a planner sees it: nodes 0 .. n-1 in an executable order.

    `device_ms`, `server_ms`: time of each node, fusion with its neighbours included (differences of
    measured prefixes). `answer_bytes[v]`: bytes of the model's outputs that node v makes.
    `weight_bytes[v]`: its constants. `pinned`: nodes that must stay on the device (state).
    """

    device_ms: tuple[float, ...]
    server_ms: tuple[float, ...]
    wires: tuple[Wire, ...]
    answer_bytes: tuple[int, ...] = ()
    weight_bytes: tuple[int, ...] = ()
    pinned: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        nodes = len(self.device_ms)
        for name in ("answer_bytes", "weight_bytes"):
            if not getattr(self, name):
                object.__setattr__(self, name, (0,) * nodes)
        for name in ("server_ms", "answer_bytes", "weight_bytes"):
            if len(getattr(self, name)) != nodes:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for {nodes} nodes")

    @property
    def nodes(self) -> int:
        return len(self.device_ms)

    @property
    def everything(self) -> frozenset[int]:
        return frozenset(range(self.nodes))

    @cached_property
    def before(self) -> tuple[frozenset[int], ...]:
        """The direct predecessors of each node."""
        found: list[set[int]] = [set() for _ in range(self.nodes)]
        for wire in self.wires:
            for reader in wire.readers:
                if wire.producer != INPUT:
                    found[reader].add(wire.producer)
        return tuple(map(frozenset, found))

    @cached_property
    def after(self) -> tuple[frozenset[int], ...]:
        """The direct successors of each node."""
        found: list[set[int]] = [set() for _ in range(self.nodes)]
        for node, predecessors in enumerate(self.before):
            for p in predecessors:
                found[p].add(node)
        return tuple(map(frozenset, found))

    def closed(self, device: Iterable[int]) -> bool:
        """Whether a set may be the device's: nothing comes back from the server, state stays."""
        chosen = frozenset(device)
        return self.pinned <= chosen and all(self.before[v] <= chosen for v in chosen)

    def crossing(self, device: frozenset[int]) -> list[Wire]:
        """The tensors that the device sends, each once."""
        return [
            wire
            for wire in self.wires
            if (wire.producer == INPUT or wire.producer in device)
            and any(reader not in device for reader in wire.readers)
        ]

    @cached_property
    def single_cuts(self) -> tuple[int, ...]:
        """Prefix lengths at which one tensor crosses: the cut points of a chain.

        0 (all on the server) and the whole are among them. QDMP's sweep: no edge jumps over such a
        point, and the node before it is the only one read behind it.
        """
        found = []
        for length in range(self.nodes + 1):
            prefix = frozenset(range(length))
            sources = {wire.producer for wire in self.crossing(prefix)}
            alone = not sources or sources == {length - 1} or length == 0
            if alone and self.pinned <= prefix:
                found.append(length)
        return tuple(found)


@dataclass(frozen=True)
class Link:
    """`up`, `down`: bytes a millisecond; `delay_ms`: there and back, of one request."""

    up: float
    down: float
    delay_ms: float = 0.0

    def __post_init__(self) -> None:
        if not (self.up > 0 and self.down > 0 and self.delay_ms >= 0):
            raise TargetError("the link's rates must be above 0 and its delay at least 0")

    @staticmethod
    def of(mbit_s: float, delay_ms: float = 0.0, down_mbit_s: float | None = None) -> Link:
        """From megabits a second, which is how links are sold."""
        return Link(mbit_s * 125.0, (down_mbit_s or mbit_s) * 125.0, delay_ms)


@dataclass(frozen=True)
class Power:
    """Watts that the device draws while it computes, sends, and waits (its board's figures)."""

    compute: float = 1.0
    send: float = 1.0
    wait: float = 0.1


@dataclass(frozen=True)
class Limits:
    """Hard limits; None is no limit."""

    latency_ms: float | None = None
    energy_mj: float | None = None
    device_bytes: int | None = None
    server_bytes: int | None = None
    sent_bytes: int | None = None


@dataclass(frozen=True)
class Problem:
    """One question to a planner. `extras` holds what single families need beyond the rest."""

    costs: Costs
    link: Link
    objective: str = "latency"
    limits: Limits = Limits()
    power: Power = Power()
    server_load: float = 1.0  # factor on the server's times
    device_bytes: Callable[[frozenset[int]], int] | None = None  # memory of a head; None: weights
    extras: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise TargetError(
                f"the objective must be one of {', '.join(OBJECTIVES)}, not {self.objective!r}"
            )

    def coding_ms(self, length: int) -> float:
        """The time on both sides of coding what crosses behind a prefix."""
        crossing = self.costs.crossing(frozenset(range(length)))
        return sum(wire.encode_ms + self.server_load * wire.decode_ms for wire in crossing)

    def extra(self, name: str, algorithm: str, what: str) -> Any:
        """A family's own input, or a sentence that says what is missing."""
        if name not in self.extras:
            raise TargetError(f"{algorithm} needs {what}, and none were given")
        return self.extras[name]


@dataclass(frozen=True)
class Stages:
    """What a one-way cut costs. `period_ms` is the slowest of device, link and server."""

    device_ms: float
    link_ms: float
    server_ms: float
    energy_mj: float
    sent_bytes: int
    device_bytes: int
    server_bytes: int

    @property
    def latency_ms(self) -> float:
        return self.device_ms + self.link_ms + self.server_ms

    @property
    def period_ms(self) -> float:
        return max(self.device_ms, self.link_ms, self.server_ms)

    def value(self, objective: str) -> float:
        return {
            "latency": self.latency_ms,
            "energy": self.energy_mj,
            "throughput": self.period_ms,
            "memory": float(self.device_bytes),
        }[objective]

    def violations(self, limits: Limits) -> dict[str, float]:
        """How far each limit is passed, as a share of it."""
        measured = {
            "latency_ms": self.latency_ms,
            "energy_mj": self.energy_mj,
            "device_bytes": self.device_bytes,
            "server_bytes": self.server_bytes,
            "sent_bytes": self.sent_bytes,
        }
        passed = {}
        for name, value in measured.items():
            limit = getattr(limits, name)
            if limit is not None and value > limit * (1 + 1e-12):
                passed[name] = (value - limit) / max(limit, 1e-12)
        return passed


def evaluate(problem: Problem, device: frozenset[int]) -> Stages:
    """The cost of running `device` here and the rest on the server (algorithms: T(S), E(S))."""
    costs, link, power = problem.costs, problem.link, problem.power
    away = costs.everything - device
    crossing = costs.crossing(device) if away else []
    device_ms = sum(costs.device_ms[v] for v in sorted(device))
    device_ms += sum(wire.encode_ms for wire in crossing)
    server_ms = sum(costs.server_ms[v] for v in sorted(away))
    server_ms = (server_ms + sum(wire.decode_ms for wire in crossing)) * problem.server_load
    sent = sum(wire.bytes for wire in crossing)
    up_ms = sent / link.up
    down_ms = sum(costs.answer_bytes[v] for v in away) / link.down
    delay_ms = link.delay_ms if away else 0.0
    memory = problem.device_bytes or _weights(costs)
    return Stages(
        device_ms=device_ms,
        link_ms=up_ms + down_ms + delay_ms,
        server_ms=server_ms,
        energy_mj=power.compute * device_ms
        + power.send * up_ms
        + power.wait * (delay_ms + server_ms + down_ms),
        sent_bytes=sent,
        device_bytes=memory(device),
        server_bytes=_weights(costs)(away),
    )


def _weights(costs: Costs) -> Callable[[frozenset[int]], int]:
    return lambda nodes: sum(costs.weight_bytes[v] for v in nodes)


@dataclass(frozen=True)
class Plan:
    """A planner's answer.

    `device` are the nodes that run here. `stages` is what the plan was predicted to cost,
    `evidence` what the planner used and found beside it (bounds, exits, bits, upload order).
    `proved`: whether it is the optimum of the stated objective among one-way cuts.
    """

    algorithm: str
    device: frozenset[int]
    stages: Stages
    proved: bool = False
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cut(self) -> int | None:
        """The prefix length where the device runs a prefix, else None."""
        length = len(self.device)
        return length if self.device == frozenset(range(length)) else None


def plan_of(
    problem: Problem, algorithm: str, device: Iterable[int], proved: bool = False, **evidence: Any
) -> Plan:
    chosen = frozenset(device)
    return Plan(algorithm, chosen, evaluate(problem, chosen), proved, evidence)


def better(problem: Problem, plans: Iterable[Plan]) -> Plan:
    """The plan within the limits with the least objective; ties keep more nodes on the device.

    `TargetError` names the limit that the best plan still passes where no plan is within them.
    """
    found = list(plans)
    if not found:
        raise TargetError("the model can't be cut: no plan is legal")
    within = [plan for plan in found if not plan.stages.violations(problem.limits)]
    if not within:
        closest = min(found, key=lambda p: sum(p.stages.violations(problem.limits).values()))
        over = closest.stages.violations(problem.limits)
        told = ", ".join(
            f"{name} {getattr(closest.stages, name):,.6g} (limit "
            f"{getattr(problem.limits, name):,.6g})"
            for name in over
        )
        raise TargetError(f"no cut is within the limits; the closest has {told}")
    return min(within, key=lambda p: (p.stages.value(problem.objective), -len(p.device)))
