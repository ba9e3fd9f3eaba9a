"""MEAN: TFLite's reference, ours and the native kernels agree."""

from __future__ import annotations

import numpy as np
import pytest
from exact import assert_exact, draw_values, single_node, why_refused
from hypothesis import given, settings
from hypothesis import strategies as st
from one_operator import assert_three_ways
from tflite_writer import ModelBuilder

from midge.kernels.mean import axis_groups, folded_multiplier


def model(shape, axes, keep_dims, dtype, x=(None, 0), y=(None, 0)):
    """A model of one MEAN; x and y are (scale, zero point)."""
    builder = ModelBuilder()
    dropped = {axis % len(shape) for axis in axes}
    kept = [1 if i in dropped else n for i, n in enumerate(shape) if keep_dims or i not in dropped]
    tensors = [builder.tensor(shape, dtype, *x), builder.tensor(kept, dtype, *y)]
    builder.node("MEAN", [tensors[0], builder.constant(axes)], tensors[1:], keep_dims=keep_dims)
    return builder.build(tensors[:1], tensors[1:])


@st.composite
def cases(draw):
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=1, max_size=5)))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    dtype = draw(st.sampled_from(["int8", "int16", "float32"]))
    x = (np.float32(2.0 ** draw(st.floats(-9, 0))), draw(st.integers(-128, 127)))
    y = (x[0] * np.float32(2.0 ** draw(st.floats(-2, 2))), draw(st.integers(-128, 127)))
    if draw(st.booleans()):
        y = x
    if dtype == "int16":
        x, y = (x[0], 0), (y[0], 0)
    if dtype == "float32":
        x, y = (None, 0), (None, 0)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    values = draw_values(rng, shape, dtype)
    if dtype == "float32":
        values = np.clip(values, -1e6, 1e6)
    negative = draw(st.booleans())
    named = [axis - len(shape) if negative else axis for axis in axes]
    return model(shape, named, draw(st.booleans()), dtype, x, y), values


@settings(max_examples=400, deadline=None)
@given(cases())
def test_shapes_axes_and_scales(case):
    content, values = case
    assert_exact(content, [values])


@pytest.mark.parametrize("keep_dims", [False, True])
@pytest.mark.parametrize("axes", [(1, 2), (2, 1)])
@pytest.mark.parametrize("dtype", ["int8", "int16", "uint8", "float32"])
@pytest.mark.parametrize("y", [(0.05, 3), (0.07, -4)])
def test_global_pooling(axes, keep_dims, dtype, y):
    zeros = {"int8": (3, y[1]), "int16": (0, 0), "uint8": (131, 128 + y[1])}
    quantizations = [(None, 0), (None, 0)]
    if dtype != "float32":
        quantizations = list(zip((0.05, y[0]), zeros[dtype], strict=True))
    for shape in ((1, 7, 7, 64), (2, 5, 9, 17), (1, 1, 1, 3)):
        assert_three_ways(model(shape, axes, keep_dims, dtype, *quantizations))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_many_numbers_of_one_sign(dtype):
    """Sums near the 32-bit limit."""
    count = 1 << 15 if dtype == "int16" else 1 << 17
    limits = np.iinfo(dtype)
    for value in (limits.min, limits.max):
        content = model((2, count), [1], False, dtype, (0.1, 0), (0.09, 0))
        assert_exact(content, [np.full((2, count), value, dtype)])


def test_division_is_folded_into_the_multiplier():
    graph, node = single_node(model((1, 3, 3, 2), (1, 2), False, "int8", (0.5, 0), (0.5, 0)))
    multiplier, shift = folded_multiplier(graph, node)  # of 1 = 2**30 * 2**(1 - 31)
    assert (multiplier, shift) == ((1 << 30 << 3) // 9, 1 - 3)


def test_axis_groups():
    """Neighbours merge and axes of size 1 vanish: kept sizes, strides, then reduced ones."""
    groups = axis_groups((2, 3, 1, 4, 5), (1, 3))
    np.testing.assert_array_equal(groups, [[1, 2, 5], [1, 60, 1], [1, 1, 12], [1, 1, 5]])


def test_refusals():
    assert why_refused(model((2, 1 << 16), [1], False, "int16", (0.1, 0), (0.1, 0))) == (
        "A mean must be over at most 2**23 int8 or 2**15 int16 numbers: the sum has 32 bits."
    )
    assert why_refused(model((1,) * 7, [1], False, "float32")) == (
        "A mean's input must have at most six axes, and none of size 0."
    )
    assert why_refused(model((2, 3), [1], False, "int8", (1.0, 0), (2.0**-30, 0))) == (
        "Input scale / output scale of a quantized mean must be from 2**-31 to 2**30."
    )
