"""Vector transposed convolutions: the bits of the NumPy reference on every geometry."""

from __future__ import annotations

import build_tflite as build
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from one_operator import read_operator
from vector_call import assert_vector, assert_vector_node

from midge.kernels.vector import table as vector


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["int8", "uint8", "int16", "float32"]))
def test_geometry(data, dtype):
    kernel = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    stride = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    assume(all(s <= k for s, k in zip(stride, kernel, strict=True)))
    size = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 9)))
    model = build.transpose_conv(
        (*size, data.draw(st.sampled_from([1, 3, 16, 17]))),
        filters=data.draw(st.sampled_from([1, 3, 16, 33])),
        kernel=kernel,
        stride=stride,
        padding=data.draw(st.sampled_from(["SAME", "VALID"])),
        dtype=dtype,
        per_channel=dtype != "uint8",
        bias=data.draw(st.booleans()),
        seed=data.draw(st.integers(0, 5)),
    )
    assert_vector(model, "transpose_conv_vector", data.draw(st.integers(0, 3)))


def test_floats_keep_what_is_no_number():
    """Each output sums the products that the reference sums, and no others."""
    model = build.transpose_conv((1, 3, 4, 3), kernel=(3, 3), dtype="float32")
    graph, node = read_operator(model)
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 3)).astype(np.float32)
    x[0, 1, 1, 2], x[0, 2, 3, 0] = np.inf, np.nan
    given = {graph.input(node).index: x}
    arrays = [given.get(index) for index in node.inputs]
    assert_vector_node(graph, node, arrays, "transpose_conv_vector_f32")


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_outputs_between_the_windows_are_left_to_the_plain_kernel(dtype):
    model = build.transpose_conv((1, 3, 4, 3), kernel=(2, 2), stride=(3, 1), dtype=dtype)
    graph, node = read_operator(model)
    assert vector.lower(graph, node).kernel.startswith("transpose_conv_")
    assert "vector" not in vector.lower(graph, node).kernel
