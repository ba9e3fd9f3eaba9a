"""Cuts of graphs by maximum flow: DADS, QDMP and CIC.

- DADS: Hu, Bao, Wang, Liu, "Dynamic Adaptive DNN Surgery for Inference Acceleration on the Edge",
  INFOCOM 2019.
- QDMP: Zhang, Li, Liu et al., "Towards Real-time Cooperative Deep Inference over the Cloud and Edge
  End Devices", IMWUT 2020.
- CIC: the lower envelope of T over the bandwidth, so that a new bandwidth costs a look-up.

Traps of the published networks, which are avoided here: a tensor must pay once however many nodes
read it (an auxiliary vertex for each tensor), and edges back from reader to producer with infinite
capacity keep the device's set closed under predecessors.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from .problem import INPUT, Costs, Plan, Problem, better, plan_of

SCALE = 1 << 30  # capacities are integers, so that flows are exact


@dataclass(frozen=True)
class Weights:
    """What a cut pays: a node here, a node there, a tensor across."""

    device: tuple[float, ...]
    server: tuple[float, ...]
    wire: tuple[float, ...]


def stage_weights(problem: Problem, compute: float, link: float, server: float) -> Weights:
    """The three terms of a cut's time, weighted: device, link (answers included), server."""
    costs, rates = problem.costs, problem.link
    return Weights(
        tuple(compute * t for t in costs.device_ms),
        tuple(
            server * problem.server_load * t + link * answer / rates.down
            for t, answer in zip(costs.server_ms, costs.answer_bytes, strict=True)
        ),
        tuple(
            link * wire.bytes / rates.up
            + compute * wire.encode_ms
            + server * problem.server_load * wire.decode_ms
            for wire in costs.wires
        ),
    )


def objective_weights(problem: Problem) -> Weights:
    """Latency as it is, energy by the device's power in each phase."""
    if problem.objective == "latency":
        return stage_weights(problem, 1.0, 1.0, 1.0)
    power, costs, rates = problem.power, problem.costs, problem.link
    return Weights(
        tuple(power.compute * t for t in costs.device_ms),
        tuple(
            power.wait * (problem.server_load * t + answer / rates.down)
            for t, answer in zip(costs.server_ms, costs.answer_bytes, strict=True)
        ),
        tuple(
            power.send * wire.bytes / rates.up
            + power.compute * wire.encode_ms
            + power.wait * problem.server_load * wire.decode_ms
            for wire in costs.wires
        ),
    )


def least_cut(costs: Costs, weights: Weights, inner: Sequence[int] | None = None) -> frozenset[int]:
    """The device's part of `inner` (all nodes) in the cheapest cut; ties keep more here.

    Nodes before `inner` are taken to be on the device and those behind it on the server, as for a
    block of QDMP.
    """
    nodes = list(range(costs.nodes)) if inner is None else list(inner)
    if not nodes:
        return frozenset()
    inside, first, last = set(nodes), nodes[0], nodes[-1]
    import networkx as nx  # of the extra midge[split]; other planners do without

    network = nx.DiGraph()
    for v in nodes:
        if v in costs.pinned:
            network.add_edge("device", ("node", v))
        else:
            _edge(network, "device", ("node", v), weights.server[v])
        _edge(network, ("node", v), "server", weights.device[v])
    for number, wire in enumerate(costs.wires):
        made_here = wire.producer == INPUT or wire.producer < first
        if not made_here and wire.producer not in inside:
            continue
        source = "device" if made_here else ("node", wire.producer)
        _edge(network, source, ("tensor", number), weights.wire[number])
        for reader in wire.readers:
            if reader in inside:
                network.add_edge(("tensor", number), ("node", reader))
                if not made_here:
                    network.add_edge(("node", reader), source)
            elif reader > last:
                network.add_edge(("tensor", number), "server")
    _, (here, _) = nx.minimum_cut(network, "device", "server")
    return frozenset(v for v in nodes if ("node", v) in here)


def _edge(network: Any, a: object, b: object, weight: float) -> None:
    """An edge of finite capacity (one without is infinite)."""
    network.add_edge(a, b, capacity=round(weight * SCALE))


