"""Layers of bits by vector kernels: the reference's bits on every geometry."""

from __future__ import annotations

import build_binary as build
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_bconv2d import PLANES, pairs
from vector_call import assert_vector_node

from midge.kernels.vector import table as vector
from midge.runtime.attributes import BConv2D, BDense, Padding
from midge.runtime.graph import BINARY

SUFFIX = {"float32": "f32", "int8": "s8", BINARY: "b1"}


def assert_bits(graph, node, dtype: str, seed: int = 0) -> None:
    arrays = [build.random_bits(graph, node, seed), *[None] * (len(node.inputs) - 1)]
    assert_vector_node(graph, node, arrays, f"bconv2d_vector_{SUFFIX[dtype]}")


@settings(max_examples=80, deadline=None)
@given(st.data(), st.sampled_from(list(SUFFIX)))
def test_geometry(data, dtype):
    depth = data.draw(st.sampled_from([1, 31, 32, 33, 64, 130, 300]))
    kernel, stride, dilation = data.draw(pairs), data.draw(pairs), data.draw(pairs)
    size = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 40)))
    x_planes, weight_planes, plain = data.draw(st.sampled_from(PLANES))
    padded = data.draw(st.booleans())
    assume(padded or all((k - 1) * d < n for k, d, n in zip(kernel, dilation, size, strict=True)))
    one = -1 if depth % 32 == 0 and data.draw(st.booleans()) else 1
    attrs = BConv2D(
        depth,
        stride,
        dilation,
        Padding(*build.same(size, kernel, stride, dilation)) if padded else Padding(),
        pad_value=0 if plain else one,
        activation=data.draw(st.sampled_from(["none", "relu", "relu_n1_to_1"])),
        x_planes=x_planes,
        weight_planes=weight_planes,
        plain=plain,
    )
    filters = data.draw(st.sampled_from([1, 5, 16, 17, 32, 33, 70]))
    graph, node = build.layer(attrs, (1, *size, depth), filters, kernel, dtype, seed=filters)
    assert_bits(graph, node, dtype, data.draw(st.integers(0, 9)))


@pytest.mark.parametrize("dtype", SUFFIX)
@pytest.mark.parametrize("batch", [1, 9])
def test_dense(dtype, batch):
    graph, node = build.layer(BDense(500), (batch, 500), 37, dtype=dtype)
    assert_bits(graph, node, dtype)


@pytest.mark.parametrize("dtype", SUFFIX)
@pytest.mark.parametrize("filters", [256, 272, 300, 513])
def test_more_filters_than_a_byte_counts(dtype, filters):
    attrs = BConv2D(33, padding=Padding(1, 1, 1, 1), pad_value=1)
    graph, node = build.layer(attrs, (1, 3, 9, 33), filters, (3, 3), dtype)
    assert_bits(graph, node, dtype)


def test_long_sums_do_not_overflow_bytes():
    """All bits differ, far more often than a byte counts."""
    graph, node = build.layer(BDense(32 * 700), (1, 32 * 700), 16)
    weights = graph.input(node, 1).data
    x = ~weights[:1]
    assert_vector_node(graph, node, [x, *[None] * 5], "bconv2d_vector_f32")


def test_gates_groups_and_mean_padding_are_left_to_the_plain_kernel():
    zero = BConv2D(32, padding=Padding(1, 1, 1, 1), pad_value=0)
    gated = BConv2D(32, x_planes=(1, 2))
    for attrs, depth, gates in ((zero, 32, False), (gated, 32, True), (BConv2D(64), 32, False)):
        graph, node = build.layer(attrs, (1, 4, 4, depth), 4, (3, 3), gated=gates)
        assert vector.lower(graph, node).kernel == "bconv2d_f32"
