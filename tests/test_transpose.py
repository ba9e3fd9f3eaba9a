"""TRANSPOSE: TFLite's reference, ours and the native kernel agree."""

from __future__ import annotations

import build_tflite as build
from hypothesis import given, settings
from hypothesis import strategies as st
from one_operator import assert_three_ways, read_operator

from midge.kernels import table


@settings(max_examples=150, deadline=None)
@given(
    st.data(),
    st.sampled_from(["int8", "uint8", "int16", "int32", "int64", "float32"]),
    st.integers(1, 6),
)
def test_geometry(data, dtype, rank):
    shape = tuple(data.draw(st.integers(1, 5)) for _ in range(rank))
    permutation = data.draw(st.permutations(range(rank)))
    assert_three_ways(build.transpose(shape, permutation, dtype))


def test_axes_that_stay_together_are_copied_together():
    graph, node = read_operator(build.transpose((2, 3, 4, 5), (2, 0, 1, 3)))
    axes = table.lower(graph, node).fields["axes"].array
    assert axes.tolist() == [[1, 1, 1, 4, 6, 5], [0, 0, 0, 5, 20, 1]]
