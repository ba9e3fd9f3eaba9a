"""Vector additions: the bits of the NumPy reference, over either operand."""

from __future__ import annotations

import build_tflite as build
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_call import run_native
from one_operator import operands, read_operator
from oracle import random_inputs

from midge.kernels import table
from midge.kernels.vector import add
from midge.kernels.vector import table as vector
from midge.runtime.rounding import in_floats

scales = st.sampled_from([0.003, 0.02, 0.05, 0.31])
LINEAR = ("add_linear_vector_s8", "add_linear_row_vector_s8")


def draw_model(data, shape, **options):
    outputs = st.sampled_from([0.05, 0.4, 1.0])  # such that the sum is scaled down
    return build.arithmetic(
        data.draw(st.sampled_from(["ADD", "SUB"])),
        shape,
        activation=data.draw(st.sampled_from(["NONE", "RELU"])),
        scales=(data.draw(scales), data.draw(scales), data.draw(outputs)),
        zero_points=tuple(data.draw(st.sampled_from([-128, -3, 0, 127])) for _ in range(3)),
        seed=data.draw(st.integers(0, 3)),
        **options,
    )


def assert_exact(graph, node, arrays, lower):
    (wanted,) = table.OPERATIONS[node.op].reference(graph, node, arrays)
    for overlap in (False, True):
        (actual,) = run_native(graph, node, arrays, overlap, lower)
        np.testing.assert_array_equal(actual, wanted, err_msg=f"{overlap=}")


def by_parts(graph, node):
    return add._by_parts(graph, node, table.lower(graph, node))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_sizes_and_scales(data):
    """A linear function, in either rounding; else, or if one asks for it, in parts."""
    shape = tuple(data.draw(st.integers(1, n)) for n in (2, 5, 7, 17))
    model = draw_model(data, shape)
    graph, node = read_operator(model)
    arrays = operands(graph, node, random_inputs(model, data.draw(st.integers(0, 3))))
    kernel = vector.lower(graph, node).kernel
    assert kernel in ("add_linear_vector_s8", "add_vector_s8")
    assert_exact(graph, node, arrays, vector.lower)
    assert_exact(graph, node, arrays, by_parts)
    rounded = in_floats(graph)
    assert_exact(rounded, node, arrays, vector.lower)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_rows(data):
    """The second or first operand is the same for all rows, or for all columns too."""
    shape = tuple(data.draw(st.integers(1, n)) for n in (2, 5, 7, 35))
    other = (1, 1, data.draw(st.sampled_from([1, shape[2]])), shape[3])
    model = draw_model(data, shape, other=other, constant=data.draw(st.booleans()))
    graph, node = read_operator(model)
    arrays = operands(graph, node, random_inputs(model, data.draw(st.integers(0, 3))))
    assert_exact(graph, node, arrays, vector.lower)


@pytest.mark.parametrize("other", [None, (1, 1, 4, 7), (1, 1, 1, 7)])
def test_most_are_linear(other):
    options = {} if other is None else {"other": other, "constant": True}
    graph, node = read_operator(build.arithmetic(shape=(1, 3, 4, 7), **options))
    assert vector.lower(graph, node).kernel == LINEAR[other is not None]


@pytest.mark.parametrize(
    "model",
    [
        build.arithmetic(other=(1, 1, 4, 1)),
        build.arithmetic(dtype="int16"),
        build.arithmetic(scales=(9.0, 9.0, 1e-9)),
    ],
    ids=["broadcast", "int16", "scaled up"],
)
def test_what_has_no_vector_kernel_is_lowered_as_ever(model):
    graph, node = read_operator(model)
    assert vector.lower(graph, node).kernel == table.lower(graph, node).kernel