def dads_light(problem: Problem) -> Plan:
    """DADS for a light load (DSL): the least sum of device, link and server time; exact."""
    cut = least_cut(problem.costs, objective_weights(problem))
    plans = [plan_of(problem, "dads", part, True) for part in (cut, problem.costs.everything)]
    return better(problem, plans)


GRID = 4  # 8 takes three times the flows: 5.6 % above the optimum in the mean instead of 7.4 %


def dads_heavy(problem: Problem) -> Plan:
    """DADS for a heavy load (DSH): the least slowest stage, which is NP-hard.

    The weighted sums of a grid on the simplex are solved exactly. The unweighted one is among them,
    so the result is at most 3 times the optimum, since max <= sum <= 3 max.
    """
    costs, cuts = problem.costs, {problem.costs.everything}
    for a in range(GRID + 1):
        for b in range(GRID + 1 - a):
            weights = stage_weights(problem, a / GRID, b / GRID, (GRID - a - b) / GRID)
            cuts.add(least_cut(costs, weights))
    cuts.add(least_cut(costs, stage_weights(problem, 1.0, 1.0, 1.0)))
    asked = replace(problem, objective="throughput")
    return better(asked, [plan_of(problem, "dads-heavy", cut, bound=3.0) for cut in cuts])


def dads(problem: Problem) -> Plan:
    """Light load if the slowest stage keeps up with `extras["frames_s"]`, else heavy load."""
    if problem.objective == "throughput":
        return dads_heavy(problem)
    light = dads_light(problem)
    frames = problem.extras.get("frames_s")
    if frames is None or light.stages.period_ms < 1e3 / frames:
        return light
    heavy = dads_heavy(problem)
    keeps_up = heavy.stages.period_ms < 1e3 / frames
    return replace(heavy, algorithm="dads", evidence={**heavy.evidence, "keeps_up": keeps_up})


@dataclass(frozen=True)
class _Block:
    """Nodes between two cut vertices; `base` is what the rest of the graph pays."""

    inner: tuple[int, ...]
    base: float
    bound: float


def qdmp(problem: Problem) -> Plan:
    """The same optimum as DADS, block by block between cut vertices, by rising bounds."""
    costs, weights = problem.costs, objective_weights(problem)
    best = plan_of(problem, "qdmp", costs.everything, True)
    best_value = sum(weights.device) - _constant(problem)
    solved = 0
    blocks = _blocks(costs, weights)
    for block in sorted(blocks, key=lambda b: b.bound):
        if block.bound >= best_value:
            break
        prefix = frozenset(range(block.inner[0])) if block.inner else frozenset()
        cut = prefix | least_cut(costs, weights, block.inner)
        solved += 1
        value = _weight(costs, weights, cut)
        if cut != costs.everything and costs.closed(cut) and value < best_value:
            best_value, best = value, plan_of(problem, "qdmp", cut, True)
    evidence = {"blocks": len(blocks), "solved": solved}
    return better(problem, [replace(best, evidence=evidence)])


def _constant(problem: Problem) -> float:
    """What every plan but the whole on the device pays besides."""
    return problem.link.delay_ms * (1.0 if problem.objective == "latency" else problem.power.wait)


def _weight(costs: Costs, weights: Weights, device: frozenset[int]) -> float:
    crossing = set(costs.crossing(device))
    return (
        sum(w for v, w in enumerate(weights.device) if v in device)
        + sum(w for v, w in enumerate(weights.server) if v not in device)
        + sum(w for wire, w in zip(costs.wires, weights.wire, strict=True) if wire in crossing)
    )


def _blocks(costs: Costs, weights: Weights) -> list[_Block]:
    """Runs of nodes of which the first one is read by none before: each has one way in.

    A block is a cut vertex with all nodes up to the next one, so that every closed set is a prefix
    of whole blocks and a closed part of one.
    """
    borders = [0, *(p for p in _cut_vertices(costs) if p > 0), costs.nodes]
    borders = sorted(set(borders))
    blocks = []
    for first, end in itertools.pairwise(borders):
        inner = tuple(range(first, end))
        base = sum(weights.device[:first]) + sum(weights.server[end:])
        bound = base + sum(min(weights.device[v], weights.server[v]) for v in inner)
        blocks.append(_Block(inner, base, bound))
    return blocks


