"""TRANSPOSE_CONV: TFLite's reference, ours and the native kernel agree on every geometry."""

from __future__ import annotations

import build_tflite as build
from hypothesis import given, settings
from hypothesis import strategies as st
from one_operator import assert_three_ways
from test_conv2d import TYPES, pairs


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(TYPES))
def test_geometry(data, dtype):
    sizes = [data.draw(st.integers(1, n)) for n in (2, 6, 6)]
    model = build.transpose_conv(
        (*sizes, data.draw(st.sampled_from([1, 3, 17]))),
        filters=data.draw(st.sampled_from([1, 2, 5])),
        kernel=data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5))),
        stride=data.draw(pairs),
        padding=data.draw(st.sampled_from(["SAME", "VALID"])),
        dtype=dtype,
        per_channel=data.draw(st.booleans()),
        bias=data.draw(st.booleans()),
        seed=data.draw(st.integers(0, 5)),
    )
    assert_three_ways(model, seed=data.draw(st.integers(0, 3)))
