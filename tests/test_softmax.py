"""SOFTMAX: TFLite's reference, ours and the native kernels agree."""

from __future__ import annotations

from dataclasses import replace

import exact
import numpy as np
import pytest
from exact import assert_node_answers, draw_values, single_node, why_refused
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import tflite_reference
from tflite_writer import ModelBuilder

from midge.runtime.graph import Quantization

OUTPUTS = {  # (input dtype, output dtype) -> output scale and zero point
    ("int8", "int8"): (1 / 256, -128),
    ("int8", "int16"): (1 / 65536, -32768),
    ("int16", "int16"): (1 / 32768, 0),
}
SHAPES = [(1, 10), (3, 1), (7, 2), (1, 5, 4, 6), (2, 3, 4, 6), (2, 5, 100), (4,), (1, 1000)]


def model(shape, dtypes, scale, zero_point=0, beta=1.0, output=None):
    """A model of one SOFTMAX."""
    builder = ModelBuilder()
    x = builder.tensor(shape, dtypes[0], scale, zero_point)
    y = builder.tensor(shape, dtypes[1], *(output or OUTPUTS[dtypes]))
    builder.node("SOFTMAX", [x], [y], beta=beta)
    return builder.build([x], [y])


def assert_exact(values, dtypes, scale, zero_point=0, beta=1.0):
    """All three agree. The importer has no int8 softmax with int16 output, so the graph of one is
    that of another with a changed output."""
    wanted = tflite_reference(model(values.shape, dtypes, scale, zero_point, beta), [values])
    twin = model(values.shape, (dtypes[0], dtypes[0]), scale, zero_point, beta)
    graph, node = single_node(twin)
    y_scale, y_zero = OUTPUTS[dtypes]
    y = replace(graph.output(node), dtype=dtypes[1], quantization=Quantization([y_scale], [y_zero]))
    graph = replace(graph, tensors={**graph.tensors, y.index: y})
    assert_node_answers(graph, node, [values], wanted)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(list(OUTPUTS)),
    st.sampled_from(SHAPES),
    st.floats(-6, 4),
    st.integers(-128, 127),
    st.sampled_from([1.0, 0.5, 2.3, 1e-3]),
    st.floats(-7, 0),
    st.integers(0, 1000),
)
def test_scales_and_spreads(dtypes, shape, exponent, zero_point, beta, spread, seed):
    bits = 3 if dtypes[0] == "int8" else 11
    scale, zero_point = np.float32(2.0 ** (exponent - bits)), zero_point * (dtypes[0] == "int8")
    values = draw_values(np.random.default_rng(seed), shape, dtypes[0])
    values = np.rint(values * 2.0**spread).astype(dtypes[0])  # close to each other, or not
    assert_exact(values, dtypes, scale, zero_point, beta)


@pytest.mark.parametrize("depth", [255, 256, 257, 1000, 4095])
@pytest.mark.parametrize("dtypes", list(OUTPUTS), ids="-".join)
def test_equal_numbers(dtypes, depth):
    """An int8 sum of exponentials of 256 and more makes TFLite's answers saturate."""
    assert_exact(np.full((2, depth), 5, dtypes[0]), dtypes, 0.1)


@pytest.mark.parametrize("scale", [1e-4, 10 / 65535, 3e-4])
def test_every_int16_difference(scale):
    """All of both tables: one number is the greatest, the other takes every value."""
    x = np.stack([np.full(65536, 32767), np.arange(-32768, 32768)], axis=-1).astype(np.int16)
    assert_exact(x, ("int16", "int16"), scale)


@pytest.mark.parametrize("scale", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("target", ["int8", "int16"])
def test_every_int8_pair(target, scale):
    x = np.stack(np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)), axis=-1)
    assert_exact(x.astype(np.int8), ("int8", target), scale, 3)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(SHAPES),
    st.sampled_from([1.0, 0.5, 2.3, 1e-3]),
    st.floats(-8, 4),
    st.integers(0, 1000),
)
def test_float(shape, beta, spread, seed):
    values = np.random.default_rng(seed).normal(0, 2.0**spread, shape).astype(np.float32)
    content = model(shape, ("float32", "float32"), None, beta=beta, output=(None, 0))
    exact.assert_exact(content, [values])


def test_float_extremes():
    infinity, nan, large = np.inf, np.nan, np.float32(3.4e38)
    rows = [
        [infinity, 1, 2], [-infinity] * 3, [nan, 1, 2], [1, nan, 2], [large, -large, 0],
        [-infinity, 0, 0], [large] * 3, [-large] * 3, [0.0, -0.0, -104.0],
    ]  # fmt: skip
    values = np.array(rows, np.float32)
    content = model(values.shape, ("float32", "float32"), None, output=(None, 0))
    exact.assert_exact(content, [values])


def test_refusals():
    assert why_refused(model((1, 4096), ("int8", "int8"), 0.1)) == (
        "A softmax must be over at least one number, in int8 over at most 4095, in int16 65535."
    )
    assert why_refused(model((1, 10), ("int8", "int8"), 0.1, output=(1 / 128, -128))) == (
        "A softmax's output must have scale 1/256 and zero point -128 (int8), 1/65536 and -32768 "
        "(int8 to int16), or 1/32768 and 0 (int16)."
    )
    assert why_refused(model((1, 10), ("int8", "int8"), 2.0**-26)) == (
        "beta * input scale of an int8 softmax must be more than 2**-26."
    )
