"""Write the binarized digit network, from its trained parameters, in Larq's operators and as ONNX.

`train_digits_bnn.py` trains it. Both forms are one network: signs below 0 are -1, and outside an
image is +1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..runtime.binary_weights import fold_sign
from .larq_writer import LarqBuilder

CLASSES = 10
SIDE = 28
EPSILON = 1e-5  # of batch normalization
FIRST = 32  # channels of the first layer
BLOCKS = ((FIRST, 64), (64, 64), (64, 64))  # channels of the binary layers, in and out

# weights and norms (gamma, beta, mean, variance) of the layers, ranges of real activations
Parameters = Mapping[str, np.ndarray]


def slope_and_offset(norm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Batch normalization as y = slope * x + offset."""
    gamma, beta, mean, variance = norm.astype(np.float64)
    slope = gamma / np.sqrt(variance + EPSILON)
    return slope, beta - slope * mean


def ohwi(weights: np.ndarray) -> np.ndarray:
    """[out, in, height, width] to TFLite's [out, height, width, in]."""
    return np.ascontiguousarray(weights.transpose(0, 2, 3, 1))


# ---- as .tflite with Larq's operators ----------------------------------------------------------


def to_tflite(p: Parameters) -> bytes:
    """int8 in (pixel - 128) and out (ten probabilities, scale 1/256, zero point -128)."""
    model = LarqBuilder()
    image = model.tensor((1, SIDE, SIDE, 1), "int8", 1 / 255, -128, name="image")
    x = _first_layer(model, image, p)
    size, channels = SIDE // 2, FIRST
    for i, (_, filters) in enumerate(BLOCKS):
        weights = ohwi(p[f"weights{i}"])
        shape = (1, size, size, filters)
        if i == len(BLOCKS) - 1:
            y = model.tensor(shape, "int8", float(p["block_range"]) / 127)
            slope, offset = slope_and_offset(p[f"norm{i}"])
            model.lce_bconv2d(x, weights < 0, y, channels, slope, offset)
        else:
            products = math.prod(weights.shape[1:])
            limits, flipped = fold_sign(list(p[f"norm{i}"]), EPSILON, products)
            negative = (weights < 0) ^ flipped[:, None, None, None]
            y = model.lce_bconv2d(x, negative, model.packed(shape), channels, thresholds=limits)
        if i == 0:  # of signs, the greatest of a window is the sign of its greatest
            size //= 2
            pooled = model.packed((1, size, size, filters))
            y = model.lce_bmax_pool2d(y, pooled, (2, 2), (2, 2), "VALID")
        x, channels = y, filters
    return model.build([image], [_last_layers(model, x, channels, p)])


def _first_layer(model: LarqBuilder, image: int, p: Parameters) -> int:
    """Only signs of its output count: it is rounded down, so that no negative becomes 0."""
    out_scale = float(p["first_range"]) / 127
    slope, offset = slope_and_offset(p["first_norm"])
    weights = ohwi(p["first"]) * slope[:, None, None, None]
    scales = np.abs(weights).max(axis=(1, 2, 3)) / 127
    whole = np.round(weights / scales[:, None, None, None])
    kernel = model.constant(whole, "int8", scale=scales, axis=0)
    down = (offset - out_scale / 2) / (scales / 255)
    bias = model.constant(np.round(down), "int32", scale=scales / 255)
    shape = (1, SIDE // 2, SIDE // 2, FIRST)
    y = model.tensor(shape, "int8", out_scale)
    model.node("CONV_2D", [image, kernel, bias], [y], stride_w=2, stride_h=2, padding="SAME")
    return model.lce_quantize(y)


def _last_layers(model: LarqBuilder, x: int, channels: int, p: Parameters) -> int:
    """Mean of each channel, fully connected layer, softmax."""
    mean_scale = float(p["mean_range"]) / 127
    mean = model.tensor((1, channels), "int8", mean_scale)
    model.node("MEAN", [x, model.constant([1, 2])], [mean], keep_dims=False)
    scale = float(np.abs(p["last"]).max()) / 127
    weights = model.constant(np.round(p["last"] / scale), "int8", scale=scale)
    unit = scale * mean_scale
    bias = model.constant(np.round(p["last_bias"] / unit), "int32", scale=unit)
    logits = model.tensor((1, CLASSES), "int8", float(p["last_range"]) / 127)
    model.node("FULLY_CONNECTED", [mean, weights, bias], [logits])
    answer = model.tensor((1, CLASSES), "int8", 1 / 256, -128, name="probabilities")
    model.node("SOFTMAX", [logits], [answer], beta=1.0)
    return answer


# ---- as ONNX -----------------------------------------------------------------------------------


def to_onnx(p: Parameters) -> Any:
    """float32 [1, 1, 28, 28] in [0, 1] to ten logits, signs as Where and weights as +1 and -1 (int8
    in the file, cast to float32)."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes: list[Any] = []
    constants: dict[str, np.ndarray] = {
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "minus_one": np.array(-1, np.float32),
        "around": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    }

    def node(op: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"{op.lower()}{len(nodes)}"
        nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def constant(name: str, values: np.ndarray) -> str:
        constants[name] = np.ascontiguousarray(values, np.float32)
        return name

    slope, offset = slope_and_offset(p["first_norm"])
    weights = constant("first", p["first"] * slope[:, None, None, None])
    x = node("Conv", ["image", weights, constant("offset", offset)], strides=[2, 2],
             pads=[0, 0, 1, 1])  # fmt: skip
    for i in range(len(BLOCKS)):
        signs = node("Where", [node("Less", [x, "zero"]), "minus_one", "one"])
        padded = node("Pad", [signs, "around", "one"])
        constants[f"signs{i}"] = np.where(p[f"weights{i}"] < 0, -1, 1).astype(np.int8)
        kernel = node("Cast", [f"signs{i}"], to=TensorProto.FLOAT)
        sums = node("Conv", [padded, kernel])
        norm = [constant(f"norm{i}_{j}", part) for j, part in enumerate(p[f"norm{i}"])]
        x = node("BatchNormalization", [sums, *norm], epsilon=EPSILON)
        if i == 0:
            x = node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    mean = node("Flatten", [node("GlobalAveragePool", [x])])
    last = constant("last", p["last"]), constant("last_bias", p["last_bias"])
    logits = node("Gemm", [mean, *last], transB=1)
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "digits_bnn",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
            [helper.make_tensor_value_info(logits, TensorProto.FLOAT, [1, CLASSES])],
            [numpy_helper.from_array(values, name) for name, values in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    checker.check_model(model, full_check=True)
    return model
