"""CRIME, CLIO, model variants and MDPO against brute force, on 500 random problems each."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from test_split_planners import all_plans, chain_problem, draws, equal, random_problem

pytest.importorskip("networkx", reason="splitting needs networkx (midge[split])")

from midge.runtime.errors import TargetError
from midge.targets.split.planners import Limits, Link, evaluate, plan
from midge.targets.split.planners.crime import Fit, Net
from midge.targets.split.planners.progressive import Variant, assemble, slices


def random_net(draw: random.Random, nodes: int = 3) -> Net:
    names = "abcdef"[:nodes]
    fits = {name: Fit(draw.uniform(0.1, 5), draw.uniform(0, 20)) for name in names}
    links = {
        pair: Link(draw.uniform(0.5, 50), draw.uniform(0.5, 50), draw.uniform(0, 5))
        for pair in itertools.permutations(names, 2)
        if draw.random() < 0.8
    }
    return Net(fits, links, draw.uniform(0.1, 5), draw.uniform(0, 5))


def test_crime_takes_the_best_of_all_simple_paths() -> None:
    for draw in draws(31):
        net, length = random_net(draw), draw.uniform(1, 40)
        problem = chain_problem(draw, extras={"net": net, "length": length, "here": "a"})
        paths = [("a", *more) for n in range(3) for more in itertools.permutations("bc", n)]
        times = [
            sum(net.transfer(x, y, length) for x, y in itertools.pairwise(path))
            + net.fits[path[-1]](length)
            for path in paths
            if all(hop in net.links for hop in itertools.pairwise(path))
        ]
        found = plan("crime", problem)
        assert equal(found.evidence["predicted_ms"], min(times))
        stays = found.evidence["path"] == ["a"]
        assert (found.device == problem.costs.everything) == (stays or not problem.costs.nodes)


def test_crimes_choice_turns_once_with_the_length_and_fits_learn() -> None:
    for draw in draws(32):
        here, there = Fit(draw.uniform(2, 5)), Fit(draw.uniform(0.1, 1), 3.0)
        net = Net({"a": here, "b": there}, {("a", "b"): Link(5.0, 5.0, 2.0)})
        moved = [len(net.best("a", n)[1]) > 1 for n in range(1, 60)]
        assert moved == sorted(moved)
    fit = Fit(1.0, 0.0, 1.0)
    for _ in range(4000):
        length = draw.uniform(1, 10)
        fit.observe(length, 3.0 * length + 7.0)
    assert abs(fit.slope - 3.0) < 0.2
    assert abs(fit.offset - 7.0) < 1.5


def test_all_slices_are_the_tensor_and_missing_ones_the_zero_point() -> None:
    for draw in draws(33):
        rng = np.random.default_rng(draw.randrange(1 << 30))
        shape = (1, draw.randint(1, 4), draw.randint(1, 4), draw.randint(1, 9))
        value = rng.integers(-128, 128, shape).astype(np.int8)
        group, order = draw.randint(1, 5), draw.sample(range(shape[3]), shape[3])
        parts = slices(value, group, order)
        np.testing.assert_array_equal(assemble(parts, shape, group, -3, order), value)
        came = draw.randint(0, len(parts))
        some = assemble(parts[:came], shape, group, -3, order)
        kept = order[: came * group]
        np.testing.assert_array_equal(some[..., kept], value[..., kept])
        assert (np.delete(some, kept, axis=3) == -3).all()


def test_clio_waits_for_what_is_best_within_the_deadline() -> None:
    refused = 0
    for draw in draws(34):
        problem = chain_problem(draw)
        points = problem.costs.single_cuts
        channels = {p: draw.randint(1, 6) for p in points if 0 < p < problem.costs.nodes}
        tables = {p: sorted(draw.random() for _ in range(-(-c // 2))) for p, c in channels.items()}
        deadline = draw.uniform(5, 200)
        extras = {"channels": channels, "accuracy": tables, "group": 2}
        asked = replace(problem, extras=extras, limits=Limits(latency_ms=deadline))
        options = []
        for p in points:
            cost = evaluate(problem, frozenset(range(p)))
            if p not in channels:
                options.append((cost.latency_ms, 1.0))
                continue
            for k, accuracy in enumerate(tables[p], 1):
                part = cost.sent_bytes * min(2 * k, channels[p]) / channels[p] / problem.link.up
                rest = cost.latency_ms - cost.sent_bytes / problem.link.up
                options.append((rest + part, accuracy))
        within = [accuracy for ms, accuracy in options if ms <= deadline]
        if not within:
            refused += 1
            with pytest.raises(TargetError, match="within the deadline"):
                plan("clio", asked)
            continue
        found = plan("clio", asked).evidence
        assert equal(found["accuracy"], max(within))
        assert found["predicted_ms"] <= deadline + 1e-9
    assert refused


def test_the_most_accurate_variant_that_some_cut_brings_in_time() -> None:
    missed = 0
    for draw in draws(35):
        problem = chain_problem(draw)
        offered = [
            Variant(str(i), draw.random(), chain_problem(draw).costs)
            for i in range(draw.randint(1, 4))
        ]
        deadline = draw.uniform(5, 120)
        asked = replace(problem, extras={"variants": offered}, limits=Limits(latency_ms=deadline))
        best = {
            v.name: min(
                evaluate(replace(problem, costs=v.costs), frozenset(range(p))).latency_ms
                for p in v.costs.single_cuts
            )
            for v in offered
        }
        meets = [v for v in offered if best[v.name] <= deadline]
        found = plan("variants", asked).evidence
        assert found["missed"] == (not meets)
        missed += found["missed"]
        if meets:
            assert found["accuracy"] == max(v.accuracy for v in meets)
        else:
            assert best[found["variant"]] == min(best.values())
    assert missed


def test_mdpo_is_the_best_plan_that_fits_into_the_contact() -> None:
    alone = 0
    for draw in draws(36):
        problem = random_problem(draw, extras={"window_ms": draw.uniform(1, 60)})
        everything = problem.costs.everything
        values = [
            cost.latency_ms
            for s in all_plans(problem)
            if (cost := evaluate(problem, s)) and (
                s == everything
                or cost.link_ms + cost.server_ms <= problem.extras["window_ms"]
            )
        ]  # fmt: skip
        found = plan("mdpo", problem)
        assert equal(found.stages.latency_ms, min(values))
        alone += found.device == everything
    assert alone
