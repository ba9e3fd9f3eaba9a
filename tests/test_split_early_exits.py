"""The planners of models with early exits, against brute force or what an executor would do."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

pytest.importorskip("networkx", reason="splitting needs networkx (midge[split])")

from split_problems import draws, equal, least, random_costs, random_problem

from midge.targets.split.planners import (
    Costs,
    Limits,
    Problem,
    Wire,
    exits,
    plan,
)


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
