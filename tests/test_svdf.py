"""SVDF: TFLite's reference, ours and the native kernel agree on answers and states."""

from __future__ import annotations

from dataclasses import replace

import build_tflite as build
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_operator import read_operator
from stateful import assert_states_are_carried

from midge.kernels import table
from midge.kernels.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier

geometry = {
    "batch": st.integers(1, 3),
    "depth": st.sampled_from([1, 3, 17, 64]),
    "units": st.sampled_from([1, 3, 17]),
    "rank": st.integers(1, 3),
    "memory": st.sampled_from([1, 2, 9]),
    "bias": st.booleans(),
    "seed": st.integers(0, 1000),
}


@settings(max_examples=150, deadline=None)
@given(st.fixed_dictionaries(geometry), st.integers(0, 9))
def test_int8(shape, seed):
    assert_states_are_carried(build.svdf(**shape), seed, count=4)


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(geometry),
    st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]),
    st.integers(0, 9),
)
def test_float32(shape, activation, seed):
    content = build.svdf(**shape, dtype="float32", activation=activation)
    assert_states_are_carried(content, seed, count=4)


def test_output_multiplier_is_float32():
    """Totals, set by the bias, for which a multiplier computed in double gives another output."""
    x_scale, state_scale, time_scale, y_scale = (np.float32(s) for s in (0.1, 3e-4, 7e-6, 0.013))
    rules = [
        float(state_scale * time_scale / y_scale),
        float(state_scale) * float(time_scale) / float(y_scale),
    ]
    near = (np.arange(-100, 100) + 0.5) / rules[1]
    totals = (np.round(near)[:, None] + np.arange(-60, 61)).astype(np.int64).reshape(-1)
    outputs = [multiply_by_quantized_multiplier(totals, *quantize_multiplier(r)) for r in rules]
    totals = totals[outputs[0] != outputs[1]]
    units = len(totals)
    assert units > 100
    model = build.ModelBuilder()
    x = model.tensor((1, 1), "int8", x_scale)
    features = model.constant(np.zeros((units, 1)), "int8", scale=0.01)
    times = model.constant(np.zeros((units, 1)), "int16", scale=time_scale)
    bias = model.constant(totals, "int32", scale=1e-9)
    state = model.tensor((1, units), "int16", state_scale, variable=True)
    y = model.tensor((1, units), "int8", y_scale)
    operands = [x, features, times, bias, state]
    model.node("SVDF", operands, [y], rank=1, fused_activation_function="RELU")
    assert_states_are_carried(model.build([x], [y]), count=1)


@pytest.mark.parametrize(
    ("dtype", "activation"), [("int8", "none"), ("int8", "relu6"), ("float32", "tanh")]
)
def test_activations_that_are_refused(dtype, activation):
    """TFLite's own int8 SVDF fails on anything but RELU."""
    graph, node = read_operator(build.svdf(dtype=dtype))
    assert table.refusal(graph, node, 0) is None
    other = replace(node, attrs=replace(node.attrs, activation=activation))
    refused = table.refusal(graph, other, 0)
    assert refused is not None and refused.why.startswith("The activation must be relu")
