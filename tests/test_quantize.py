"""QUANTIZE and DEQUANTIZE: TFLite's reference, ours and the native kernels agree."""

from __future__ import annotations

import numpy as np
import pytest
from exact import (
    BOUNDARY,
    assert_answers,
    assert_exact,
    draw_values,
    golden_case,
    single_node,
    why_refused,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_writer import ModelBuilder

from midge.kernels import table

BETWEEN_INTEGERS = [
    ("int8", "int8"),
    ("int8", "uint8"),
    ("uint8", "int8"),
    ("uint8", "uint8"),
    ("int16", "int8"),
    ("int16", "int16"),
    ("int16", "int32"),
    ("int32", "int8"),
    ("int32", "int16"),
]
EXPONENTS = {"int8": -5, "uint8": -5, "int16": -11, "int32": -22}


def model(source, target, x=(None, 0), y=(None, 0), shape=(1, 6, 40, 30)):
    """A model of one QUANTIZE or DEQUANTIZE; x and y are (scale, zero point)."""
    builder = ModelBuilder()
    tensors = [builder.tensor(shape, source, *x), builder.tensor(shape, target, *y)]
    builder.node("DEQUANTIZE" if target == "float32" else "QUANTIZE", tensors[:1], tensors[1:])
    return builder.build(tensors[:1], tensors[1:])


@st.composite
def quantizations(draw, dtype):
    scale = np.float32(2.0 ** draw(st.floats(EXPONENTS[dtype] - 4, EXPONENTS[dtype] + 4)))
    zeros = {"int8": (-128, 127), "uint8": (0, 255)}.get(dtype, (0, 0))
    return scale, draw(st.integers(*zeros))


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(BETWEEN_INTEGERS), st.integers(0, 1000))
def test_between_integers(data, dtypes, seed):
    x, y = (data.draw(quantizations(dtype)) for dtype in dtypes)
    values = draw_values(np.random.default_rng(seed), (1, 6, 40, 30), dtypes[0])
    assert_exact(model(*dtypes, x, y), [values])


@pytest.mark.parametrize("pair", [("int8", "uint8"), ("uint8", "int8")])
def test_same_scale_flips_the_sign_bit(pair):
    zeros = [5 + 128 * (dtype == "uint8") for dtype in pair]
    values = np.arange(256).astype(np.uint8).view(pair[0])
    assert_exact(model(*pair, (0.1, zeros[0]), (0.1, zeros[1]), (256,)), [values])
    assert_answers(
        model(*pair, (0.1, zeros[0]), (0.1, zeros[1]), (256,)),
        [values],
        [(values.view(np.uint8) ^ 128).view(pair[1])],
    )


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(["int8", "uint8", "int16"]), st.integers(0, 1000))
def test_from_float(data, target, seed):
    y, rng = data.draw(quantizations(target)), np.random.default_rng(seed)
    steps = rng.normal(0, 200, (1, 6, 40, 30))
    steps[:, :3] = np.rint(steps[:, :3]) + 0.5  # ties
    values = (steps * float(y[0])).astype(np.float32)
    values.reshape(-1)[: len(BOUNDARY["float32"]) - 4] = BOUNDARY["float32"][2:-2]
    assert_exact(model("float32", target, y=y), [values])


@pytest.mark.parametrize("target", ["int8", "uint8", "int16"])
def test_float_that_fits_no_integer(target):
    """What C leaves undefined (and TFLite's answers show it) is defined here."""
    values = np.array([np.inf, 3e38, 2.0**31, -np.inf, -3e38, np.nan], np.float32)
    limits, zero = np.iinfo(target), 0 if target == "int16" else 7
    wanted = np.array([limits.max] * 3 + [limits.min] * 2 + [zero], target)
    assert_answers(model("float32", target, y=(0.5, zero), shape=(6,)), [values], [wanted])


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["int8", "uint8", "int16"]))
def test_to_float(data, source):
    limits = np.iinfo(source)
    values = np.arange(limits.min, limits.max + 1).astype(source)
    x = data.draw(quantizations(source))
    assert_exact(model(source, "float32", x, shape=values.shape), [values])


@pytest.mark.parametrize("target", ["int16", "int32"])
def test_int8_to_wider(target):
    """TFLite 2.14 has no such kernel; TFLM has, by the same rule as for int16 input."""
    values = np.arange(-128, 128).astype(np.int8)
    x, y = (np.float32(0.07), 0), (np.float32(0.0003), 0)
    (wanted,) = _reference(model("int16", target, x, y, (256,)), values.astype(np.int16))
    assert_answers(model("int8", target, x, y, (256,)), [values], [wanted])


def _reference(content, values):
    graph, node = single_node(content)
    return table.OPERATIONS["quantize"].reference(graph, node, [values])


def test_refusals():
    assert why_refused(model("float32", "int32", y=(0.1, 0))) == (
        "quantize must be from float32 to int8, uint8 or int16, between int8, uint8 and int16, "
        "from int8 or int16 to int32, or from int32 to int8 or int16."
    )
    assert why_refused(model("int32", "int8", (1.0, 0), (2.0**-30, 0))) == (
        "Input scale / output scale of a requantization must be under 2**30."
    )


def test_seanet_golden(shared):
    models = sorted(shared.glob("op_tests/seanet/quantize/*.tflite"))
    assert models
    for path in models:
        assert_answers(*golden_case(path))
