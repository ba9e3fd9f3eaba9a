"""Layers of bits: the reference is plain arithmetic on +1 and -1; native and C kernels count bits,
and agree with it on every geometry, with any planes, groups, padding and output."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import build_binary as build
import numpy as np
import pytest
from c_call import run_c
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from native_call import run_native

from midge.kernels import table
from midge.runtime import bits
from midge.runtime.attributes import BConv2D, BDense, Padding
from midge.runtime.errors import MissingTool
from midge.runtime.graph import BINARY, Graph, Node
from midge.runtime.ops import macs
from midge.sim.qemu import find_tool
from midge.targets.cortex_m.lowering import lower

PLANES = [
    ((1,), (1,), False),
    ((1, 2), (1,), False),
    ((1, 2, 4), (1, -2), True),
    ((1,), (1, 1), False),
    (bits.two_complement(8), (1,), True),
]
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
try:
    find_tool("gcc")
    has_gcc = True
except MissingTool:
    has_gcc = False


def assert_agrees(graph: Graph, node: Node, seed: int) -> None:
    """Reference, native and C kernel, in place and not."""
    assert table.refusal(graph, node, 0) is None
    arrays = [build.random_bits(graph, node, seed), *[None] * (len(node.inputs) - 1)]
    (wanted,) = table.OPERATIONS[node.op].reference(graph, node, arrays)
    answers = {f"native {o}": run_native(graph, node, arrays, o) for o in (False, True)}
    if has_gcc:
        answers |= {f"C {o}": run_c(graph, node, arrays, o) for o in (False, True)}
        helium = partial(lower, target="cortex-m55")  # the C twin of its loops
        answers["Helium"] = run_c(graph, node, arrays, True, helium)
    for name, (actual,) in answers.items():
        assert actual.dtype == wanted.dtype
        np.testing.assert_array_equal(
            actual.view(np.int32) if actual.dtype == np.float32 else actual,
            wanted.view(np.int32) if wanted.dtype == np.float32 else wanted,
            err_msg=name,
        )


@settings(max_examples=120, deadline=None)
@given(st.data(), st.sampled_from(["float32", "int8", BINARY]))
def test_geometry(data, dtype):
    groups = data.draw(st.sampled_from([1, 1, 1, 2]))
    depth = 32 if groups > 1 else data.draw(st.sampled_from([1, 3, 31, 32, 33, 64, 130, 300]))
    kernel, stride, dilation = data.draw(pairs), data.draw(pairs), data.draw(pairs)
    size = data.draw(st.tuples(st.integers(1, 8), st.integers(1, 20)))
    x_planes, weight_planes, plain = data.draw(st.sampled_from(PLANES))
    padded = data.draw(st.booleans())
    assume(padded or all((k - 1) * d < n for k, d, n in zip(kernel, dilation, size, strict=True)))
    attrs = BConv2D(
        depth * groups,
        stride,
        dilation,
        Padding(*build.same(size, kernel, stride, dilation)) if padded else Padding(),
        pad_value=0 if plain else data.draw(st.sampled_from([1, 0, -1])),
        activation=data.draw(st.sampled_from(["none", "none", "relu", "relu6", "relu_n1_to_1"])),
        x_planes=x_planes,
        weight_planes=weight_planes,
        plain=plain,
    )
    filters = data.draw(st.sampled_from([1, 5, 16, 33, 70])) * groups
    gated = x_planes == (1, 2) and not plain and data.draw(st.booleans())
    shape = (data.draw(st.sampled_from([1, 1, 2])), *size, depth)
    graph, node = build.layer(attrs, shape, filters, kernel, dtype, gated, seed=filters)
    assert_agrees(graph, node, data.draw(st.integers(0, 9)))


@settings(max_examples=30, deadline=None)
@given(st.data(), st.sampled_from(["float32", "int8", BINARY]))
def test_dense_geometry(data, dtype):
    channels = data.draw(st.sampled_from([1, 31, 32, 33, 200]))
    x_planes, weight_planes, plain = data.draw(st.sampled_from(PLANES))
    attrs = BDense(channels, "none", x_planes, weight_planes, plain)
    shape = (*data.draw(st.sampled_from([(1,), (7,), (2, 3), (1, 3, 2), (2, 1, 5)])), channels)
    graph, node = build.layer(attrs, shape, data.draw(st.sampled_from([1, 10, 40])), dtype=dtype)
    assert_agrees(graph, node, data.draw(st.integers(0, 9)))


def test_sums_are_those_of_signs():
    """The definition itself, by loops over signs."""
    attrs = BConv2D(5, (2, 1), (1, 2), Padding(1, 0, 2, 1), pad_value=-1)
    graph, node = build.layer(attrs, (1, 4, 5, 5), 3, (2, 3))
    graph = graph.with_nodes([replace(node, inputs=(0, 1))])
    node = graph.nodes[0]
    x = build.random_bits(graph, node, 1)
    (actual,) = table.OPERATIONS["bconv2d"].reference(graph, node, [x, None])
    signs = np.where(bits.unpack(x, 5), -1, 1)
    weights = np.where(bits.unpack(graph.input(node, 1).data, 5), -1, 1)
    for _, row, column, o in np.ndindex(actual.shape):
        total = 0
        for ky, kx, c in np.ndindex(2, 3, 5):
            at = row * 2 + ky - 1, column + 2 * kx - 2
            inside = 0 <= at[0] < 4 and 0 <= at[1] < 5
            total += weights[o, ky, kx, c] * (signs[0, at[0], at[1], c] if inside else -1)
        assert actual[0, row, column, o] == total


def test_bits_beyond_the_channels_are_zero():
    graph, node = build.layer(BConv2D(40), (1, 3, 3, 40), 33, dtype=BINARY)
    arrays = [build.random_bits(graph, node, 0), *[None] * 5]
    (words,) = table.OPERATIONS["bconv2d"].reference(graph, node, arrays)
    assert words.shape == (1, 3, 3, 2)
    assert not (words[..., 1].view(np.uint32) >> 1).any()


def test_macs_count_products_once():
    graph, node = build.layer(BConv2D(64), (1, 3, 4, 32), 6, (1, 1))  # two groups
    assert macs(graph, node) == 3 * 4 * 6 * 32


def test_refusals_are_sentences():
    graph, node = build.layer(BConv2D(64), (1, 3, 4, 64), 6)

    def why(changed: Node, **tensors: object) -> str:
        refused = table.refusal(graph.with_nodes([changed]), changed, 0)
        assert refused is not None
        return refused.why

    attrs = node.attrs
    assert why(replace(node, attrs=replace(attrs, channels=65))).startswith("Words of input")
    assert why(replace(node, attrs=replace(attrs, pad_value=2))).startswith("Padding must be")
    assert why(replace(node, attrs=replace(attrs, activation="gelu"))).startswith("Sums must")
    assert why(replace(node, inputs=(0, 1, 2, 3, 2, None))).startswith("Multiplier and bias")
    gated = replace(node, inputs=(0, 1, 2, 3, None, 2))
    assert why(gated).startswith("Multiplier and bias must be float32, thresholds")


@pytest.mark.parametrize("channels", [1, 31, 32, 33, 64, 100])
def test_packing_goes_there_and_back(channels):
    wanted = np.random.default_rng(0).integers(0, 2, (2, 3, channels)) == 1
    words = bits.pack(wanted)
    assert words.shape == (2, 3, -(-channels // 32)) and words.dtype == np.int32
    np.testing.assert_array_equal(bits.unpack(words, channels), wanted)
    first = bits.pack(np.arange(channels) == channels - 1)
    assert first.view(np.uint32)[-1] == 1 << (channels - 1) % 32


@pytest.mark.parametrize("wide", [1, 2, 9])
def test_planes_are_twos_complement(wide):
    numbers = np.arange(-(1 << (wide - 1)), 1 << (wide - 1))[:, None]
    words = bits.integer_planes(numbers, wide)
    np.testing.assert_array_equal(
        bits.values(words, 1, bits.two_complement(wide), plain=True), numbers
    )
