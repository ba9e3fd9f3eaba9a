"""PAD and PADV2: TFLite's reference, ours and the native kernel agree, in place too."""

from __future__ import annotations

import build_tflite as build
import numpy as np
from exact import assert_answers, golden_case
from hypothesis import given, settings
from hypothesis import strategies as st
from native_call import overlapped, run_native
from one_operator import assert_three_ways, read_operator

from midge.kernels import table
from midge.runtime.attributes import Pad
from midge.runtime.graph import Graph, Node, Tensor

TYPES = ("int8", "uint8", "int16", "int32", "int64", "float32")
pairs = st.tuples(st.integers(0, 3), st.integers(0, 3))


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(TYPES), st.integers(1, 5))
def test_geometry(data, dtype, rank):
    shape = tuple(data.draw(st.integers(1, 5)) for _ in range(rank))
    pads = [data.draw(pairs) for _ in range(rank)]
    if rank == 4 and data.draw(st.booleans()):
        pads[0] = (0, 0)  # what images are padded by
    value = None if dtype in ("int32", "int64") else data.draw(st.sampled_from([None, 0, 7, 99]))
    assert_three_ways(build.pad(shape, pads, value, dtype))


def test_it_may_lie_over_its_input():
    graph, node = read_operator(build.pad((1, 8, 8, 4)))
    pixel = 4  # the border right of the last pixel counts that pixel as still needed
    assert overlapped(graph, node) == graph.input(node).bytes - pixel


def test_six_axes_and_bool():
    shape, before, after = (2, 1, 3, 2, 1, 2), (0, 1, 0, 2, 0, 1), (1, 0, 0, 0, 3, 1)
    padded = tuple(b + n + a for b, n, a in zip(before, shape, after, strict=True))
    tensors = {0: Tensor(0, "x", shape, "bool"), 1: Tensor(1, "y", padded, "bool")}
    node = Node("pad", (0,), (1,), Pad(before, after))
    x = np.random.default_rng(0).integers(0, 2, shape).astype(bool)
    wanted = np.zeros(padded, bool)
    wanted[:2, 1:, :, 2:, :1, 1:3] = x
    assert_only(Graph((node,), tensors, (0,), (1,)), x, wanted)


def assert_only(graph: Graph, x: np.ndarray, wanted: np.ndarray) -> None:
    """Our two agree with a stated answer, where TFLite has no kernel."""
    (node,) = graph.nodes
    assert table.refusal(graph, node, 0) is None
    np.testing.assert_array_equal(table.OPERATIONS["pad"].reference(graph, node, [x])[0], wanted)
    np.testing.assert_array_equal(run_native(graph, node, [x])[0], wanted)


def test_seanet_goldens(shared):
    models = sorted((shared / "op_tests/seanet/pad").glob("*.tflite"))
    assert models
    for model in models:
        assert_answers(*golden_case(model))
