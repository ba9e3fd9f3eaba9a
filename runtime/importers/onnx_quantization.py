"""Readers of QuantizeLinear and DequantizeLinear: scales become those of tensors."""

from __future__ import annotations

import numpy as np

from ..graph import Quantization
from .onnx_building import Value
from .onnx_reading import REFIT, Made, NodeReading
from .tflite_reading import Unsupported


def _numbers(node: NodeReading) -> tuple[np.ndarray, np.ndarray]:
    """(scales, zero points) of a QuantizeLinear or DequantizeLinear; the latter have its type."""
    scales = np.asarray(node.constant(1, "scale"), np.float32)
    zeros = node.optional_constant(2, "zero point")
    if zeros is None:
        zeros = np.zeros(scales.shape, np.uint8 if node.op == "QuantizeLinear" else np.int8)
    if scales.size > 1 and scales.ndim != 1:
        raise Unsupported("it has a scale for each block", "quantize by tensor or by channel")
    return scales, zeros


def quantize_linear(node: NodeReading) -> Made:
    """To int8; uint8 is kept as int8, 128 less."""
    scales, zeros = _numbers(node)
    if scales.size > 1:
        raise Unsupported("an activation has a scale for each channel", "quantize it by tensor")
    kind = zeros.dtype.name
    if kind not in ("int8", "uint8", "int16"):
        raise Unsupported(f"it quantizes to {kind}", "quantize to int8, uint8 or int16")
    value = node.build.value(node.inputs[0])
    shifted = kind == "uint8"
    point = zeros.astype(np.int64).reshape(-1) - (128 if shifted else 0)
    made = node.emit(
        "quantize", [value.index], dtype="int8" if shifted else kind,
        quantization=Quantization(scales.reshape(-1), point),
    )  # fmt: skip
    return [Value(made[0], value.layout, value.image, shifted)]


def dequantize_linear(node: NodeReading) -> Made:
    name, build = node.inputs[0], node.build
    scales, zeros = _numbers(node)
    data = build.constants.get(name)
    if data is not None:
        return _dequantized_constant(node, data, scales, zeros)
    value = build.value(name)
    tensor = build.tensors[value.index]
    point = zeros.astype(np.int64).reshape(-1) - (128 if value.shifted else 0)
    stated = Quantization(scales.reshape(-1), point)
    if scales.size > 1:
        raise Unsupported("an activation has a scale for each channel", "quantize it by tensor")
    if tensor.quantization is None:
        build.tensors[value.index] = type(tensor)(
            tensor.index, tensor.name, tensor.shape, tensor.dtype, stated
        )
    elif (tensor.scale, tensor.zero_point) != (stated.scale, stated.zero_point):
        raise Unsupported("its scale is not the one that its input was quantized with", REFIT)
    made = node.emit("dequantize", [value.index], dtype="float32")
    return [Value(made[0], value.layout, value.image)]


def _dequantized_constant(
    node: NodeReading, data: np.ndarray, scales: np.ndarray, zeros: np.ndarray
) -> Made:
    """A float constant that remembers its quantization, unless it is a 32-bit bias."""
    axis = int(node.attribute("axis", 1)) % max(data.ndim, 1)
    along = [1] * data.ndim
    if scales.size > 1:
        along[axis] = -1
        scales, zeros = scales.reshape(along), zeros.reshape(along)
    name = node.outputs[0]
    real = (data.astype(np.int64) - zeros.astype(np.int64)).astype(np.float64) * scales
    node.build.constants[name] = real.astype(np.float32)
    if data.dtype in (np.int8, np.uint8):
        shift = 128 if data.dtype == np.uint8 else 0
        count = scales.size
        points = np.broadcast_to(zeros.astype(np.int64).reshape(-1) - shift, (count,))
        node.build.scales[name] = Quantization(scales.reshape(-1), points, axis if count > 1 else 0)
    return []
