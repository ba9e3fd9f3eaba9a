"""Planners that see a model as a chain: one cut, several switches, several tiers, or an upload.

- Neurosurgeon: Kang et al., ASPLOS 2017.
- JointDNN: Eshratifar, Abrishami, Pedram, IEEE TMC 2019.
- Auto-tuning (int8 device, float server): Li et al., ICANN 2018.
- IONN: Jeong et al., "Incremental Offloading of Neural Network Computations", SoCC 2018.
- ADAF: three tiers of device, edge and cloud.

A graph is a chain of segments between the points where one tensor crosses (`Costs.single_cuts`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate, pairwise

from ....runtime.errors import TargetError
from .problem import Costs, Plan, Problem, better, evaluate, plan_of


def neurosurgeon(problem: Problem) -> Plan:
    """The best single cut: latency or energy of every cut point, server load included."""
    costs = problem.costs
    points = costs.single_cuts
    proved = len(points) == costs.nodes + 1 and problem.objective in ("latency", "energy")
    return better(
        problem,
        [
            plan_of(problem, "neurosurgeon", range(p), proved, cut_points=len(points))
            for p in points
        ],
    )


def autotune(problem: Problem) -> Plan:
    """As Neurosurgeon where the tensor that crosses is smaller than the input: an int8 device and a
    float server, which dequantizes on arrival."""
    costs = problem.costs
    whole = costs.nodes
    input_bytes = _bytes_at(costs, 0)
    points = [p for p in costs.single_cuts if p in (0, whole) or _bytes_at(costs, p) < input_bytes]
    return better(problem, [plan_of(problem, "icann2018", range(p)) for p in points])


def _bytes_at(costs: Costs, length: int) -> int:
    return sum(wire.bytes for wire in costs.crossing(frozenset(range(length))))


Runs = Callable[[int, int], float]


def jointdnn(problem: Problem) -> Plan:
    """The shortest path over (cut point, place), where a model may go back and forth.

    `extras["device_run"](i, j)` and `extras["server_run"](i, j)` may give the time of running the
    segments i .. j-1 in one go (not additive); by default they are sums. `evidence["places"]` has
    the place of each segment. A run starts only after a switch, or two runs would be priced as one.
    Only latency; the device's answer is downloaded when the last segment ran on the server.
    """
    costs, link = problem.costs, problem.link
    if problem.objective != "latency":
        raise TargetError("jointdnn minimises latency only; use neurosurgeon or auto")
    points = costs.single_cuts
    segments = len(points) - 1
    runs = {
        "device": problem.extras.get("device_run") or _sums(points, costs.device_ms, 1.0),
        "server": problem.extras.get("server_run")
        or _sums(points, costs.server_ms, problem.server_load),
    }
    half = link.delay_ms / 2  # a request's delay is paid half on the way there and half back
    coding = [problem.coding_ms(p) for p in points]
    up = [half + _bytes_at(costs, p) / link.up + c for p, c in zip(points, coding, strict=True)]
    down = [half + _bytes_at(costs, p) / link.down + c for p, c in zip(points, coding, strict=True)]
    down[segments] = half + sum(costs.answer_bytes) / link.down
    value, places = _shortest(segments, runs, up, down)
    device = _kept(points, places)
    plan = plan_of(problem, "jointdnn", device, costs.closed(device))
    evidence = {"places": places, "predicted_ms": value, "cut_points": list(points)}
    return replace(plan, evidence=evidence)


def _sums(points: tuple[int, ...], times: tuple[float, ...], factor: float) -> Runs:
    until = [0.0, *accumulate(factor * t for t in times)]
    return lambda i, j: until[points[j]] - until[points[i]]


def _shortest(
    segments: int, runs: dict[str, Runs], up: list[float], down: list[float]
) -> tuple[float, list[str]]:
    """Dynamic programming in the order of the segments over (segments done, place of the last)."""
    other = {"device": "server", "server": "device"}
    best: dict[tuple[int, str], tuple[float, list[str]]] = {(0, "device"): (0.0, [])}
    for done in range(segments):
        for place in ("device", "server"):
            starts = []
            if done == 0 and place == "device":
                starts.append(best[0, "device"])
            came = best.get((done, other[place]))
            if came is not None:
                move = up[done] if place == "server" else down[done]
                starts.append((came[0] + move, came[1]))
            if not starts:
                continue
            start = min(starts, key=lambda s: s[0])
            for end in range(done + 1, segments + 1):
                value = start[0] + runs[place](done, end)
                if (end, place) not in best or value < best[end, place][0]:
                    best[end, place] = (value, start[1] + [place] * (end - done))
    here = best.get((segments, "device"), (float("inf"), []))
    there = best.get((segments, "server"), (float("inf"), []))
    there = (there[0] + down[segments], there[1])
    return min(here, there, key=lambda s: s[0])


def _kept(points: tuple[int, ...], places: list[str]) -> frozenset[int]:
    nodes: set[int] = set()
    for number, place in enumerate(places):
        if place == "device":
            nodes.update(range(points[number], points[number + 1]))
    return frozenset(nodes)


def three_tiers(problem: Problem) -> Plan:
    """ADAF: layers 1..p here, p+1..q on the edge, the rest in the cloud; exhaustive, O(n^2).

    `extras["edge_ms"]` are the edge's times of the nodes and `extras["cloud_link"]` its `Link` to
    the cloud, which is the problem's server; the problem's own link leads to the edge. A link is
    skipped where no tier lies behind it.
    """
    edge_ms = problem.extra("edge_ms", "adaf", "times of the edge tier (--edge-speed)")
    uplink = problem.extra("cloud_link", "adaf", "a link from the edge to the cloud (--cloud-mbit)")
    costs, points = problem.costs, problem.costs.single_cuts
    here, edge = [0.0, *accumulate(costs.device_ms)], [0.0, *accumulate(edge_ms)]
    cloud = [0.0, *accumulate(problem.server_load * t for t in costs.server_ms)]
    best: tuple[float, int, int] = (float("inf"), 0, 0)
    for p in points:
        for q in points:
            if q < p:
                continue
            value = here[p] + edge[q] - edge[p] + cloud[-1] - cloud[q]
            answer = sum(costs.answer_bytes)
            if p < costs.nodes:
                first = problem.link
                value += first.delay_ms + _bytes_at(costs, p) / first.up + answer / first.down
                value += problem.coding_ms(p)
            if q < costs.nodes:
                value += uplink.delay_ms + _bytes_at(costs, q) / uplink.up + answer / uplink.down
                value += problem.coding_ms(q)
            best = min(best, (value, -p, -q))
    value, p, q = best[0], -best[1], -best[2]
    plan = plan_of(problem, "adaf", range(p))
    evidence = {"edge_until": q, "predicted_ms": value}
    return replace(plan, evidence=evidence)


def ionn(problem: Problem) -> Plan:
    """The order in which layers are uploaded to a server that has none of the model yet.

    The price of a server layer is its time plus K times its upload; K falls from 1 by halves to 0,
    and what each pass chooses newly is uploaded next, pieces with more time saved for a byte first.
    `evidence["uploads"]` lists the pieces as (first, end) cut points; the plan is the last one's.
    """
    costs, points = problem.costs, problem.costs.single_cuts
    weights = [sum(costs.weight_bytes[a:b]) / problem.link.up for a, b in pairwise(points)]
    uploaded: set[int] = set()
    uploads: list[tuple[int, int]] = []
    steps: list[float] = [evaluate(problem, costs.everything).latency_ms]
    factor = 1.0
    while True:
        plan = _with_upload(problem, factor, weights, uploaded)
        chosen = [
            s
            for s, place in enumerate(plan.evidence["places"])
            if place == "server" and s not in uploaded
        ]
        for piece in _pieces(problem, chosen, weights):
            uploads.append((points[piece[0]], points[piece[-1] + 1]))
            uploaded.update(piece)
            steps.append(_only_uploaded(problem, uploaded))
        if factor == 0.0 and not chosen:
            break
        factor = factor / 2 if factor > 1 / 16 else 0.0
    evidence = {"uploads": uploads, "query_ms": steps, "places": plan.evidence["places"]}
    return replace(plan, algorithm="ionn", evidence=evidence)


def _with_upload(problem: Problem, factor: float, weights: list[float], uploaded: set[int]) -> Plan:
    """JointDNN where a server segment that isn't there yet pays `factor` of its upload."""
    plain = _sums(problem.costs.single_cuts, problem.costs.server_ms, problem.server_load)

    def server(i: int, j: int) -> float:
        return plain(i, j) + factor * sum(weights[s] for s in range(i, j) if s not in uploaded)

    return jointdnn(replace(problem, extras={**problem.extras, "server_run": server}))


def _only_uploaded(problem: Problem, uploaded: set[int]) -> float:
    """The best query with what the server has so far."""
    plain = _sums(problem.costs.single_cuts, problem.costs.server_ms, problem.server_load)

    def server(i: int, j: int) -> float:
        return plain(i, j) if all(s in uploaded for s in range(i, j)) else float("inf")

    plan = jointdnn(replace(problem, extras={**problem.extras, "server_run": server}))
    return float(plan.evidence["predicted_ms"])


def _pieces(problem: Problem, chosen: list[int], weights: list[float]) -> list[list[int]]:
    """Contiguous runs of segments, by time saved for each byte."""
    runs: list[list[int]] = []
    for segment in chosen:
        if runs and runs[-1][-1] == segment - 1:
            runs[-1].append(segment)
        else:
            runs.append([segment])
    points, costs = problem.costs.single_cuts, problem.costs
    here = _sums(points, costs.device_ms, 1.0)
    there = _sums(points, costs.server_ms, problem.server_load)

    def worth(run: list[int]) -> float:
        saved = here(run[0], run[-1] + 1) - there(run[0], run[-1] + 1)
        return saved / (sum(weights[s] for s in run) or 1e-12)

    return sorted(runs, key=worth, reverse=True)
