"""Readers of QuantizeLinear and DequantizeLinear: scales become those of tensors."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..general import Cast, Function
from ..graph import DTYPES, Quantization
from .onnx_building import Builder, Value
from .onnx_general import as_type, pair
from .onnx_placing import picked
from .onnx_reading import Made, NodeReading
from .tflite_reading import Unsupported

KERNELS = ("int8", "int16")  # whose tensors carry scales; uint8 is kept as int8
KINDS = ("int8", "uint8", "int16", "uint16", "int32")


def _numbers(node: NodeReading) -> tuple[np.ndarray, np.ndarray]:
    """(scales, zero points) of a QuantizeLinear or DequantizeLinear; the latter have its type."""
    scales = np.asarray(node.constant(1, "scale"), np.float32)
    zeros = node.optional_constant(2, "zero point")
    if zeros is None:
        zeros = np.zeros(scales.shape, np.uint8 if node.op == "QuantizeLinear" else np.int8)
    if scales.size > 1 and scales.ndim != 1:
        raise Unsupported("it has a scale for each block", "quantize by tensor or by channel")
    return scales, zeros


def _is_by_tensor(node: NodeReading) -> bool:
    """Whether scale and zero point are known, one of each, of integers that kernels take."""
    scale = node.build.known(node.inputs[1])
    zero = node.build.known(node.inputs[2]) if node.has(2) else np.zeros((), np.uint8)
    if scale is None or zero is None or scale.size != 1 or scale.dtype != np.float32:
        return False
    asked = node.attribute("output_dtype", 0) and not node.has(2)
    kinds = ("int8", "uint8", "int16") if node.op == "QuantizeLinear" else KINDS
    return zero.size == 1 and zero.dtype.name in kinds and not asked


def _quantized(node: NodeReading) -> Value:
    """round(x / scale) + zero point, held in the type's range: in floats, for any scale."""
    x = node.build.plain(node.inputs[0])
    kind = _kind(node)
    scale = as_type(node, _along(node, 1, x), node.build.tensors[x].dtype)
    y = node.emit("round", [pair(node, "divide", x, scale)], Function())[0]
    if node.has(2):
        zero = as_type(node, _along(node, 2, x), node.build.tensors[y].dtype)
        y = pair(node, "add", y, zero)
    limits, real = np.iinfo(kind), DTYPES[node.build.tensors[y].dtype]
    y = pair(node, "maximum", y, node.build.constant(np.asarray(limits.min, real)))
    y = pair(node, "minimum", y, node.build.constant(np.asarray(limits.max, real)))
    return Value(node.emit("cast", [y], Cast(), dtype=kind)[0])


def _kind(node: NodeReading) -> str:
    import onnx

    if node.has(2):
        known = node.build.known(node.inputs[2])
        computed = node.build.tensors[node.build.plain(node.inputs[2])].dtype
        kind = computed if known is None else known.dtype.name
    else:
        code = node.attribute("output_dtype", 0) or onnx.TensorProto.UINT8
        kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code)).name
    if kind not in KINDS:
        raise Unsupported(f"it quantizes to {kind}", "quantize to int8, uint8 or int16")
    return kind


def _along(node: NodeReading, place: int, x: int) -> int:
    """A scale or zero point for each slice of an axis, or each block of one, shaped to fit."""
    values = node.build.plain(node.inputs[place])
    sizes, shape = node.build.tensors[x].shape, node.build.tensors[values].shape
    block = node.attribute("block_size", 0)
    axis = node.attribute("axis", 1) % max(len(sizes), 1)
    if block:
        return picked(node, values, np.arange(sizes[axis]) // block, axis)
    if math.prod(shape) == 1:
        return node.build.reshaped(values, ())
    along = tuple(shape[0] if i == axis else 1 for i in range(len(sizes)))
    return node.build.reshaped(values, along)


def _dequantized(node: NodeReading) -> Value:
    """(x - zero point) * scale: in floats, for any scale."""
    x = as_type(node, node.build.plain(node.inputs[0]), "int32")
    if node.has(2):
        x = pair(node, "sub", x, as_type(node, _along(node, 2, x), "int32"))
    scale = _along(node, 1, x)
    real = node.build.tensors[scale].dtype
    return Value(pair(node, "mul", as_type(node, x, real), scale))


def quantize_linear(node: NodeReading) -> Made:
    """To int8; uint8 is kept as int8, 128 less."""
    if not _is_by_tensor(node):
        return [_quantized(node)]
    scales, zeros = _numbers(node)
    kind = zeros.dtype.name
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
    data = build.constants.get(name)
    by_channel = data is not None and not node.attribute("block_size", 0)
    if not by_channel and not _is_by_tensor(node):
        return [_dequantized(node)]
    scales, zeros = _numbers(node)
    if data is not None:
        return _dequantized_constant(node, data, scales, zeros)
    stated = Quantization(scales.reshape(-1), zeros.astype(np.int64).reshape(-1))
    value = _with_scale(node, stated)
    if value is None:
        return [_dequantized(node)]
    made = node.emit("dequantize", [value.index], dtype="float32")
    return [Value(made[0], value.layout, value.image)]


def _with_scale(node: NodeReading, stated: Quantization) -> Value | None:
    """The operand as a tensor that kernels take and that carries this quantization; bytes without a
    sign become int8. None if it can't be."""
    name, build = node.inputs[0], node.build
    value = build.value(name)
    tensor = build.tensors[value.index]
    if tensor.dtype not in (*KERNELS, "uint8"):
        return None
    signed = Quantization(stated.scales, stated.zero_points - 128)
    stated = signed if value.shifted else stated
    if tensor.quantization is None:
        build.tensors[value.index] = replace(tensor, quantization=stated)
        _state_source(build, value.index, stated)
    elif (tensor.scale, tensor.zero_point) != (stated.scale, stated.zero_point):
        return None
    if tensor.dtype == "uint8":
        made = node.emit("quantize", [value.index], dtype="int8", quantization=signed)
        value = build.values[name] = Value(made[0], value.layout, value.image, shifted=True)
    return value


def _state_source(build: Builder, index: int, stated: Quantization) -> None:
    """The table that a tensor's numbers were gathered from (an embedding's) has its scale."""
    made_by = next((node for node in reversed(build.nodes) if index in node.outputs), None)
    if made_by is None or made_by.op != "gather":
        return
    table = build.tensors[made_by.operands[0]]
    if table.constant and table.quantization is None:
        build.tensors[table.index] = replace(table, quantization=stated)


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
