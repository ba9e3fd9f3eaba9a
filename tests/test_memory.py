"""The planner against brute force, and whole plans replayed on tagged memory."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import MODELS, OPERATORS, Case
from midge.runtime.backend import find_backend
from midge.runtime.memory import MemoryPlan, Overlap, Request, plan_memory
from midge.runtime.pipeline import compile_model, is_alias
from midge.runtime.replay import replay

sizes = st.integers(1, 6)


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Request], list[Overlap]]:
    """Up to four buffers; each that starts where another ends may be allowed over it."""
    requests = []
    for key in "abcd"[: draw(st.integers(1, 4))]:
        first = draw(st.integers(0, 3))
        last, alignment = first + draw(st.integers(0, 2)), draw(st.sampled_from([1, 1, 2]))
        requests.append(Request(key, draw(sizes), first, last, alignment))
    overlaps = [
        Overlap(over.key, under.key, draw(st.integers(-2, 3)))
        for over in requests
        for under in requests
        if over is not under and over.last == under.first and over.first < over.last
    ]
    return requests, overlaps


def is_valid(offsets: dict[str, int], requests: list[Request], overlaps: list[Overlap]) -> bool:
    allowed = {(o.over, o.under): o.distance for o in overlaps}
    if any(offsets[r.key] % r.alignment for r in requests):
        return False
    for a, b in product(requests, requests):
        if a.key == b.key or not a.meets(b):
            continue
        apart = (
            offsets[a.key] + a.size <= offsets[b.key] or offsets[b.key] + b.size <= offsets[a.key]
        )
        over = (a.key, b.key) in allowed and (
            offsets[a.key] >= offsets[b.key] + allowed[a.key, b.key]
        )
        under = (b.key, a.key) in allowed and (
            offsets[b.key] >= offsets[a.key] + allowed[b.key, a.key]
        )
        if not (apart or over or under):
            return False
    return True


def least_arena(requests: list[Request], overlaps: list[Overlap], limit: int) -> int:
    """By trying every offset."""
    best = limit
    for offsets in product(*(range(limit - r.size + 1) for r in requests)):
        end = max(o + r.size for o, r in zip(offsets, requests, strict=True))
        named = {r.key: o for r, o in zip(requests, offsets, strict=True)}
        if end < best and is_valid(named, requests, overlaps):
            best = end
    return best


def check(plan: MemoryPlan, requests: list[Request], overlaps: list[Overlap]) -> None:
    assert is_valid(dict(plan.offsets), requests, overlaps)
    assert plan.size == max(plan.offsets[r.key] + r.size for r in requests)
    assert plan.lower_bound <= plan.size


@settings(max_examples=60, deadline=None)
@given(problems())
def test_plans_are_valid_and_exact_ones_the_least(problem) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("ortools", reason="exact plans need OR-Tools (midge[host])")
    requests, overlaps = problem
    greedy = plan_memory(requests, overlaps, exact=False)
    exact = plan_memory(requests, overlaps, exact=True)
    check(greedy, requests, overlaps)
    check(exact, requests, overlaps)
    least = least_arena(requests, overlaps, greedy.size)
    assert exact.size == least
    assert exact.lower_bound <= least
    assert greedy.lower_bound <= least


def test_alignment_holds_and_rounds_distances_up() -> None:
    requests = [Request("in", 100, 0, 1), Request("out", 100, 1, 2)]
    plan = plan_memory(requests, [Overlap("in", "out", 10)], alignment=16)
    assert all(offset % 16 == 0 for offset in plan.offsets.values())
    assert plan.offsets["in"] - plan.offsets["out"] == 16


def check_replay(model: bytes, target: str = "host") -> None:
    program = compile_model(model, target)
    backend = find_backend(target)
    graph = program.graph
    lowered = {
        i: backend.lower(graph, node)
        for i, node in enumerate(graph.nodes)
        if not is_alias(graph, i)
    }
    replay(program, lowered)


@pytest.mark.parametrize("case", OPERATORS, ids=str)
def test_operator_plans_replay(case: Case) -> None:
    check_replay(case.model())


@pytest.mark.parametrize("case", [m for m in MODELS if "224" not in m.name], ids=str)
def test_model_plans_replay(case: Case) -> None:
    check_replay(case.model())
