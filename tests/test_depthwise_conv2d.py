"""DEPTHWISE_CONV_2D: TFLite's reference, ours and the native kernel agree on every geometry."""

from __future__ import annotations

import build_tflite as build
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from one_operator import assert_three_ways
from test_conv2d import ACTIVATIONS, TYPES, fits, pairs


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(TYPES))
def test_geometry(data, dtype):
    sizes = [data.draw(st.integers(1, n)) for n in (2, 11, 11)]
    shape = (*sizes, data.draw(st.sampled_from([1, 3, 4, 17])))
    kernel = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    stride, dilation = data.draw(pairs), data.draw(pairs)
    padding = data.draw(st.sampled_from(["SAME", "VALID"]))
    assume(padding == "SAME" or fits(shape, kernel, dilation))
    model = build.depthwise_conv2d(
        shape,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        multiplier=data.draw(st.sampled_from([1, 1, 2, 5])),
        padding=padding,
        activation=data.draw(st.sampled_from(ACTIVATIONS)),
        dtype=dtype,
        per_channel=data.draw(st.booleans()),
        bias=data.draw(st.booleans()),
        seed=data.draw(st.integers(0, 5)),
    )
    assert_three_ways(model, seed=data.draw(st.integers(0, 3)))


@pytest.mark.parametrize("dtype", TYPES)
def test_more_channels_than_a_block(dtype):
    """Channels are computed in blocks of 64; the last block may be short."""
    assert_three_ways(build.depthwise_conv2d((1, 4, 5, 67), multiplier=2, dtype=dtype))
    assert_three_ways(build.depthwise_conv2d((1, 4, 5, 128), dtype=dtype))
