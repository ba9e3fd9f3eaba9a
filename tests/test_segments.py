"""Cuts into streamed segments: against every other way to cut, replayed, and run."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from guarded import PATTERNS, guard
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_networks import networks

from cases import MODELS
from midge.runtime.backend import find_backend
from midge.runtime.errors import MissingTool
from midge.runtime.importers.tflite import read_tflite
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model, lower_nodes, rewrite
from midge.runtime.planner import Planner
from midge.runtime.program import Program
from midge.runtime.replay import replay
from midge.runtime.room import none
from midge.runtime.schedule import output_rows
from midge.runtime.segments import (
    SegmentCosts,
    candidate_cuts,
    fewest_fused,
    least_peak,
    shortest_way,
)

PROPERTY = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much],
}


def planner(model: bytes, target: str = "host", alignment: int = 1) -> Planner:
    graph, backend = rewrite(read_tflite(model), Options()), find_backend(target)
    return Planner(graph, lower_nodes(graph, backend), target, alignment)


def every_way(count: int) -> list[list[tuple[int, int]]]:
    """All cuts of `count` nodes into contiguous segments."""
    ways = []
    for cut in product((False, True), repeat=count - 1):
        places = [0, *(i + 1 for i, here in enumerate(cut) if here), count]
        ways.append(list(pairwise(places)))
    return ways


def peak(costs: SegmentCosts, cuts) -> float:  # type: ignore[no-untyped-def]
    return max(costs.cost(begin, end) for begin, end in cuts)


@settings(max_examples=60, **PROPERTY)
@given(networks())
def test_the_cuts_are_the_best_of_all_ways(model: bytes) -> None:
    costs = planner(model).costs()
    count = len(costs.flow.operations)
    assume(0 < count <= 9)
    best = min(peak(costs, way) for way in every_way(count))
    assert least_peak(count, costs.cost, costs.floor) == best
    first = next(iter(candidate_cuts(costs)))
    assert peak(costs, first) == best
    fused = min(sum(e - b - 1 for b, e in w) for w in every_way(count) if peak(costs, w) == best)
    assert sum(end - begin - 1 for begin, end in first) == fused


@settings(max_examples=60, **PROPERTY)
@given(networks(), st.integers(0, 3000))
def test_fewest_nodes_are_fused_within_a_limit(model: bytes, limit: int) -> None:
    costs = planner(model).costs()
    count = len(costs.flow.operations)
    assume(0 < count <= 9)
    ways = every_way(count)
    most = max(limit, min(peak(costs, way) for way in ways))
    found = fewest_fused(costs, limit)
    assert peak(costs, found) <= most
    fused = min(sum(e - b - 1 for b, e in way) for way in ways if peak(costs, way) <= most)
    assert sum(end - begin - 1 for begin, end in found) == fused


@settings(max_examples=60, **PROPERTY)
@given(networks())
def test_floors_are_no_higher_than_costs(model: bytes) -> None:
    costs = planner(model).costs()
    count = len(costs.flow.operations)
    for begin in range(count):
        for end in range(begin + 1, count + 1):
            assert costs.floor(begin, end) <= costs.cost(begin, end)


@given(st.lists(st.integers(0, 9), min_size=15, max_size=15))
def test_paths_over_any_costs(numbers: list[int]) -> None:
    table = dict(zip([(b, e) for e in range(6) for b in range(e)], numbers, strict=True))
    ways = every_way(5)
    best = min(max(table[edge] for edge in way) for way in ways)
    assert least_peak(5, lambda b, e: table[b, e], lambda b, e: table[b, e] / 2) == best
    way = shortest_way(5, lambda b, e: table[b, e], lambda b, e: table[b, e] <= best)
    allowed = [w for w in ways if max(table[edge] for edge in w) <= best]
    assert sum(table[e] for e in way) == min(sum(table[e] for e in w) for w in allowed)


def check(program: Program, lowered, model: bytes) -> None:  # type: ignore[no-untyped-def]
    """The plan replays, and its answers are the reference's."""
    replay(program, lowered)
    executor = find_backend("host").build(program)
    for seed in PATTERNS:
        arena = guard(executor, seed)
        assert_reference(executor.run(inputs_of(program)), model)
        arena.check()


