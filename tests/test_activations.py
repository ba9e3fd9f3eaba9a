"""RELU*, LEAKY_RELU, LOGISTIC, TANH, HARD_SWISH: TFLite's reference, ours and native agree."""

from __future__ import annotations

import numpy as np
import pytest
from exact import assert_answers, assert_exact, draw_values, golden_case, single_node, why_refused
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import tflite_reference
from tflite_writer import ModelBuilder

from midge.kernels import sigmoids, table

RELUS = ["RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"]
FIXED_OUTPUT = {
    ("LOGISTIC", "int8"): (1 / 256, -128),
    ("LOGISTIC", "int16"): (1 / 32768, 0),
    ("TANH", "int8"): (1 / 128, 0),
    ("TANH", "int16"): (1 / 32768, 0),
}
EVERY = {
    "int8": np.arange(-128, 128).astype(np.int8),
    "int16": np.arange(-32768, 32768).astype(np.int16),
}


def model(op, dtype, x=(None, 0), y=(None, 0), shape=None, **options):
    """A model of one activation; x and y are (scale, zero point)."""
    builder = ModelBuilder()
    shape = EVERY[dtype].shape if shape is None else shape
    tensors = [builder.tensor(shape, dtype, *quantization) for quantization in (x, y)]
    builder.node(op, tensors[:1], tensors[1:], **options)
    return builder.build(tensors[:1], tensors[1:])


int8_zero = st.integers(-128, 127)


def float32_power(low, high):
    return st.floats(low, high).map(lambda exponent: np.float32(2.0**exponent))


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([*RELUS, "LEAKY_RELU", "HARD_SWISH"]),
    float32_power(-9, 1),
    float32_power(-3, 3),
    int8_zero,
    int8_zero,
    st.floats(-0.5, 1.5, width=32),
)
def test_every_int8_number(op, scale, ratio, x_zero, y_zero, alpha):
    options = {"alpha": alpha} if op == "LEAKY_RELU" else {}
    content = model(op, "int8", (scale, x_zero), (scale * ratio, y_zero), **options)
    assert_exact(content, [EVERY["int8"]])


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["LOGISTIC", "TANH"]), float32_power(-12, 5), int8_zero)
def test_every_int8_argument(op, scale, zero):
    assert_exact(model(op, "int8", (scale, zero), FIXED_OUTPUT[op, "int8"]), [EVERY["int8"]])


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["RELU", "RELU6", "LEAKY_RELU"]),
    float32_power(-16, -5),
    float32_power(-3, 3),
    st.floats(-0.5, 1.5, width=32),
)
def test_every_int16_number(op, scale, ratio, alpha):
    options = {"alpha": alpha} if op == "LEAKY_RELU" else {}
    content = model(op, "int16", (scale, 0), (scale * ratio, 0), **options)
    assert_exact(content, [EVERY["int16"]])


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["LOGISTIC", "TANH"]),
    st.one_of(
        float32_power(-19, 1.3),
        st.builds(
            lambda power, nearly: np.float32(2.0**power * nearly),
            st.integers(-14, -9),
            st.sampled_from([1.0, 1.0005, 0.9995, 1.00068, 1.001]),
        ),
    ),
)
def test_every_int16_argument(op, scale):
    assert_exact(model(op, "int16", (scale, 0), FIXED_OUTPUT[op, "int16"]), [EVERY["int16"]])


def test_sigmoid_table_is_tflites():
    """With this scale tanh steps through the table entry by entry, and shows each."""
    content = model("TANH", "int16", (2 / 12288, 0), FIXED_OUTPUT["TANH", "int16"])
    (answers,) = tflite_reference(content, [EVERY["int16"]])
    entries = answers[32768::128].astype(np.int32) + 32768
    np.testing.assert_array_equal(sigmoids.sigmoid_table()[:255], entries[:255])


@pytest.mark.parametrize("op", [*RELUS, "LEAKY_RELU", "HARD_SWISH", "LOGISTIC"])
def test_float(op):
    values = draw_values(np.random.default_rng(0), (2, 5, 7, 13), "float32")
    options = {"alpha": 0.3} if op == "LEAKY_RELU" else {}
    values.reshape(-1)[:2] = np.nan, -np.nan
    with np.errstate(over="ignore"):
        assert_exact(model(op, "float32", shape=values.shape, **options), [values])


def test_float_logistic():
    """Numbers close together over all that isn't 0 or 1."""
    values = np.linspace(-105, 20, 300_000).astype(np.float32)
    assert_exact(model("LOGISTIC", "float32", shape=values.shape), [values])


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_rows(dtype):
    """More than one row and one image."""
    x = draw_values(np.random.default_rng(0), (2, 3, 4, 5), dtype)
    for op in ("LEAKY_RELU", "TANH"):
        y = FIXED_OUTPUT.get((op, dtype), (0.1, 0))
        assert_exact(model(op, dtype, (0.001, 0), y, x.shape), [x])


def test_int8_is_one_table():
    content = model("HARD_SWISH", "int8", (0.1, 3), (0.08, -4))
    graph, node = single_node(content)
    lowered = table.lower(graph, node)
    assert lowered.kernel == "lookup_s8"
    np.testing.assert_array_equal(
        lowered.fields["table"].array, tflite_reference(content, [EVERY["int8"]])[0]
    )


def test_refusals():
    assert why_refused(model("LOGISTIC", "int8", (0.1, 0), (1 / 128, 0))) == (
        "A logistic's output must have scale 1/256 and zero point -128 (int8), or 1/32768 and 0 "
        "(int16)."
    )
    assert why_refused(model("TANH", "int16", (0.1, 0), (1 / 128, 0))) == (
        "A tanh's output must have scale 1/128 and zero point 0 (int8), or 1/32768 and 0 (int16)."
    )
    assert why_refused(model("TANH", "int16", (2.7, 0), (1 / 32768, 0))) == (
        "An int16 input of logistic or tanh must have a scale under 2.6."
    )
    assert why_refused(model("HARD_SWISH", "int8", (1.0, 0), (1 / 128, 0))) == (
        "The output scale of an int8 hard_swish must be over 1/128 of the input scale."
    )


def test_seanet_golden(shared):
    models = sorted(shared.glob("op_tests/seanet/leaky_relu/*.tflite"))
    assert models
    for path in models:
        assert_answers(*golden_case(path))
