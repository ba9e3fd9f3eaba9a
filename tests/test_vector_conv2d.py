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
from midge.kernels.vector import table as vector
from midge.runtime.pipeline import compile_model


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_geometry(data):
    assert_vector(draw_conv2d(data), "conv2d_vector_s8", data.draw(st.integers(0, 3)))


def test_pixels_may_be_written_over_the_input():
    graph, node = read_operator(build.conv2d((1, 6, 5, 4), filters=4))
    assert overlapped(graph, node, vector.lower) == (30 - 7) * 4


@pytest.mark.parametrize(
    "content",
    [
        build.conv2d((1, 5, 6, 6), filters=6, groups=3),
        build.conv2d(dtype="int16"),
        build.conv2d(dtype="float32"),
    ],
    ids=["groups", "int16", "float32"],
)
def test_what_has_no_vector_kernel_is_lowered_as_ever(content):
    graph, node = read_operator(content)
    plain, chosen = table.lower(graph, node), vector.lower(graph, node)
    assert chosen.kernel == plain.kernel


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
