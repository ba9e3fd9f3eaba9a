"""Every split planner against brute force on random graphs, or within the bound that it states."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

pytest.importorskip("networkx", reason="splitting needs networkx (midge[split])")

from split_problems import (
    GRAPHS,
    all_plans,
    chain_problem,
    draws,
    equal,
    least,
    random_costs,
    random_problem,
)

from midge.runtime.errors import TargetError
from midge.targets.split.planners import (
    ALGORITHMS,
    Costs,
    Limits,
    Link,
    Plan,
    Problem,
    Wire,
    as_good_as,
    evaluate,
    mincut,
    plan,
    search,
)
from midge.targets.split.planners.exact import closed_sets


def test_closed_sets_are_all_of_them() -> None:
    for draw in draws(1):
        problem = random_problem(draw)
        sets = closed_sets(problem.costs)
        assert len(sets) == len(set(sets))
        assert set(sets) == set(all_plans(problem))


@pytest.mark.parametrize("objective", ["latency", "energy"])
@pytest.mark.parametrize("name", ["auto", "dads-light", "qdmp"])
def test_minimum_cuts_equal_brute_force(name: str, objective: str) -> None:
    for draw in draws(2):
        problem = random_problem(draw, objective=objective)
        found = plan(name, problem)
        assert problem.costs.closed(found.device)
        assert found.stages == evaluate(problem, found.device)
        assert equal(found.stages.value(objective), least(problem, objective)), problem
        assert found.proved


@pytest.mark.parametrize("objective", ["throughput", "memory", "latency", "energy"])
def test_auto_with_limits_equals_brute_force(objective: str) -> None:
    refused = 0
    for draw in draws(3):
        limits = Limits(
            latency_ms=draw.choice([None, 40.0, 120.0]),
            energy_mj=draw.choice([None, 60.0]),
            device_bytes=draw.choice([None, 60]),
            sent_bytes=draw.choice([None, 20, 60]),
        )
        problem = random_problem(draw, objective=objective, limits=limits)
        allowed = [
            cost.value(objective)
            for cost in (evaluate(problem, s) for s in all_plans(problem))
            if not cost.violations(limits)
        ]
        if not allowed:
            refused += 1
            with pytest.raises(TargetError, match="no cut is within the limits"):
                plan("auto", problem)
            continue
        found = plan("auto", problem)
        assert equal(found.stages.value(objective), min(allowed))
        assert not found.stages.violations(limits)
    assert 0 < refused < GRAPHS


def test_ties_keep_the_layers_here() -> None:
    costs = Costs((1.0, 1.0), (1.0, 1.0), (Wire(-1, (0,), 0), Wire(0, (1,), 0)))
    for name in ("auto", "dads", "qdmp", "neurosurgeon", "cic"):
        assert plan(name, Problem(costs, Link(1.0, 1.0))).device == {0, 1}, name


def test_a_tensor_with_many_readers_pays_once() -> None:
    readers = tuple(range(1, 6))
    wires = (Wire(-1, (0,), 1000), Wire(0, readers, 10), *(Wire(r, (6,), 1000) for r in readers))
    costs = Costs((1.0,) + (9.0,) * 6, (0.5,) * 7, wires)
    found = plan("dads", Problem(costs, Link(1.0, 1.0)))
    assert found.device == {0}
    assert found.stages.sent_bytes == 10
    assert found.stages.latency_ms == 1.0 + 10.0 + 3.0


def test_dads_heavy_is_within_its_bound() -> None:
    for draw in draws(4):
        problem = random_problem(draw, costs=replace(random_costs(draw, 6), pinned=frozenset()))
        problem = replace(problem, objective="throughput")
        light = plan("dads-light", replace(problem, objective="latency")).stages.period_ms
        heavy = plan("dads-heavy", problem).stages.period_ms
        assert heavy <= light + 1e-9
        assert heavy <= 3 * least(problem, "throughput") + 1e-6


def test_dads_changes_its_mode_with_the_load() -> None:
    costs = Costs((10.0, 10.0), (1.0, 1.0), (Wire(-1, (0,), 15), Wire(0, (1,), 7)))
    problem = Problem(costs, Link(1.0, 1.0))
    assert plan("dads", problem).algorithm == "dads"
    slow = plan("dads", replace(problem, extras={"frames_s": 1.0}))
    fast = plan("dads", replace(problem, extras={"frames_s": 80.0}))
    assert slow.device != fast.device
    assert fast.stages.period_ms < slow.stages.period_ms
    assert fast.evidence["keeps_up"]


def test_cic_equals_dads_at_any_bandwidth() -> None:
    for draw in draws(5):
        problem = random_problem(draw)
        envelope = mincut.Envelope.of(problem)
        ratio = problem.link.down / problem.link.up
        for _ in range(2):
            up = 10 ** draw.uniform(-2, 3)
            asked = replace(problem, link=replace(problem.link, up=up, down=up * ratio))
            found = plan("cic", replace(asked, extras={"envelope": envelope}))
            assert equal(found.stages.latency_ms, plan("dads-light", asked).stages.latency_ms)


def test_cic_has_every_cut_that_some_coding_makes_the_fastest() -> None:
    for draw in draws(25):
        problem = random_problem(draw, costs=random_costs(draw, 6))
        ways = [
            (wire, *(replace(wire, bytes=draw.randint(1, 20), encode_ms=ms) for ms in (1.0, 7.0)))
            for wire in problem.costs.wires
        ]

        def coded(at: Problem, ways=ways) -> Problem:  # type: ignore[no-untyped-def]
            wires = tuple(min(o, key=lambda w: w.bytes / at.link.up + w.encode_ms) for o in ways)
            return replace(at, costs=replace(at.costs, wires=wires))

        cuts = mincut.Envelope.of(problem, coded=coded).cuts
        ratio = problem.link.down / problem.link.up
        up = 10 ** draw.uniform(-2, 3)
        present = coded(replace(problem, link=replace(problem.link, up=up, down=up * ratio)))
        found = min(evaluate(present, cut).latency_ms for cut in cuts)
        assert equal(found, plan("dads-light", present).stages.latency_ms)


def test_neurosurgeon_is_exhaustive_on_chains_and_cuts_graphs_where_one_tensor_crosses() -> None:
    for draw in draws(6):
        problem = chain_problem(draw, objective=draw.choice(["latency", "energy"]))
        found = plan("neurosurgeon", problem)
        assert equal(found.stages.value(problem.objective), least(problem, problem.objective))
        graph = random_problem(draw)
        cut = plan("neurosurgeon", graph)
        assert cut.cut in graph.costs.single_cuts
        sources = {wire.producer for wire in graph.costs.crossing(cut.device)}
        assert len(sources) <= 1 or cut.cut == 0


def test_neurosurgeon_at_the_ends_of_the_bandwidth() -> None:
    wires = (Wire(-1, (0,), 9), *(Wire(v, (v + 1,), 9) for v in range(7)))
    costs = Costs((30.0,) * 8, (1.0,) * 8, wires)
    assert plan("neurosurgeon", Problem(costs, Link(1e-6, 1e-6))).cut == 8
    assert plan("neurosurgeon", Problem(costs, Link(1e9, 1e9))).cut == 0


def jointdnn_by_brute_force(problem: Problem) -> float:
    segments, link = problem.costs.nodes, problem.link
    here, there = problem.extras["device_run"], problem.extras["server_run"]
    crossing = [
        sum(w.bytes for w in problem.costs.crossing(frozenset(range(k)))) for k in range(segments)
    ]
    best = float("inf")
    for places in itertools.product((0, 1), repeat=segments):
        value, at, k = 0.0, 0, 0
        while k < segments:
            if places[k] != at:
                at = places[k]
                value += link.delay_ms / 2 + crossing[k] / (link.up if at else link.down)
            end = k
            while end < segments and places[end] == at:
                end += 1
            value += (there if at else here)(k, end)
            k = end
        if at:
            value += link.delay_ms / 2 + sum(problem.costs.answer_bytes) / link.down
        best = min(best, value)
    return best


def test_jointdnn_equals_all_assignments_with_runs_that_do_not_add_up() -> None:
    for draw in draws(8):
        problem = chain_problem(draw)
        costs, fused = problem.costs, draw.choice([0.0, 0.05])

        def run(times: tuple[float, ...], gain: float = fused):  # type: ignore[no-untyped-def]
            return lambda i, j: sum(times[i:j]) * (1 - gain * (j - i - 1)) if j > i else 0.0

        extras = {"device_run": run(costs.device_ms), "server_run": run(costs.server_ms)}
        asked = replace(problem, extras=extras)
        found = plan("jointdnn", asked)
        assert equal(found.evidence["predicted_ms"], jointdnn_by_brute_force(asked))


def test_three_tiers_equal_enumeration() -> None:
    for draw in draws(9):
        problem = chain_problem(draw)
        nodes = problem.costs.nodes
        edge = tuple(draw.randint(1, 15) for _ in range(nodes))
        uplink = Link(draw.choice([0.5, 20.0]), 2.0, draw.choice([0, 5]))
        problem = replace(problem, extras={"edge_ms": edge, "cloud_link": uplink})

        def sent(k: int, costs: Costs = problem.costs) -> int:
            return sum(w.bytes for w in costs.crossing(frozenset(range(k))))

        answer = sum(problem.costs.answer_bytes)
        values = []
        for p in range(nodes + 1):
            for q in range(p, nodes + 1):
                value = sum(problem.costs.device_ms[:p]) + sum(edge[p:q])
                value += problem.server_load * sum(problem.costs.server_ms[q:])
                for at, link in ((p, problem.link), (q, uplink)):
                    if at < nodes:
                        value += link.delay_ms + sent(at) / link.up + answer / link.down
                values.append(value)
        assert equal(plan("adaf", problem).evidence["predicted_ms"], min(values))


def test_ionn_uploads_each_piece_once_and_never_gets_slower() -> None:
    for draw in draws(10):
        problem = chain_problem(draw)
        found = plan("ionn", problem)
        pieces = found.evidence["uploads"]
        nodes = [v for first, end in pieces for v in range(first, end)]
        assert len(nodes) == len(set(nodes))
        steps = found.evidence["query_ms"]
        assert all(b <= a + 1e-9 for a, b in itertools.pairwise(steps))
        assert equal(steps[-1], plan("jointdnn", problem).evidence["predicted_ms"])


def test_deepwear_without_repeats_is_dads_on_chains_and_never_better_than_dads() -> None:
    for draw in draws(16):
        problem = chain_problem(draw)
        best = plan("dads", problem).stages.latency_ms
        assert equal(plan("deepwear", problem).stages.latency_ms, best)
        kinds = [draw.choice("ab") for _ in range(problem.costs.nodes)]
        grouped = replace(problem, extras={"kinds": kinds})
        assert plan("deepwear", grouped).stages.latency_ms >= best - 1e-9


def test_deepwear_groups_a_region_that_repeats() -> None:
    wires = (Wire(-1, (0,), 5), *(Wire(v, (v + 1,), 10 if v % 2 == 0 else 5) for v in range(7)))
    costs = Costs((1.0,) * 8, (1.0,) * 8, wires)
    assert search.grouped_points(costs, None) == list(range(9))
    assert search.grouped_points(costs, list("abababab")) == [0, 4, 8]


def test_cas_with_all_expansions_is_exhaustive_and_starts_where_the_context_was_best() -> None:
    for draw in draws(17):
        problem = chain_problem(draw)
        contexts = [(b, float("inf")) for b in (0.1, 1.0, 10.0, 100.0)]
        index = search.NeighbourIndex(problem, contexts)
        everything = replace(problem, extras={"index": index, "expansions": 99})
        assert equal(plan("cas", everything).stages.latency_ms, least(problem, "latency"))
        assert plan("cas", everything).evidence["opened"] == problem.costs.nodes + 1
        known = replace(problem.link, up=10.0, down=problem.link.down * 10.0 / problem.link.up)
        at = replace(problem, link=known, extras={"index": index, "expansions": 1})
        assert equal(plan("cas", at).stages.latency_ms, least(at, "latency"))


def random_choices(draw: random.Random, nodes: int) -> list[list[search.Choice]]:
    return [
        [
            search.Choice(bits, draw.uniform(0.5, 1.5) * 4.0**-bits, bits * w, bits * 3)
            for bits in (2, 4, 6, 8)
        ]
        for w in (draw.randint(1, 9) for _ in range(nodes))
    ]


def test_auto_split_meets_its_limits_and_its_bits_are_on_the_hull() -> None:
    for draw in draws(18):
        problem = chain_problem(draw, most=5)
        choices = random_choices(draw, problem.costs.nodes)
        problem = replace(
            problem, limits=Limits(device_bytes=60), extras={"choices": choices, "error_limit": 0.2}
        )
        found = plan("auto-split", problem)
        assert found.evidence["error"] <= 0.2
        bits = found.evidence["bits"]
        layers = zip(choices, bits)
        assert sum(next(c for c in layer if c.bits == b).weight_bytes for layer, b in layers) <= 60
        cloud = evaluate(problem, frozenset()).latency_ms
        assert found.stages.latency_ms <= cloud + 1e-9


def test_the_lagrangian_reaches_the_whole_hull() -> None:
    for draw in draws(19):
        choices = random_choices(draw, draw.randint(1, 4))
        reached = {
            (sum(c.weight_bytes for c in a), sum(c.error for c in a))
            for a in search.allocations(choices)
        }
        every = [
            (sum(c.weight_bytes for c in a), sum(c.error for c in a))
            for a in itertools.product(*choices)
        ]
        for slope in (0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0):
            best = min(error + slope * size for size, error in every)
            assert equal(min(error + slope * size for size, error in reached), best)


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


def test_icann_sends_only_what_is_smaller_than_the_input() -> None:
    for draw in draws(24):
        problem = chain_problem(draw)
        found = plan("icann2018", problem)
        first = problem.costs.crossing(frozenset())[0].bytes
        assert found.cut in (0, problem.costs.nodes) or found.stages.sent_bytes < first


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_a_missing_input_or_an_impossible_limit_is_one_sentence(name: str) -> None:
    costs = Costs((5.0, 5.0), (1.0, 1.0), (Wire(-1, (0,), 9), Wire(0, (1,), 9)))
    problem = Problem(costs, Link(1.0, 1.0), limits=Limits(latency_ms=1e-3, device_bytes=-1))
    try:
        found: Plan = ALGORITHMS[name](problem)
    except TargetError as error:
        assert "\n" not in str(error)
    else:  # planners that relax limits, or whose objective is another
        assert name in ("jps", "pico", "ionn", "jointdnn", "adaf") or found.evidence.get("missed")


def test_unknown_names_and_objectives() -> None:
    costs = Costs((1.0,), (1.0,), (Wire(-1, (0,), 1),))
    with pytest.raises(TargetError, match="no algorithm 'magic'"):
        plan("magic", Problem(costs, Link(1.0, 1.0)))
    with pytest.raises(TargetError, match="objective must be one of"):
        Problem(costs, Link(1.0, 1.0), objective="beauty")
    with pytest.raises(TargetError, match="rates must be above 0"):
        Problem(costs, Link(0.0, 1.0))


def test_auto_tells_which_published_method_would_have_done_as_well() -> None:
    costs = Costs((5.0, 5.0), (1.0, 1.0), (Wire(-1, (0,), 900), Wire(0, (1,), 2)))
    problem = Problem(costs, Link(1.0, 1.0))
    found = plan("auto", problem)
    assert {"neurosurgeon", "dads", "qdmp", "cic"} <= set(as_good_as(problem, found))
