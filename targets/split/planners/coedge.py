"""CoEdge: Zeng et al., "CoEdge: Cooperative DNN Inference with Adaptive Workload Partitioning over
Heterogeneous Edge Devices", IEEE/ACM ToN 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from operator import mul

from ....runtime.errors import TargetError
from ..tiles.boxes import Box, bytes_of
from ..tiles.loads import fitting
from ..tiles.plan import GATEWAY, Step, TilePlan, TileProblem
from ..tiles.route import priced
from .strips import ROWS, alone, cut_points, tiled

DEADLINES = 24  # tried where none is stated
MOST_TRIED = 10  # devices whose every combination is tried


def coedge(problem: TileProblem) -> TilePlan:
    """One share of rows a device for all layers, halos from the neighbours, for the least energy
    within `extras["deadline_ms"]` (default: the least latency that can be met).

    P2 is a linear program with separable limits, so the cheapest device is filled first. A device
    with fewer rows than a halo would need rows of its second neighbour: the smallest such share is
    given up and the rest solved again. Where that ends in nothing, the devices that take part are
    tried, each with a halo's rows at least, so that no deadline is refused that can be met.
    """
    prefix = cooperative(problem)
    wanted = problem.extras.get("deadline_ms")
    if not prefix or wanted is None:
        parts = _least(problem, prefix) if prefix else None
    else:
        parts = workload(problem, prefix, float(wanted))
        if parts is None:
            raise TargetError(
                f"coedge can't meet {float(wanted):g} ms with these devices; raise the deadline"
            )
    deadline, split = parts if parts else (0.0, [1.0] + [0.0] * (len(problem.devices) - 1))
    steps = steps_of(problem, prefix, split)
    if steps is None:
        prefix, split = [], [1.0] + [0.0] * (len(problem.devices) - 1)
        steps = [alone(problem, range(len(problem.graph.nodes)))]
    energy = sum(unit * share for unit, share in zip(_energy(problem, prefix), split))
    plan = priced(
        problem, "coedge", steps, shares=split, layers=len(prefix), deadline_ms=deadline,
        energy_mj=energy,
    )  # fmt: skip
    return fitting(problem, plan)


def cooperative(problem: TileProblem) -> list[int]:
    """The layers that all devices could share: their maps have rows for a halo on each device."""
    geometry = problem.geometry
    nodes: list[int] = []
    points = set(cut_points(problem))
    ends = 0
    for number in range(len(problem.graph.nodes)):
        if not geometry.is_segment([number]):
            break
        if least_share(problem, [number]) * len(problem.devices) > 1:
            break
        nodes.append(number)
        if number + 1 in points:
            ends = len(nodes)
    return nodes[:ends]


def least_share(problem: TileProblem, nodes: Sequence[int]) -> float:
    """The least share of rows with which no layer's halo passes the neighbour."""
    geometry = problem.geometry
    most = 0.0
    for number in nodes:
        rows = geometry.whole[geometry.output(number)][ROWS][1]
        for position, tensor in enumerate(problem.graph.nodes[number].inputs):
            if tensor is None or not geometry.halos.is_image(tensor):
                continue
            size = geometry.halos.size(tensor, ROWS)
            need = geometry.halos.needs(number, position, ROWS, (0, rows))
            most = max(most, max(need[2:]) / size, 1 / rows)
    return most


def _work(problem: TileProblem, prefix: Sequence[int]) -> float:
    return sum(problem.node_ms[n] for n in prefix)


def _energy(problem: TileProblem, prefix: Sequence[int]) -> list[float]:
    """Millijoules that the whole prefix takes on each device."""
    work = _work(problem, prefix)
    return [device.compute_mj_per_ms * work / device.speed for device in problem.devices]


def _waits(problem: TileProblem, prefix: Sequence[int]) -> list[float]:
    """Milliseconds of halo exchange of each device: rows of padding of every layer, both ways."""
    geometry, tensors = problem.geometry, problem.graph.tensors
    halo = 0
    for number in prefix:
        for position, tensor in enumerate(problem.graph.nodes[number].inputs):
            if tensor is None or not geometry.halos.is_image(tensor):
                continue
            rows = geometry.whole[geometry.output(number)][ROWS][1]
            padding = geometry.halos.needs(number, position, ROWS, (0, rows))[2:]
            size = geometry.whole[tensor]
            halo += sum(padding) * bytes_of(tensors[tensor], size) // size[ROWS][1]
    return [
        0.0
        if number == GATEWAY
        else len(prefix) * device.link.delay_ms + halo / device.link.up + halo / device.link.down
        for number, device in enumerate(problem.devices)
    ]


