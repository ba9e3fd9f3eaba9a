"""What operators with weights share: the product of scales that TFLite rounds to float32, on sums
where it shows, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import build_tflite as build
import numpy as np
import pytest
from one_operator import as_int8, operands, read_operator
from oracle import tflite_reference
from tflite_writer import ModelBuilder

from midge.kernels import fixedpoint as fp
from midge.kernels import table
from midge.runtime.graph import Quantization

SCALES = [np.float32(s) for s in (0.006, 0.00025, 0.0429)]  # input, weights, output
WEIGHTS_SHAPE = {
    "CONV_2D": lambda n: (n, 1, 1, 1),
    "DEPTHWISE_CONV_2D": lambda n: (1, 1, 1, n),
    "TRANSPOSE_CONV": lambda n: (n, 1, 1, 1),
    "FULLY_CONNECTED": lambda n: (n, 1),
}


def telling_sums() -> np.ndarray:
    """Sums that requantize differently with a product of scales in double and in float32."""
    x, w, y = SCALES
    reals = float(x) * float(w) / float(y), float(x * w) / float(y)
    (exact, rounded), shifts = fp.quantize_multipliers(reals)
    assert exact != rounded and shifts[0] == shifts[1]
    near_ties = np.round((np.arange(-30000, 30000) + 0.5) / reals[0]).astype(np.int64)
    sums = (near_ties[:, None] + np.arange(-2, 3)).reshape(-1)
    a, b = (fp.multiply_by_quantized_multiplier(sums, m, shifts[0]) for m in (exact, rounded))
    return sums[a != b]


def model_of_sums(op: str, dtype: str, sums: np.ndarray, weights_zero: int) -> bytes:
    """A layer whose bias is `sums` and whose input is all zero point."""
    count, zero = len(sums), 128 if dtype == "uint8" else 0
    model, shape = ModelBuilder(), WEIGHTS_SHAPE[op](count)
    channels = count if op.startswith("DEPTHWISE") else 1
    ones = (1,) * (len(shape) - 1)
    x = model.tensor((*ones, channels), dtype, SCALES[0], zero)
    kind = "uint8" if dtype == "uint8" else "int8"
    weights = model.constant(np.full(shape, 9), kind, scale=SCALES[1], zero_point=weights_zero)
    bias = model.constant(sums, "int32", scale=SCALES[0] * SCALES[1])
    y = model.tensor((*ones, count), dtype, SCALES[2], zero)
    options = {} if op == "FULLY_CONNECTED" else {"stride_w": 1, "stride_h": 1, "padding": "VALID"}
    if op.startswith("DEPTHWISE"):
        options["depth_multiplier"] = 1
    inputs = [x, weights, bias]
    if op == "TRANSPOSE_CONV":
        inputs = [model.constant([1, 1, 1, count]), weights, x, bias]
    model.node(op, inputs, [y], **options)
    return model.build([x], [y])


@pytest.mark.parametrize("op", WEIGHTS_SHAPE)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_scale_product_is_that_of_tflite(op, dtype):
    if (op, dtype) == ("DEPTHWISE_CONV_2D", "int16"):
        pytest.skip("TFLite takes no int32 bias for int16 depthwise convolution")
    sums = telling_sums()
    if dtype != "int16":
        sums = sums[np.abs(sums) < 120 / (SCALES[0] * SCALES[1] / SCALES[2])]
    assert len(sums) > 50
    model = model_of_sums(op, dtype, sums, weights_zero=119 if dtype == "uint8" else 0)
    graph, node = read_operator(model)
    x = np.full(graph.input(node).shape, 128 if dtype == "uint8" else 0, dtype)
    wanted = [as_int8(value) for value in tflite_reference(model, [x])]
    arrays = operands(graph, node, [x])
    actual = table.OPERATIONS[node.op].reference(graph, node, arrays)
    np.testing.assert_array_equal(actual, wanted)


BUILDERS = (build.conv2d, build.depthwise_conv2d, build.fully_connected, build.transpose_conv)


@pytest.mark.parametrize("make", BUILDERS)
def test_what_kernels_rely_on_is_refused_otherwise(make):
    """Each change breaks one constraint, whose own words are the answer."""
    graph, node = read_operator(make())
    weights, bias = (graph.tensors[i] for i in node.inputs[1:3])
    y = graph.output(node)
    tiny = Quantization(np.array([1e-30]), np.array([0]))
    gelu = replace(node, attrs=replace(node.attrs, activation="gelu"))
    broken = [
        (node, replace(weights, data=None), "Weights and bias must be constants."),
        (node, replace(bias, data=None), "Weights and bias must be constants."),
        (
            node,
            replace(bias, shape=(2,), data=bias.data[:2]),
            "A bias must have one value for each output channel.",
        ),
        (
            node,
            replace(y, quantization=None),
            "Integer input, weights and output must be quantized, with one scale for input and "
            "output.",
        ),
        (
            node,
            replace(y, quantization=tiny),
            "Input scale * weight scale / output scale must be under 2^30, or 2^7 with an int64 "
            "bias.",
        ),
        (
            node,
            replace(y, dtype="int16"),
            "Input, weights and bias must be int8, int8, int32; or int16, int8, int64 or int32; or "
            "all float32; and the output of the input's type.",
        ),
        (gelu, y, "A fused activation must be none, relu, relu6 or relu_n1_to_1."),
    ]
    for changed, tensor, why in broken:
        other = graph.with_nodes([changed], {tensor.index: tensor})
        refused = table.refusal(other, changed, 3)
        assert refused is not None
        assert (refused.node, refused.operator, refused.why) == (3, node.op, why)


def test_int16_zero_points_are_refused():
    graph, node = read_operator(build.conv2d(dtype="int16"))
    x = graph.input(node)
    shifted = replace(x, quantization=Quantization(x.quantization.scales, np.array([3])))
    refused = table.refusal(graph.with_nodes([node], {x.index: shifted}), node, 0)
    assert refused is not None
    assert refused.why == "int16 input and output, and the weights between, must have zero point 0."
