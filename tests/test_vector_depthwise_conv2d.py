"""Vector depthwise convolutions: the bits of the NumPy reference on every geometry."""

from __future__ import annotations

import build_tflite as build
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_call import overlapped
from one_operator import read_operator
from vector_call import assert_vector
from vector_geometry import KINDS, draw_depthwise_conv2d

from midge.kernels import table
from midge.kernels.vector import table as vector


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_geometry(data):
    model = draw_depthwise_conv2d(data)
    assert_vector(model, "depthwise_conv2d_vector", data.draw(st.integers(0, 3)))


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
    assert_vector(model, "depthwise_conv2d_vector")


@pytest.mark.parametrize(
    "kind",
    [{"dtype": "uint8", "per_channel": False}]
    + [{"dtype": dtype} for dtype in ("int8", "int16", "float32")],
)
def test_multiples_of_one_channel_are_a_convolution(kind):
    model = build.depthwise_conv2d((2, 11, 9, 1), (4, 3), (2, 2), multiplier=20, **kind)
    assert_vector(model, "conv2d_vector")


def test_pixels_may_be_written_over_the_input():
    graph, node = read_operator(build.depthwise_conv2d((1, 6, 5, 4)))
    assert overlapped(graph, node, vector.lower) == (30 - 7) * 4


def test_multiples_are_lowered_as_ever():
    graph, node = read_operator(build.depthwise_conv2d((1, 6, 5, 2), multiplier=4))
    assert vector.lower(graph, node).kernel == table.lower(graph, node).kernel
