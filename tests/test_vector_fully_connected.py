"""Vector fully connected layers: the bits of the NumPy reference."""

from __future__ import annotations

import build_tflite as build
from hypothesis import given, settings
from hypothesis import strategies as st
from vector_call import assert_vector


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_sizes(data):
    depth = data.draw(st.sampled_from([1, 3, 4, 17, 64, 130, 1100]))
    dtype = data.draw(st.sampled_from(["int8", "uint8", "int16", "float32"]))
    without = dtype != "int16" or depth < 500  # else sums may have more than their 32 bits
    model = build.fully_connected(
        shape=(data.draw(st.integers(1, 3)), depth),
        units=data.draw(st.sampled_from([1, 3, 16, 17, 33, 64, 128, 150, 300])),
        activation=data.draw(st.sampled_from(["NONE", "RELU", "RELU6"])),
        bias=data.draw(st.booleans()) or not without,
        dtype=dtype,
        seed=data.draw(st.integers(0, 5)),
    )
    assert_vector(model, "fully_connected_vector", data.draw(st.integers(0, 3)))
