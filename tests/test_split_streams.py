"""The planners of streams of jobs and of pipelines of devices, against brute force."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

pytest.importorskip("networkx", reason="splitting needs networkx (midge[split])")

from split_problems import chain_problem, draws, equal

from midge.targets.split.planners import evaluate, plan, streams


def test_jps_is_the_best_multiset_of_few_jobs_and_within_its_bound_of_many() -> None:
    for draw in draws(20):
        problem = replace(chain_problem(draw, most=5), server_load=1.0)
        points = []
        for length in problem.costs.single_cuts:
            cost = evaluate(problem, frozenset(range(length)))
            points.append((cost.device_ms, cost.link_ms))
        jobs = draw.randint(1, 4)
        found = plan("jps", replace(problem, extras={"jobs": jobs})).evidence
        best = min(
            min(streams_makespan(order) for order in itertools.permutations(mix))
            for mix in itertools.combinations_with_replacement(points, jobs)
        )
        assert equal(found["makespan_ms"], best)
        many = plan("jps", replace(problem, extras={"jobs": 40})).evidence
        slack = max(f for f, _ in points) + max(g for _, g in points)
        assert many["bound_ms"] - 1e-6 <= many["makespan_ms"] <= many["bound_ms"] + slack + 1e-6


def streams_makespan(order: tuple[tuple[float, float], ...]) -> float:
    compute = link = 0.0
    for f, g in order:
        compute += f
        link = max(compute, link) + g
    return link


def test_johnsons_order_is_the_best_order() -> None:
    for draw in draws(21):
        jobs = [(draw.randint(0, 9), draw.randint(0, 9)) for _ in range(draw.randint(1, 5))]
        best = min(streams_makespan(order) for order in itertools.permutations(jobs))
        assert streams.makespan(jobs) == best


def pipelines(pieces: int, devices: int):  # type: ignore[no-untyped-def]
    """All ways to part `pieces` into runs with at least one device each."""
    if pieces == 0:
        yield []
        return
    for first in range(pieces):
        for m in range(1, devices + 1):
            for rest in pipelines(first, devices - m):
                yield [*rest, (first, pieces, m)]


def test_picos_period_is_that_of_exhaustive_search() -> None:
    for draw in draws(22):
        work = [draw.randint(1, 20) for _ in range(draw.randint(1, 5))]
        moved = [draw.randint(0, 6) for _ in work]

        def stage_ms(i: int, j: int, m: int, work=work, moved=moved) -> float:  # type: ignore[no-untyped-def]
            return sum(work[i:j]) / m + moved[i] + 0.5 * (m - 1)

        devices = draw.randint(1, 4)
        period, stages = streams.pipeline(len(work), devices, stage_ms)
        best = min(max(stage_ms(*s) for s in p) for p in pipelines(len(work), devices))
        assert equal(period, best)
        assert equal(max(stage_ms(*s) for s in stages), best)
        assert sum(m for _, _, m in stages) <= devices
        assert [s[0] for s in stages] == [0, *(s[1] for s in stages[:-1])]


def test_pico_uses_each_device_at_most_once() -> None:
    for draw in draws(23):
        speeds = [draw.uniform(0.5, 3) for _ in range(draw.randint(1, 5))]
        problem = chain_problem(draw, extras={"speeds": speeds})
        stages = plan("pico", problem).evidence["stages"]
        used = [d for stage in stages for d in stage.devices]
        assert len(used) == len(set(used))
        assert stages[0].first == 0
        assert stages[-1].end == problem.costs.nodes
        assert all(stage.devices for stage in stages)
