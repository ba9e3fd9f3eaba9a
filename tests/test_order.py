"""The order of nodes: against every other order, and with the same bits."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from hypothesis import assume, given, settings
from random_networks import networks
from seeded_model import SeededModel
from test_segments import PROPERTY, assert_reference, inputs_of

from midge.runtime.backend import find_backend
from midge.runtime.importers.tflite import read_tflite
from midge.runtime.options import Options
from midge.runtime.order import _peak, best_order
from midge.runtime.pipeline import compile_model
from midge.runtime.verify import verify


def is_order(graph, order) -> bool:  # type: ignore[no-untyped-def]
    place = {node: at for at, node in enumerate(order)}
    return all(
        place[graph.producers[t]] < place[i]
        for i, node in enumerate(graph.nodes)
        for t in node.operands
        if t in graph.producers
    )


@settings(max_examples=60, **PROPERTY)
@given(networks())
def test_no_order_has_a_lower_peak(model: bytes) -> None:
    graph = read_tflite(model)
    count = len(graph.nodes)
    assume(1 < count <= 7)
    best = min(_peak(graph, o) for o in permutations(range(count)) if is_order(graph, o))
    found = verify(best_order(graph))
    assert _peak(found, range(count)) == best
    assert {id(n) for n in found.nodes} == {id(n) for n in graph.nodes}
    if _peak(graph, range(count)) == best:
        assert found is graph


def two_branches() -> bytes:
    """Four large pools of the input, one after the other, then one of each that makes it small."""
    model = SeededModel("int8", 0)
    x = model.tensor((1, 8, 8, 4), "int8", 0.05, 0)
    window = {"filter_height": 1, "filter_width": 1, "fused_activation_function": "NONE"}
    large = [model.tensor((1, 8, 8, 4), "int8", 0.05, 0) for _ in range(4)]
    small = [model.tensor((1, 2, 2, 4), "int8", 0.05, 0) for _ in range(4)]
    for y in large:
        model.node("MAX_POOL_2D", [x], [y], padding="VALID", stride_h=1, stride_w=1, **window)
    for y, z in zip(large, small, strict=True):
        model.node("MAX_POOL_2D", [y], [z], padding="VALID", stride_h=4, stride_w=4, **window)
    return model.build([x], small)


def test_branches_run_one_after_the_other() -> None:
    model = two_branches()
    graph = read_tflite(model)
    assert _peak(graph, range(8)) == 4 * 256 + 256
    assert _peak(best_order(graph), range(8)) == 2 * 256 + 3 * 16
    program = compile_model(model, "host", Options(strategy="layers"))
    assert program.arena_bytes <= 2 * 256 + 3 * 16
    executor = find_backend("host").build(program)
    assert_reference(executor.run(inputs_of(program)), model)
    assert [o.shape for o in executor.run([np.zeros((1, 8, 8, 4), np.int8)])] == [(1, 2, 2, 4)] * 4
