"""Vector depthwise convolutions: the bits of the NumPy reference on every geometry."""

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

# uint8 weights have a zero point, and one scale.
KINDS = st.sampled_from(
    [{"per_channel": False}, {"per_channel": True}, {"dtype": "uint8", "per_channel": False}]
)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_geometry(data):
    channels = data.draw(st.sampled_from([1, 2, 3, 4, 8, 15, 16, 17, 32, 40, 48]))
    batch, height, width = (data.draw(st.integers(1, n)) for n in (2, 9, 40))
    kernel = data.draw(st.sampled_from([(3, 3), (3, 3), (5, 5), (1, 1), (7, 1), (2, 4)]))
    stride, dilation = data.draw(pairs), data.draw(pairs)
    padding = data.draw(st.sampled_from(["SAME", "VALID"]))
    extent = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    assume(padding == "SAME" or (extent[0] < height and extent[1] < width))
    model = build.depthwise_conv2d(
        (batch, height, width, channels),
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding=padding,
        activation=data.draw(st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])),
        **data.draw(KINDS),
        seed=data.draw(st.integers(0, 5)),
    )
    assert_vector(model, "depthwise_conv2d_vector_s8", data.draw(st.integers(0, 3)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_images_one_pixel_wide(data):
    """As in keyword models: rows are taken as if they were pixels of a row."""
    kernel, stride = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 3))
    dilation = data.draw(st.integers(1, 2))
    padding = data.draw(st.sampled_from(["SAME", "VALID"]))
    height = data.draw(st.integers(1 + (kernel - 1) * dilation, 60))
    model = build.depthwise_conv2d(
        (data.draw(st.integers(1, 2)), height, 1, data.draw(st.sampled_from([16, 20, 200]))),
        kernel=(kernel, 1),
        stride=(stride, 1),
        dilation=(dilation, 1),
        padding=padding,
        **data.draw(KINDS),
    )
    assert_vector(model, "depthwise_conv2d_vector_s8")


@pytest.mark.parametrize("kind", [{"per_channel": True}, {"dtype": "uint8", "per_channel": False}])
def test_multiples_of_one_channel_are_a_convolution(kind):
    model = build.depthwise_conv2d((2, 11, 9, 1), (4, 3), (2, 2), multiplier=20, **kind)
    assert_vector(model, "conv2d_vector_s8")


def test_pixels_may_be_written_over_the_input():
    graph, node = read_operator(build.depthwise_conv2d((1, 6, 5, 4)))
    assert overlapped(graph, node, vector.lower) == (30 - 7) * 4


def test_multiples_are_lowered_as_ever():
    graph, node = read_operator(build.depthwise_conv2d((1, 6, 5, 2), multiplier=4))
    assert vector.lower(graph, node).kernel == table.lower(graph, node).kernel
