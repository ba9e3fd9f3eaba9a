"""Vector additions: the bits of the NumPy reference, over either operand."""

from __future__ import annotations

import build_tflite as build
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_operator import read_operator
from vector_call import assert_vector

from midge.kernels import table
from midge.kernels.vector import table as vector

scales = st.sampled_from([0.003, 0.02, 0.05, 0.31])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_sizes_and_scales(data):
    shape = tuple(data.draw(st.integers(1, n)) for n in (2, 5, 7, 17))
    outputs = st.sampled_from([0.05, 0.4, 1.0])  # such that the sum is scaled down
    model = build.arithmetic(
        data.draw(st.sampled_from(["ADD", "SUB"])),
        shape,
        activation=data.draw(st.sampled_from(["NONE", "RELU"])),
        scales=(data.draw(scales), data.draw(scales), data.draw(outputs)),
        zero_points=tuple(data.draw(st.sampled_from([-128, -3, 0, 127])) for _ in range(3)),
        seed=data.draw(st.integers(0, 3)),
    )
    assert_vector(model, "add_vector", data.draw(st.integers(0, 3)))


@pytest.mark.parametrize(
    "model",
    [
        build.arithmetic(other=(1, 1, 4, 1)),
        build.arithmetic(constant=True),
        build.arithmetic(dtype="int16"),
        build.arithmetic(scales=(9.0, 9.0, 1e-9)),
    ],
    ids=["broadcast", "constant", "int16", "scaled up"],
)
def test_what_has_no_vector_kernel_is_lowered_as_ever(model):
    graph, node = read_operator(model)
    assert vector.lower(graph, node).kernel == table.lower(graph, node).kernel
