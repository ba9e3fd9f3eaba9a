"""SPLIT and SPLIT_V: TFLite's reference, ours and the native kernel agree."""

from __future__ import annotations

import build_tflite as build
from exact import why_refused
from hypothesis import given, settings
from hypothesis import strategies as st
from one_operator import assert_three_ways

TYPES = ("int8", "uint8", "int16", "int32", "float32")


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(TYPES), st.integers(1, 5), st.booleans())
def test_geometry(data, dtype, rank, by_size):
    shape = [data.draw(st.integers(1, 5)) for _ in range(rank)]
    axis = data.draw(st.integers(0, rank - 1))
    if by_size:
        sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    else:
        sizes = [data.draw(st.integers(1, 3))] * data.draw(st.integers(1, 5))
    shape[axis] = sum(sizes)
    assert_three_ways(build.split(shape, axis, sizes, dtype, by_size), overlap=False)


def test_sixteen_outputs_and_no_more():
    assert_three_ways(build.split((1, 3, 16), 2, [1] * 16), overlap=False)
    refused = why_refused(build.split((1, 17), 1, [1] * 17))
    assert refused == "A split must have at most 16 outputs."
