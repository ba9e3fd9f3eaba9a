"""Vector convolutions: the bits of the NumPy reference on every geometry."""

from __future__ import annotations

import build_tflite as build
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from native_call import overlapped
from one_operator import read_operator
from vector_call import assert_vector

from midge.kernels import table
from midge.kernels.vector import table as vector

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_geometry(data):
    depth = data.draw(st.sampled_from([1, 3, 4, 16, 17, 20]))
    batch, height, width = (data.draw(st.integers(1, n)) for n in (2, 9, 40))
    kernel = data.draw(st.sampled_from([(1, 1), (1, 1), (3, 3), (1, 4), (5, 2), (2, 3)]))
    stride, dilation = data.draw(pairs), data.draw(pairs)
    padding = data.draw(st.sampled_from(["SAME", "VALID"]))
    extent = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    assume(padding == "SAME" or (extent[0] < height and extent[1] < width))
    model = build.conv2d(
        (batch, height, width, depth),
        filters=data.draw(st.sampled_from([1, 3, 15, 16, 17, 32, 33, 48, 64, 70, 115])),
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding=padding,
        activation=data.draw(st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])),
        per_channel=data.draw(st.booleans()),
        seed=data.draw(st.integers(0, 5)),
    )
    assert_vector(model, "conv2d_vector_s8", data.draw(st.integers(0, 3)))


def test_pixels_may_be_written_over_the_input():
    graph, node = read_operator(build.conv2d((1, 6, 5, 4), filters=4))
    assert overlapped(graph, node, vector.lower) == (30 - 7) * 4


@pytest.mark.parametrize(
    "model",
    [
        build.conv2d((1, 5, 6, 6), filters=6, groups=3),
        build.conv2d(dtype="int16"),
        build.conv2d(dtype="float32"),
    ],
    ids=["groups", "int16", "float32"],
)
def test_what_has_no_vector_kernel_is_lowered_as_ever(model):
    graph, node = read_operator(model)
    plain, chosen = table.lower(graph, node), vector.lower(graph, node)
    assert chosen.kernel == plain.kernel
