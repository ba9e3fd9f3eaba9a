"""FULLY_CONNECTED: TFLite's reference, ours and the native kernel agree."""

from __future__ import annotations

import build_tflite as build
from hypothesis import given, settings
from hypothesis import strategies as st
from one_operator import assert_three_ways
from test_conv2d import ACTIVATIONS, TYPES


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(TYPES))
def test_geometry(data, dtype):
    keep_dims, per_channel = data.draw(st.booleans()), data.draw(st.booleans())
    # TFLite 2.14 takes the first two axes of an output for batch and units in its per-channel
    # kernel, and leaves the rest of a deeper output unwritten.
    keep_dims = keep_dims and not per_channel
    lead = data.draw(st.sampled_from([(1,), (3,), (1, 2), (2, 1, 3)]))
    model = build.fully_connected(
        (*lead, data.draw(st.sampled_from([1, 3, 17, 64, 129]))),
        units=data.draw(st.sampled_from([1, 2, 9, 33])),
        activation=data.draw(st.sampled_from(ACTIVATIONS)),
        dtype=dtype,
        bias=data.draw(st.booleans()),
        keep_dims=keep_dims,
        per_channel=per_channel,
        seed=data.draw(st.integers(0, 5)),
    )
    assert_three_ways(model, seed=data.draw(st.integers(0, 3)))