def _cut_vertices(costs: Costs) -> list[int]:
    """Nodes over which no edge jumps (QDMP's sweep): all before them are their ancestors, and
    everything behind is reached through them."""
    reach, found = 0, []
    last_input = max(
        (reader for wire in costs.wires if wire.producer == INPUT for reader in wire.readers),
        default=0,
    )
    for node in range(costs.nodes):
        if node >= reach and node >= last_input and _all_lead_to(costs, node):
            found.append(node)
        reach = max([reach, *costs.after[node]])
    return found


def _all_lead_to(costs: Costs, node: int) -> bool:
    return all(costs.after[v] for v in range(node))


def cic(problem: Problem) -> Plan:
    """The plan at this bandwidth from the stored lower envelope (`Envelope`)."""
    envelope = problem.extras.get("envelope") or Envelope.of(problem)
    plan = better(problem, [plan_of(problem, "cic", cut, True) for cut in envelope.cuts])
    return replace(plan, evidence={"lines": len(envelope.cuts)})


@dataclass(frozen=True)
class Envelope:
    """All cuts that are the fastest at some bandwidth, for fixed times on both sides.

    T is linear in x = 1 / bandwidth (both directions change together), so the cuts are the lines of
    a lower envelope, found by solving where two known lines cross until no new line appears. Valid
    until a time or the server's load changes. A coding of what crosses is another line of a cut:
    `coded` gives the problem with the best codings for its link.
    """

    cuts: tuple[frozenset[int], ...]

    @staticmethod
    def of(
        problem: Problem,
        fastest: float = 1e9,
        coded: Callable[[Problem], Problem] = lambda problem: problem,
    ) -> Envelope:
        """`fastest`: bytes a millisecond from which the link counts as free."""
        low, high = Fraction(1) / Fraction(fastest), Fraction(10) ** 9
        cuts = {problem.costs.everything}

        def solve(x: Fraction) -> Line:
            present = coded(_at(problem, x))
            cut = least_cut(present.costs, stage_weights(present, 1.0, 1.0, 1.0))
            cuts.add(cut)
            return _line(present, cut)

        def search(a: Line, b: Line) -> None:
            crossing = _crossing(a, b)
            if crossing is None:
                return
            middle = solve(crossing)
            if middle[0] + middle[1] * crossing < a[0] + a[1] * crossing:
                search(a, middle)
                search(middle, b)

        search(solve(low), solve(high))
        return Envelope(tuple(sorted(cuts, key=lambda cut: (len(cut), sorted(cut)))))


Line = tuple[Fraction, Fraction]  # time without the link, bytes: T = first + second * x


def _at(problem: Problem, x: Fraction) -> Problem:
    ratio = problem.link.down / problem.link.up
    link = replace(problem.link, up=float(1 / x), down=float(ratio / x))
    return replace(problem, link=link)


def _line(problem: Problem, cut: frozenset[int]) -> Line:
    """The time of a cut by x, the delay left out."""
    costs = problem.costs
    load = Fraction(problem.server_load)
    compute = sum((Fraction(costs.device_ms[v]) for v in cut), Fraction(0))
    away = costs.everything - cut
    compute += load * sum((Fraction(costs.server_ms[v]) for v in away), Fraction(0))
    crossing = costs.crossing(cut)
    compute += sum((Fraction(w.encode_ms) + load * Fraction(w.decode_ms) for w in crossing), 0)
    share = Fraction(problem.link.up) / Fraction(problem.link.down)
    sent = Fraction(sum(wire.bytes for wire in crossing))
    return compute, sent + share * sum(costs.answer_bytes[v] for v in away)


def _crossing(a: Line, b: Line) -> Fraction | None:
    (t_a, s_a), (t_b, s_b) = a, b
    if s_a == s_b or (t_b - t_a) / (s_a - s_b) <= 0:
        return None
    return (t_b - t_a) / (s_a - s_b)
