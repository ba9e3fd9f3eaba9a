"""CONCATENATION: TFLite's reference, ours and the native kernel agree."""

from __future__ import annotations

from dataclasses import replace

import build_tflite as build
import numpy as np
import pytest
from exact import why_refused
from hypothesis import given, settings
from hypothesis import strategies as st
from native_call import run_native
from one_operator import assert_three_ways, read_operator

from midge.kernels import table
from midge.kernels.concatenation import rescaling

TYPES = ("int8", "uint8", "int16", "int32", "int64", "float32")


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(TYPES), st.integers(1, 5))
def test_geometry(data, dtype, rank):
    shape = [data.draw(st.integers(1, 4)) for _ in range(rank)]
    axis = data.draw(st.integers(0, rank - 1))
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    shapes = [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]
    assert_three_ways(build.concatenation(shapes, axis, dtype))


def joined_uint8(axis: int, quantization: list[tuple[float, int]]) -> bytes:
    """Two tensors of all 256 bytes each and more, and their joint output, as quantized."""
    model, shape = build.ModelBuilder(), (2, 6, 7, 8)
    parts = [model.tensor(shape, "uint8", *q) for q in quantization[:2]]
    whole = [n * 2 if i == axis else n for i, n in enumerate(shape)]
    y = model.tensor(whole, "uint8", *quantization[2])
    model.node("CONCATENATION", parts, [y], axis=axis)
    return model.build(parts, [y])


# What a model may have, and scales between which many bytes fall half-way.
scales = st.one_of(st.floats(0.004, 0.6), st.sampled_from([0.05, 0.1, 0.025]))
quantizations = st.tuples(scales, st.sampled_from([0, 1, 100, 128, 255]))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 3), st.lists(quantizations, min_size=3, max_size=3), st.integers(0, 9))
def test_uint8_inputs_are_rescaled(axis, quantization, seed):
    assert_three_ways(joined_uint8(axis, quantization), seed)


def test_uint8_input_of_the_outputs_scale_is_copied():
    graph, node = read_operator(joined_uint8(1, [(0.1, 3), (0.2, 3), (0.1, 3)]))
    x, other = (graph.tensors[t] for t in node.inputs)
    assert rescaling(x, graph.output(node)) is None
    assert rescaling(other, graph.output(node)) is not None


@pytest.mark.parametrize("axis", range(4))
@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
def test_constants_are_joined_too(axis, dtype):
    graph, node = read_operator(build.concatenation([(2, 3, 4, 5)] * 3, axis, dtype))
    rng = np.random.default_rng(axis)
    kind = graph.output(node).dtype
    arrays = [rng.integers(-128, 128, (2, 3, 4, 5)).astype(kind) for _ in range(3)]
    fixed = graph.tensors[node.inputs[1]]
    tensors = {fixed.index: replace(fixed, data=arrays[1])}
    graph = graph.with_nodes([node], tensors, inputs=(node.inputs[0], node.inputs[2]))
    wanted = np.concatenate(arrays, axis)
    (reference,) = table.OPERATIONS["concatenation"].reference(graph, node, arrays)
    np.testing.assert_array_equal(reference, wanted)
    np.testing.assert_array_equal(run_native(graph, node, arrays)[0], wanted)


def test_a_tensor_can_be_joined_with_itself():
    graph, node = read_operator(build.concatenation([(1, 2, 3, 4)] * 2, axis=1))
    twice = replace(node, inputs=(node.inputs[0],) * 2)
    x = np.arange(24, dtype=np.int8).reshape(1, 2, 3, 4)
    (joined,) = run_native(graph, twice, [x, x])
    np.testing.assert_array_equal(joined, np.concatenate([x, x], 1))


@pytest.mark.parametrize(("axis", "by_rows"), [(0, False), (1, True), (2, True), (3, True)])
def test_all_but_batches_are_joined_by_rows(axis, by_rows):
    graph, node = read_operator(build.concatenation([(1, 2, 3, 4)] * 2, axis))
    assert table.lower(graph, node).by_rows == by_rows


def test_refusals():
    assert_three_ways(build.concatenation([(1, 2)] * 16))
    refused = why_refused(build.concatenation([(1, 2)] * 17))
    assert refused == "A concatenation must have at most 16 inputs."
    refused = why_refused(build.concatenation(activation="RELU"))
    assert refused == "A concatenation must have no fused activation."
