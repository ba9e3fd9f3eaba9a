"""CONV_2D: TFLite's reference, ours and the native kernel agree on every geometry."""

from __future__ import annotations

from dataclasses import replace

import build_tflite as build
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from native_call import overlapped, run_native
from one_operator import assert_three_ways, read_operator

from midge.kernels import table

TYPES = ("int8", "uint8", "int16", "float32")
ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


def fits(shape: tuple[int, ...], kernel: tuple[int, int], dilation: tuple[int, int]) -> bool:
    """A VALID window lies inside the image."""
    return all((k - 1) * d < n for k, d, n in zip(kernel, dilation, shape[1:3], strict=True))


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(TYPES))
def test_geometry(data, dtype):
    groups = data.draw(st.sampled_from([1, 1, 1, 3])) if dtype == "float32" else 1
    depth = data.draw(st.sampled_from([1, 3, 4, 17]))
    batch, height, width = (data.draw(st.integers(1, n)) for n in (2, 11, 11))
    shape = (batch, height, width, depth * groups)
    kernel = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    stride, dilation = data.draw(pairs), data.draw(pairs)
    padding = data.draw(st.sampled_from(["SAME", "VALID"]))
    assume(padding == "SAME" or fits(shape, kernel, dilation))
    model = build.conv2d(
        shape,
        filters=data.draw(st.sampled_from([1, 2, 5, 17])) * groups,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding=padding,
        activation=data.draw(st.sampled_from(ACTIVATIONS)),
        dtype=dtype,
        per_channel=data.draw(st.booleans()),
        groups=groups,
        seed=data.draw(st.integers(0, 5)),
    )
    assert_three_ways(model, seed=data.draw(st.integers(0, 3)))


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
@pytest.mark.parametrize("groups", [2, 3])
def test_groups(dtype, groups):
    model = build.conv2d((1, 5, 6, 6), filters=6, dtype=dtype, groups=groups)
    assert_three_ways(model)


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_no_bias_is_a_bias_of_zero(dtype):
    """TFLite's CONV_2D insists on a bias; other importers' graphs may have none."""
    graph, node = read_operator(build.conv2d((1, 5, 6, 3), dtype=dtype))
    bias = graph.tensors[node.inputs[2]]
    zeros = replace(bias, data=np.zeros_like(bias.data))
    with_zeros = graph.with_nodes(graph.nodes, {bias.index: zeros})
    bare = replace(node, inputs=node.inputs[:2])
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(1, 5, 6, 3)) * 100).astype(graph.input(node).dtype)
    wanted = table.OPERATIONS["conv2d"].reference(with_zeros, node, [x, None, None])
    np.testing.assert_array_equal(
        table.OPERATIONS["conv2d"].reference(graph, bare, [x, None]), wanted
    )
    np.testing.assert_array_equal(run_native(graph, bare, [x, None]), wanted)


def test_overlap_is_not_an_empty_promise():
    """The geometry test runs each case over its own input: here is what that saves."""
    graph, node = read_operator(build.conv2d((1, 6, 5, 4), filters=4))
    # A 3x3 window still needs the row above and one pixel of it: all but 7 pixels of 30 are shared.
    assert overlapped(graph, node) == (30 - 7) * 4


def test_refusals_are_the_constraints_own_words():
    graph, node = read_operator(build.conv2d())
    weights = graph.tensors[node.inputs[1]]
    assert table.refusal(graph, node, 0) is None
    variable = {weights.index: replace(weights, data=None)}
    refused = table.refusal(graph.with_nodes(graph.nodes, variable), node, 7)
    assert refused is not None
    assert (refused.node, refused.operator) == (7, "conv2d")
    assert refused.why == "Weights and bias must be constants."