def limits(problem: TileProblem, prefix: Sequence[int], deadline: float) -> list[float]:
    """The most of the rows that each device may have: its time, and its memory."""
    geometry, tensors = problem.geometry, problem.graph.tensors
    work = _work(problem, prefix)
    most_bytes = max(
        sum(tensors[t].bytes for t in (*geometry.activations(n), geometry.output(n)))
        for n in prefix
    )
    found = []
    for device, wait in zip(problem.devices, _waits(problem, prefix), strict=True):
        most = (deadline - wait) * device.speed / work if work else 1.0
        if device.memory_bytes is not None:
            most = min(most, device.memory_bytes / most_bytes)
        found.append(min(max(most, 0.0), 1.0))
    return found


def fill(energy: Sequence[float], most: Sequence[float], left: float = 1.0) -> list[float] | None:
    """Shares that add to `left` with the least energy: the cheapest device first."""
    found = [0.0] * len(most)
    for device in sorted(range(len(most)), key=lambda d: (energy[d], d)):
        found[device] = min(most[device], left)
        left -= found[device]
    return found if left <= 1e-12 else None


def workload(
    problem: TileProblem, prefix: Sequence[int], deadline: float
) -> tuple[float, list[float]] | None:
    """The deadline and the shares within it, none above 0 and below a halo; None if none do."""
    energy, most = _energy(problem, prefix), limits(problem, prefix, deadline)
    found = best_shares(energy, most, least_share(problem, prefix))
    return None if found is None else (deadline, found)


def best_shares(energy: Sequence[float], most: Sequence[float], least: float) -> list[float] | None:
    """Shares that add to 1 with the least energy, each 0 or between `least` and its limit.

    With more than `MOST_TRIED` devices whose limit is above `least`, None may come where there are.
    """
    left = list(most)
    while (found := fill(energy, left)) is not None:
        small = [d for d, share in enumerate(found) if 0 < share < least - 1e-12]
        if not small:
            return found
        left[min(small, key=lambda d: found[d])] = 0.0
    able = [d for d, limit in enumerate(most) if limit >= least - 1e-12]
    if len(able) > MOST_TRIED:
        return None
    tried = (part for n in range(1, len(able) + 1) for part in combinations(able, n))
    made = [shares for part in tried if (shares := _with(part, energy, most, least)) is not None]
    return min(made, key=lambda s: sum(map(mul, energy, s)), default=None)


def _with(
    part: Sequence[int], energy: Sequence[float], most: Sequence[float], least: float
) -> list[float] | None:
    """The least energy with these devices: `least` for each, the rest as `fill` gives it."""
    rest = 1.0 - least * len(part)
    if rest < -1e-12:
        return None
    beyond = [max(limit - least, 0.0) if d in part else 0.0 for d, limit in enumerate(most)]
    found = fill(energy, beyond, max(rest, 0.0))
    if found is None:
        return None
    return [share + least if d in part else 0.0 for d, share in enumerate(found)]


def _least(problem: TileProblem, prefix: Sequence[int]) -> tuple[float, list[float]] | None:
    """The deadline whose plan is predicted to be the quickest.

    What can be met isn't monotone in the deadline (a share below a halo is given up), so deadlines
    are tried one by one, from all devices busy all the time to the gateway alone.
    """
    slowest = _work(problem, prefix) / problem.devices[GATEWAY].speed + 1e-6
    all_busy = _work(problem, prefix) / sum(device.speed for device in problem.devices)
    best, seen = None, set()
    for tried in range(DEADLINES):
        deadline = all_busy * (slowest / all_busy) ** (tried / (DEADLINES - 1)) + max(
            _waits(problem, prefix)
        )
        found = workload(problem, prefix, deadline)
        if found is None or tuple(found[1]) in seen:
            continue
        seen.add(tuple(found[1]))
        steps = steps_of(problem, prefix, found[1])
        if steps:
            ms = priced(problem, "coedge", steps).predicted_ms
            best = min(best, (ms, found)) if best else (ms, found)
    return best[1] if best else workload(problem, prefix, slowest)


def steps_of(
    problem: TileProblem, prefix: Sequence[int], split: Sequence[float]
) -> list[Step] | None:
    """Every layer with the same shares of its rows, then the rest on the device with the most."""
    geometry = problem.geometry
    steps = []
    for number in prefix:
        (_, rows), columns = geometry.whole[geometry.output(number)]
        edges, total = [0], 0.0
        for share in split:
            total += share
            edges.append(round(rows * min(total, 1.0)))
        edges[-1] = rows
        boxes: list[tuple[int, Box]] = [
            (device, ((edges[device], edges[device + 1]), columns))
            for device in range(len(split))
            if edges[device] < edges[device + 1]
        ]
        step = tiled(problem, [number], boxes, kept=True)
        if step is None:
            return None
        steps.append(step)
    rest = range(len(prefix), len(problem.graph.nodes))
    if rest:
        largest = max(range(len(split)), key=lambda d: (split[d], -d))
        steps.append(alone(problem, rest, largest))
    return steps
