"""Every split planner against brute force on random graphs, or within the bound that it states."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

pytest.importorskip("networkx", reason="splitting needs networkx (midge[split])")

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
    exits,
    mincut,
    plan,
    search,
    streams,
)
from midge.targets.split.planners.exact import closed_sets

GRAPHS = 500


def random_costs(draw: random.Random, most: int = 9, density: float | None = None) -> Costs:
    """A DAG whose sinks are outputs; about one in six has a node with state."""
    nodes = draw.randint(1, most)
    share = draw.choice([0.0, 0.15, 0.3, 0.5]) if density is None else density
    before: list[set[int]] = [set()]
    for v in range(1, nodes):
        earlier = {u for u in range(v) if draw.random() < share}
        before.append(earlier or {draw.randrange(v) if share else v - 1})
    readers = [tuple(w for w in range(nodes) if v in before[w]) for v in range(nodes)]
    wires = [Wire(-1, tuple(v for v in range(nodes) if not before[v]), draw.randint(1, 40))]
    wires += [Wire(v, r, draw.randint(1, 40)) for v, r in enumerate(readers) if r]
    pinned = frozenset({draw.randrange(nodes)} if draw.random() < 0.16 else ())
    return Costs(
        tuple(draw.randint(1, 30) for _ in range(nodes)),
        tuple(draw.randint(1, 8) for _ in range(nodes)),
        tuple(wires),
        tuple(0 if r else draw.randint(1, 9) for r in readers),
        tuple(draw.randint(0, 50) for _ in range(nodes)),
        pinned,
    )


def random_problem(draw: random.Random, **changes: object) -> Problem:
    link = Link(draw.choice([0.3, 1.0, 4.0, 50.0]), draw.choice([0.5, 5.0]), draw.choice([0, 3]))
    costs = changes.pop("costs", None) or random_costs(draw)
    load = draw.choice([1.0, 2.5])
    return Problem(costs, link, server_load=load, **changes)  # type: ignore[arg-type]


def chain_problem(draw: random.Random, most: int = 8, **changes: object) -> Problem:
    costs = replace(random_costs(draw, most, density=0.0), pinned=frozenset())
    return random_problem(draw, costs=costs, **changes)


def all_plans(problem: Problem) -> list[frozenset[int]]:
    """By definition: every subset that is closed under predecessors and keeps what has state."""
    nodes = range(problem.costs.nodes)
    sets = (
        frozenset(v for v in nodes if mask >> v & 1) for mask in range(1 << problem.costs.nodes)
    )
    return [s for s in sets if problem.costs.closed(s)]


def least(problem: Problem, objective: str) -> float:
    return min(evaluate(problem, s).value(objective) for s in all_plans(problem))


def draws(seed: int, count: int = GRAPHS) -> list[random.Random]:
    return [random.Random(f"{seed}/{i}") for i in range(count)]


def equal(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-6 * max(1.0, abs(a), abs(b))


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


def multi_exit(draw: random.Random) -> list[exits.Exit]:
    """A trunk with heads: exit i is a prefix of the trunk and one more layer."""
    trunk = replace(random_costs(draw, 7, density=0.0), pinned=frozenset())
    places = sorted(draw.sample(range(1, trunk.nodes + 1), min(3, trunk.nodes)))
    shares = [draw.random() + 0.1 for _ in places]
    return [
        exits.Exit(_exit_costs(trunk, length, draw), 0.5 + 0.1 * i, shares[i] / sum(shares))
        for i, length in enumerate(places)
    ]


def _exit_costs(trunk: Costs, length: int, draw: random.Random) -> Costs:
    wires = [replace(w, readers=tuple(r for r in w.readers if r < length)) for w in trunk.wires]
    wires = [w for w in wires if w.readers and w.producer < length]
    wires.append(Wire(length - 1, (length,), draw.randint(1, 9)))
    return Costs((*trunk.device_ms[:length], 2.0), (*trunk.server_ms[:length], 1.0), tuple(wires))


@pytest.mark.parametrize("name", ["edgent", "eddi"])
def test_the_exit_is_the_deepest_that_meets_the_deadline(name: str) -> None:
    for draw in draws(11):
        leaving = multi_exit(draw)
        deadline = draw.uniform(5, 120)
        problem = random_problem(
            draw, costs=leaving[-1].costs, limits=Limits(latency_ms=deadline),
            extras={"exits": leaving},
        )  # fmt: skip
        best = [least(replace(problem, costs=e.costs), "latency") for e in leaving]
        meets = [i for i, value in enumerate(best) if value <= deadline]
        found = plan(name, problem)
        assert found.evidence["exit"] == (meets[-1] if meets else 0)
        assert found.evidence["missed"] == (not meets)
        later = replace(problem, limits=Limits(latency_ms=deadline * 1.5))
        assert plan(name, later).evidence["exit"] >= found.evidence["exit"]
        faster = replace(problem, link=replace(problem.link, up=problem.link.up * 3))
        assert plan(name, faster).evidence["exit"] >= found.evidence["exit"]


def test_edgent_dynamic_looks_up_the_state_nearest_to_the_bandwidth() -> None:
    for draw in draws(12):
        leaving = multi_exit(draw)
        problem = random_problem(
            draw, costs=leaving[-1].costs, limits=Limits(latency_ms=60.0),
            extras={"exits": leaving, "states": (0.5, 5.0, 50.0)},
        )  # fmt: skip
        table = exits.configuration_map(problem, (0.5, 5.0, 50.0))
        near = replace(problem, link=replace(problem.link, up=7.0))
        assert plan("edgent-dynamic", near).evidence == table[5.0].evidence
        for state, chosen in table.items():
            rewards = []
            for e in leaving:
                link = replace(
                    problem.link, up=state, down=problem.link.down * state / problem.link.up
                )
                at = replace(problem, costs=e.costs, link=link)
                rewards.append(exits.reward(e.accuracy, least(at, "latency"), 60.0))
            assert equal(chosen.evidence["reward"], max(rewards))


def test_addas_expectation_is_the_mean_of_what_the_executor_would_do() -> None:
    for draw in draws(13):
        leaving = multi_exit(draw)
        problem = random_problem(draw, costs=leaving[-1].costs, extras={"exits": leaving})
        found = plan("adda", problem)
        shares = [e.share for e in leaving]
        times = [exits.path_ms(problem, leaving, i, len(found.device)) for i in range(len(leaving))]
        drawn = draw.choices(times, shares, k=400)
        expected = found.evidence["expected_ms"]
        spread = sum(p * (t - expected) ** 2 for p, t in zip(shares, times)) ** 0.5
        assert abs(sum(drawn) / 400 - expected) <= 4 * spread / 20 + 1e-9


def spinn_problem(draw: random.Random) -> Problem:
    leaving = multi_exit(draw)
    table = []
    for threshold in (0.5, 0.7, 0.9):
        shares = [draw.random() for _ in leaving]
        table.append(
            exits.Calibration(
                threshold, tuple(s / sum(shares) for s in shares), 0.6 + threshold / 4
            )
        )
    return random_problem(
        draw, costs=leaving[-1].costs, extras={"exits": leaving, "calibration": table}
    )


def test_spinn_meets_constraints_in_their_order_and_relaxes_what_nobody_meets() -> None:
    for draw in draws(14):
        problem = spinn_problem(draw)
        rules = (("accuracy", 0.75), ("server_ms", None))
        found = plan("spinn", replace(problem, extras={**problem.extras, "constraints": rules}))
        assert found.evidence["accuracy"] >= 0.75
        fastest = plan("spinn", replace(problem, extras={**problem.extras,
            "constraints": (("latency_ms", 0.0), ("accuracy", None))}))  # fmt: skip
        ranked = plan("spinn", replace(problem, extras={**problem.extras,
            "constraints": (("latency_ms", None),)}))  # fmt: skip
        assert equal(fastest.evidence["latency_ms"], ranked.evidence["latency_ms"])


def test_a_loaded_server_never_draws_spinns_cut_nearer() -> None:
    for draw in draws(15):
        problem = spinn_problem(draw)
        loaded = replace(problem, server_load=problem.server_load * 2)
        assert len(plan("spinn", loaded).device) >= len(plan("spinn", problem).device)


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
