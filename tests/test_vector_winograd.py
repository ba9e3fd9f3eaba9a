"""Winograd's F(4x4, 3x3) in integers: the bits of the NumPy reference, and where it is taken."""

from __future__ import annotations

from dataclasses import replace

import build_tflite as build
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from native_call import overlapped, run_native
from one_operator import operands, read_operator
from oracle import random_inputs
from vector_geometry import ACTIVATIONS

from midge.kernels import table
from midge.kernels.native import processor
from midge.kernels.vector import table as vector
from midge.kernels.vector import winograd
from midge.runtime.graph import Graph, Node


def fewer_products(graph: Graph, node: Node):
    """The call that a processor without dot products gets."""
    return vector.lower(graph, node, (processor.NEON,))


def assert_exact(graph: Graph, node: Node, x: np.ndarray) -> None:
    assert fewer_products(graph, node).kernel == "conv2d_winograd_s8"
    arrays = [x, *[None] * 2]
    (wanted,) = table.OPERATIONS["conv2d"].reference(graph, node, arrays)
    for overlap in (False, True):
        (actual,) = run_native(graph, node, arrays, overlap, fewer_products)
        np.testing.assert_array_equal(actual, wanted, err_msg=f"{overlap=}")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_geometry(data):
    batch, height, width = (data.draw(st.integers(n, m)) for n, m in ((1, 2), (4, 13), (1, 19)))
    padding = data.draw(st.sampled_from(["SAME", "VALID"]))
    assume(padding == "SAME" or (height > 5 and width > 2))
    model = build.conv2d(
        (batch, height, width, data.draw(st.sampled_from([16, 32, 48]))),
        filters=data.draw(st.sampled_from([1, 15, 16, 17, 40])),
        padding=padding,
        activation=data.draw(ACTIVATIONS),
        per_channel=data.draw(st.booleans()),
        seed=data.draw(st.integers(0, 5)),
    )
    graph, node = read_operator(model)
    assert_exact(graph, node, operands(graph, node, random_inputs(model, 0))[0])


@pytest.mark.parametrize("signs", ["all alike", "by tap", "alternating"])
def test_the_largest_values_fit(signs):
    """Inputs of -128 and weights of 127 wherever a transform adds them up, with 16 channels."""
    graph, node = read_operator(build.conv2d((1, 8, 8, 16), filters=16))
    weights, x = graph.input(node, 1), np.full(graph.input(node).shape, -128, np.int8)
    values = np.full(weights.shape, 127, np.int8)
    if signs == "by tap":
        values[:, ::2, 1::2] = values[:, 1::2, ::2] = -127
        x[:, 1::2, ::2] = x[:, ::2, 1::2] = 127
    if signs == "alternating":
        values[..., ::2] = -127
        x[..., ::2] = 127
    changed = {weights.index: replace(weights, data=values)}
    assert_exact(graph.with_nodes(graph.nodes, changed), node, x)


def test_sums_of_more_than_26_bits_are_made_directly():
    graph, node = read_operator(build.conv2d((1, 8, 8, 240), filters=2))
    weights = graph.input(node, 1)
    changed = {weights.index: replace(weights, data=np.full(weights.shape, 127, np.int8))}
    assert winograd.lower(graph, node) is not None
    assert winograd.lower(graph.with_nodes(graph.nodes, changed), node) is None


@pytest.mark.parametrize(
    "options",
    [
        {"stride": (2, 2)},
        {"dilation": (2, 2)},
        {"kernel": (1, 3)},
        {"shape": (1, 8, 8, 20)},
        {"dtype": "uint8", "per_channel": False},
        {"dtype": "int16"},
    ],
    ids=str,
)
def test_others_are_made_directly(options):
    graph, node = read_operator(build.conv2d(**{"shape": (1, 8, 8, 16), **options}))
    assert fewer_products(graph, node).kernel.startswith("conv2d_vector")


def test_it_is_taken_where_int8_has_no_instruction_of_its_own():
    graph, node = read_operator(build.conv2d((1, 8, 8, 16)))
    for name in processor.SETS:
        taken = vector.lower(graph, node, (name,)).kernel == "conv2d_winograd_s8"
        assert taken == (name in (processor.AVX2, processor.PORTABLE, processor.NEON)), name
    both = (
        processor.NEON_I8MM,
        processor.NEON_DOT,
        processor.NEON,
    )  # a program for both is made for the wider one
    direct, *frugal = (call.kernel for call in fewer_products(graph, node).choices[1:])
    assert vector.lower(graph, node, both).kernel == direct == "conv2d_vector_s8"
    assert frugal[-1] == "conv2d_s8"


def test_rows_may_be_written_over_the_input():
    graph, node = read_operator(build.conv2d((1, 8, 8, 16), filters=16))
    assert overlapped(graph, node, winograd.lower) > 0
