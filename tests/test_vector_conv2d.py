"""Vector convolutions: the bits of the NumPy reference on every geometry."""

from __future__ import annotations

from dataclasses import replace

import build_tflite as build
import numpy as np
import pytest
from exact import draw_values
from hypothesis import given, settings
from hypothesis import strategies as st
from native_call import overlapped
from one_operator import read_operator
from vector_call import assert_vector, assert_vector_node
from vector_geometry import draw_conv2d

from cases import model
from midge.kernels import table
from midge.kernels.vector import packing
from midge.kernels.vector import table as vector
from midge.runtime.pipeline import compile_model


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_geometry(data):
    assert_vector(draw_conv2d(data), "conv2d_vector", data.draw(st.integers(0, 3)))


def test_pixels_may_be_written_over_the_input():
    graph, node = read_operator(build.conv2d((1, 6, 5, 4), filters=4))
    assert overlapped(graph, node, vector.lower) == (30 - 7) * 4


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
@pytest.mark.parametrize("groups", [2, 3, 8])
def test_a_few_groups_are_one(dtype, groups):
    per_channel = dtype != "uint8"  # whose weights have a zero point
    shape, filters = (2, 5, 6, 6 * groups), 4 * groups
    model = build.conv2d(shape, filters, groups=groups, dtype=dtype, per_channel=per_channel)
    assert_vector(model, "conv2d_vector")


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_groups_of_floats_and_many_groups_are_lowered_as_ever(dtype):
    groups = 2 if dtype == "float32" else 9
    model = build.conv2d((1, 5, 6, 2 * groups), filters=groups, groups=groups, dtype=dtype)
    graph, node = read_operator(model)
    plain, chosen = table.lower(graph, node), vector.lower(graph, node)
    assert chosen.kernel == plain.kernel


def test_int16_with_an_int32_bias_is_rescaled_twice():
    graph, node = read_operator(build.conv2d((1, 5, 6, 7), filters=20, dtype="int16"))
    bias = graph.tensors[node.inputs[2]]
    narrow = replace(bias, dtype="int32", data=bias.data.astype(np.int32))
    graph = graph.with_nodes(graph.nodes, {bias.index: narrow})
    x = draw_values(np.random.default_rng(0), graph.input(node).shape, "int16")
    assert vector.lower(graph, node).fields["plain"] == packing.TWICE
    assert_vector_node(graph, node, [x, *[None] * 2], "conv2d_vector_s16")


def test_int16_sums_may_have_more_than_32_bits():
    """Extreme inputs and weights, all of one sign, over segments that are cut into pieces."""
    graph, node = read_operator(build.conv2d((1, 4, 5, 200), filters=20, dtype="int16"))
    weights = graph.input(node, 1)
    signs = np.where(np.arange(20) % 2, -127, 127).astype(np.int8)
    extreme = replace(weights, data=np.broadcast_to(signs[:, None, None, None], weights.shape))
    y = graph.output(node)
    scale = replace(y, quantization=replace(y.quantization, scales=y.quantization.scales * 60))
    graph = graph.with_nodes(graph.nodes, {weights.index: extreme, y.index: scale})
    x = np.full(graph.input(node).shape, -32768, np.int16)
    fields = vector.lower(graph, node).fields
    assert (fields["plain"], fields["segment_count"]) == (packing.CARRIED, 6)
    assert_vector_node(graph, node, [x, *[None] * 2], "conv2d_vector_s16")


def test_floats_keep_what_is_no_number():
    """Also where padding is 0: weights that are not finite are left to the plain kernel."""
    graph, node = read_operator(build.conv2d((1, 5, 6, 7), filters=20, dtype="float32"))
    x = np.random.default_rng(0).normal(size=graph.input(node).shape).astype(np.float32)
    x[0, 2, 2, 3], x[0, 4, 5, 6], x[0, 0, 0] = np.nan, np.inf, -0.0
    assert_vector_node(graph, node, [x, *[None] * 2], "conv2d_vector_f32")
    weights = graph.input(node, 1)
    values = weights.data.copy()
    values[3, 1, 1, 1] = np.inf
    graph = graph.with_nodes(graph.nodes, {weights.index: replace(weights, data=values)})
    assert vector.lower(graph, node).kernel == "conv2d_f32"


def test_window_buffers_leave_the_arena_small():
    program = compile_model(model("vww_96_int8").model(), "host")
    assert program.arena_bytes <= 38_912


def test_dead_channels_give_their_one_value():
    """Channels without weights have any bias and shift: in MobileNets up to 2**30 and 31."""
    graph, node = read_operator(build.conv2d((1, 5, 6, 7), filters=20))
    x, weights, bias = (graph.tensors[i] for i in node.inputs)
    values, biases = weights.data.copy(), bias.data.copy()
    scales = weights.quantization.scales.copy()
    dead = {3: (1 << 30, 1e-12), 4: (-(1 << 30), 1e-9), 19: (7, 2.0)}
    for channel, (value, scale) in dead.items():
        values[channel], biases[channel], scales[channel] = 0, value, scale
    changed = {
        weights.index: replace(
            weights,
            data=values,
            quantization=replace(weights.quantization, scales=scales),
        ),
        bias.index: replace(bias, data=biases),
    }
    graph = graph.with_nodes(graph.nodes, changed)
    arrays = [draw_values(np.random.default_rng(0), x.shape, "int8"), values, biases]
    assert_vector_node(graph, node, arrays, "conv2d_vector_s8")
    (wanted,) = table.OPERATIONS["conv2d"].reference(graph, node, arrays)
    assert all(len(np.unique(wanted[..., channel])) == 1 for channel in dead)


def test_sums_that_need_64_bits_are_lowered_as_ever():
    graph, node = read_operator(build.conv2d((1, 5, 6, 7), filters=2))
    bias = graph.tensors[node.inputs[2]]
    huge = replace(bias, data=np.full_like(bias.data, (1 << 31) - 1))
    graph = graph.with_nodes(graph.nodes, {bias.index: huge})
    scale = replace(
        graph.output(node),
        quantization=replace(graph.output(node).quantization, scales=np.array([1e4])),
    )
    graph = graph.with_nodes(graph.nodes, {scale.index: scale})
    assert vector.lower(graph, node).kernel == "conv2d_s8"