def inputs_of(program: Program) -> list[np.ndarray]:
    shape = program.inputs[0].shape
    return [np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)]


def assert_reference(actual: list[np.ndarray], model: bytes) -> None:
    reference = compile_model(model, "reference")
    expected = find_backend("reference").build(reference).run(inputs_of(reference))
    for ours, wanted in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(ours, wanted)


@settings(max_examples=80, **PROPERTY)
@given(networks())
def test_every_strategy_has_the_same_bits(model: bytes) -> None:
    found = planner(model)
    plans = {name: found.plan(name) for name in ("layers", "rows", "auto")}
    for plan in plans.values():
        check(plan, found.lowered, model)
    assert plans["auto"].arena_bytes == min(p.arena_bytes for p in plans.values())
    assert found.plan("fast").arena_bytes == plans["layers"].arena_bytes


@settings(max_examples=40, **PROPERTY)
@given(networks(), st.integers(2, 5))
def test_rows_in_lots_have_the_same_bits(model: bytes, lot: int) -> None:
    plain = planner(model)
    found = replace(plain, lowered={n: replace(c, lot=lot) for n, c in plain.lowered.items()})
    in_lots, layers = found.plan("rows"), plain.plan("layers")
    check(in_lots, found.lowered, model)
    assert in_lots.arena_bytes <= layers.arena_bytes
    if in_lots.arena_bytes < layers.arena_bytes:
        made: Counter[int] = Counter()
        for call, passes in in_lots.passes():
            made[call.node] += passes
        for node, count in made.items():
            assert count <= output_rows(in_lots.graph, node)[1] or not found.lowered[node].by_rows
    frugal = replace(found, spare=none).plan("rows")
    assert frugal.arena_bytes == replace(plain, spare=none).plan("rows").arena_bytes


@settings(max_examples=80, **PROPERTY)
@given(networks())
def test_c_kernels_have_the_same_bits(model: bytes) -> None:
    c_call = pytest.importorskip("c_call")
    try:
        c_call.kernel_library()
    except MissingTool as error:
        pytest.skip(str(error))
    found = planner(model, "cortex-m4", alignment=16)
    for strategy in ("rows", "auto"):
        program = found.plan(strategy)
        replay(program, found.lowered)
        assert_reference(c_call.CTwin(program).run(inputs_of(program)), model)


@settings(max_examples=80, **PROPERTY)
@given(networks(), st.data())
def test_any_segments_have_the_same_bits(model: bytes, data: st.DataObject) -> None:
    found = planner(model)
    nodes, streams = list(found.lowered), [op.streams for op in found.costs().flow.operations]
    cuts = data.draw(st.sampled_from(every_way(min(len(nodes), 10)))) if nodes else []
    segments = [nodes[b:e] for b, e in cuts if e - b > 1 and all(streams[b:e])]
    assume(segments)
    check(found.segments(segments), found.lowered, model)


@settings(max_examples=80, **PROPERTY)
@given(networks(), st.data())
def test_rows_that_come_in_pieces_have_the_same_bits(model: bytes, data: st.DataObject) -> None:
    program = compile_model(model, "host", Options(input_by_row=True))
    found = lower_nodes(program.graph, find_backend("host"))
    replay(program, found)
    executor = find_backend("host").build(program)
    arena = guard(executor)
    rows = inputs_of(program)[0][0]
    for _ in range(2):
        left = len(rows)
        while left:
            count = data.draw(st.integers(1, left))
            begin = len(rows) - left
            left = executor.push_rows(rows[begin : begin + count])  # type: ignore[attr-defined]
        assert_reference(executor.copy_out(), model)  # type: ignore[attr-defined]
    assert_reference(executor.run(inputs_of(program)), model)
    arena.check()


def test_on_a_computer_rows_are_for_what_leaves_its_cache(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    model = MODELS[0].model()
    layers = compile_model(model, "host")
    monkeypatch.setattr("midge.runtime.planner.FOOTPRINT", 5000)
    streamed, rows = (compile_model(model, "host", Options(strategy=s)) for s in (None, "rows"))
    assert (layers.strategy, streamed.strategy) == ("layers", "rows")
    assert rows.arena_bytes <= streamed.arena_bytes < layers.arena_bytes
    assert_reference(find_backend("host").build(streamed).run(inputs_of(streamed)), model)
