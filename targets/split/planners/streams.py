"""Planners for many jobs: JPS for a batch of identical jobs, PICO for a pipeline of devices.

- JPS: Duan, Wu, "Joint Optimization of DNN Partition and Scheduling for Mobile Cloud Computing",
  ICPP 2021. Two adjacent cuts are not optimal for few jobs; up to `EXHAUSTIVE` jobs all multisets
  of cuts are tried.
- PICO: Yang et al., "PICO: Pipeline Inference Framework for Versatile CNNs on Diverse Mobile
  Devices", IEEE TMC 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

from .problem import Plan, Problem, better, evaluate, plan_of

EXHAUSTIVE = 6
Job = tuple[float, float]  # (time on the device, time on the link)


def makespan(jobs: Sequence[Job]) -> float:
    """Of a two-stage flow shop in Johnson's order, which is the best one."""
    first = sorted((job for job in jobs if job[0] <= job[1]), key=lambda job: job[0])
    second = sorted((job for job in jobs if job[0] > job[1]), key=lambda job: -job[1])
    compute = link = 0.0
    for f, g in first + second:
        compute += f
        link = max(link, compute) + g
    return link


def fluid_bound(points: Sequence[Job]) -> float:
    """The least mean time a job of any mix: min over mixes of max(mean f, mean g)."""
    best = min(max(f, g) for f, g in points)
    for f1, g1 in points:
        for f2, g2 in points:
            turn = (f1 - g1) - (f2 - g2)
            if f1 <= g1 and f2 > g2 and turn:
                share = (f1 - g1) / turn  # of the second cut, where both means are equal
                best = min(best, f1 + share * (f2 - f1))
    return best


def jps(problem: Problem) -> Plan:
    """Cuts for `extras["jobs"]` identical jobs so that the last one is done first.

    `evidence["cuts"]` is the mix; the server is taken to be fast, as in the paper.
    """
    jobs = int(problem.extras.get("jobs", 1))
    candidates = []
    for length in problem.costs.single_cuts:
        cost = evaluate(problem, frozenset(range(length)))
        candidates.append((cost.device_ms, cost.link_ms, length))
    points = [(f, g) for f, g, _ in candidates]
    if jobs <= EXHAUSTIVE:
        mixes = list(combinations_with_replacement(range(len(points)), jobs))
    else:
        mixes = _two_cut_mixes(points, jobs)
    best = min(mixes, key=lambda mix: makespan([points[i] for i in mix]))
    cuts = sorted((candidates[i][2] for i in best), reverse=True)
    plan = plan_of(problem, "jps", range(cuts[0]))
    evidence = {
        "cuts": cuts,
        "makespan_ms": makespan([points[i] for i in best]),
        "bound_ms": jobs * fluid_bound(points),
    }
    return replace(plan, evidence=evidence)


def _two_cut_mixes(points: Sequence[Job], jobs: int) -> list[tuple[int, ...]]:
    """Mixes of two cuts in every ratio: the ratio that equalises the means is among them."""
    mixes = [(i,) * jobs for i in range(len(points))]
    for i, (f1, g1) in enumerate(points):
        for k, (f2, g2) in enumerate(points):
            if f1 <= g1 and f2 > g2:
                share = (f1 - g1) / ((f1 - g1) - (f2 - g2))
                for count in {int(share * jobs), min(int(share * jobs) + 1, jobs)}:
                    mixes.append((i,) * (jobs - count) + (k,) * count)
    return mixes


@dataclass(frozen=True)
class Stage:
    """Pieces first .. end-1 on `devices` (numbers into the given speeds)."""

    first: int
    end: int
    devices: tuple[int, ...]


StageTime = Callable[[int, int, int], float]


def pipeline(
    pieces: int, devices: int, stage_ms: StageTime
) -> tuple[float, list[tuple[int, int, int]]]:
    """The least period on equal devices, and its [(first, end, devices)], by dynamic programming.

    `stage_ms(i, j, m)` is the time of the pieces i .. j-1 split by rows over m average devices.
    """
    inf = float("inf")
    best = [[(inf, (0, 0))] * (devices + 1) for _ in range(pieces + 1)]
    best[0] = [(0.0, (0, 0))] * (devices + 1)
    for end in range(1, pieces + 1):
        for used in range(1, devices + 1):
            best[end][used] = min(
                (max(best[first][used - m][0], stage_ms(first, end, m)), (first, m))
                for first in range(end)
                for m in range(1, used + 1)
            )
    used = min(range(devices + 1), key=lambda q: best[pieces][q][0])
    period, stages, end = best[pieces][used][0], [], pieces
    while end:
        first, m = best[end][used][1]
        stages.append((first, end, m))
        end, used = first, used - m
    return period, stages[::-1]


def pico(problem: Problem) -> Plan:
    """A pipeline over `extras["speeds"]` devices (1 is the problem's device).

    Pieces lie between single cuts. Devices go, the fastest first, to the stage with the most work
    for the speed it has so far; `evidence["stages"]` lists pieces and devices of each stage.
    """
    speeds = problem.extra("speeds", "pico", "speeds of the devices (--workers)")
    costs, points = problem.costs, problem.costs.single_cuts
    mean = sum(speeds) / len(speeds)

    def work(first: int, end: int) -> float:
        return sum(costs.device_ms[points[first] : points[end]])

    def stage_ms(first: int, end: int, m: int) -> float:
        moved = sum(w.bytes for w in costs.crossing(frozenset(range(points[first]))))
        moving_ms = (
            moved / problem.link.up + problem.link.delay_ms + problem.coding_ms(points[first])
        )
        return work(first, end) / (mean * m) + moving_ms

    period, stages = pipeline(len(points) - 1, len(speeds), stage_ms)
    taken: list[list[int]] = [[] for _ in stages]
    for device in sorted(range(len(speeds)), key=lambda d: -speeds[d]):
        open_stages = [s for s, stage in enumerate(stages) if len(taken[s]) < stage[2]]
        if not open_stages:
            break

        def load(s: int) -> float:
            speed = sum(speeds[d] for d in taken[s])
            return work(*stages[s][:2]) / speed if speed else float("inf")

        taken[max(open_stages, key=lambda s: (load(s), work(*stages[s][:2])))].append(device)
    placed = [
        Stage(points[first], points[end], tuple(devices))
        for (first, end, _), devices in zip(stages, taken, strict=True)
    ]
    plan = better(problem, [plan_of(problem, "pico", costs.everything)])
    return replace(plan, evidence={"period_ms": period, "stages": placed})
