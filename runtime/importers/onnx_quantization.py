"""Readers of QuantizeLinear and DequantizeLinear: scales become those of tensors."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..attributes import Shape
from ..general import Cast, Function
from ..graph import DTYPES, Quantization
from ..narrow import CARRIERS, FLOATS, WHOLE, carried
from .onnx_building import Builder, Value
from .onnx_general import as_type, pair
from .onnx_narrow import narrowed
from .onnx_placing import picked
from .onnx_reading import Made, NodeReading
from .tflite_reading import Unsupported

OFFSET = np.array(128, np.int32)  # of bytes without a sign from those with one
KERNELS = ("int8", "int16")  # whose tensors carry scales; uint8 is kept as int8
KINDS = ("int8", "uint8", "int16", "uint16", "int32")


def _numbers(node: NodeReading) -> tuple[np.ndarray, np.ndarray]:
    """(scales, zero points) of a QuantizeLinear or DequantizeLinear; the latter have its type."""
    scales = np.asarray(node.constant(1, "scale"), np.float32)
    zeros = node.optional_constant(2, "zero point")
    if zeros is None:
        zeros = np.zeros(scales.shape, np.uint8 if node.op == "QuantizeLinear" else np.int8)
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
    limits = _limits(kind)
    scale = as_type(node, _along(node, 1, x), node.build.tensors[x].dtype)
    y = pair(node, "divide", x, scale)
    if limits is None:
        return _quantized_floats(node, y, kind)
    y = node.emit("round", [y], Function())[0]
    if node.has(2):
        zero = as_type(node, _along(node, 2, x), node.build.tensors[y].dtype)
        y = pair(node, "add", y, zero)
    real = DTYPES[node.build.tensors[y].dtype]
    y = pair(node, "maximum", y, node.build.constant(np.asarray(limits[0], real)))
    y = pair(node, "minimum", y, node.build.constant(np.asarray(limits[1], real)))
    if kind.name in CARRIERS:
        node.build.narrow[node.outputs[0]] = kind
    carrier = CARRIERS.get(kind.name, kind.name)
    return Value(node.emit("cast", [y], Cast(), dtype=carrier)[0])


def _require_no_zero_point(node: NodeReading) -> None:
    zero = node.optional_constant(2, "zero point")
    if zero is not None and carried(zero).any():
        raise Unsupported("its zero point of floats isn't 0", "quantize without one")


def _quantized_floats(node: NodeReading, y: int, kind: np.dtype) -> Value:
    """Nearest numbers of a narrow type of floats."""
    _require_no_zero_point(node)
    return narrowed(node, Value(y), kind)


def _limits(kind: np.dtype) -> tuple[int, int] | None:
    """The least and the greatest number of a whole type, None for floats."""
    if kind.name in WHOLE:
        return WHOLE[kind.name].limits
    return None if kind.name in CARRIERS else (np.iinfo(kind).min, np.iinfo(kind).max)


def _kind(node: NodeReading) -> np.dtype:
    import onnx

    if node.has(2):
        known = node.build.known(node.inputs[2])
        narrow = node.build.narrow_of(node.inputs[2])
        computed = DTYPES[node.build.tensors[node.build.plain(node.inputs[2])].dtype]
        kind = narrow or (computed if known is None else known.dtype)
    else:
        code = node.attribute("output_dtype", 0) or onnx.TensorProto.UINT8
        kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code))
    if kind.name not in (*KINDS, *CARRIERS):
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
    narrow = node.build.narrow_of(node.inputs[0])
    floats = narrow is not None and narrow.name not in WHOLE
    x = node.build.plain(node.inputs[0])
    if floats:
        _require_no_zero_point(node)
    else:
        x = as_type(node, x, "int32")
    if node.has(2) and not floats:
        x = pair(node, "sub", x, as_type(node, _along(node, 2, x), "int32"))
    scale = _along(node, 1, x)
    real = node.build.tensors[scale].dtype
    return Value(pair(node, "mul", as_type(node, x, real), scale))


def _refuse_other_type(node: NodeReading, name: str, of: str) -> None:
    """`Unsupported` for a type to compute in, or to answer in, that isn't its operand's."""
    import onnx

    code = node.attribute(name, 0)
    own = node.build.constants.get(of)
    kind = (
        DTYPES[node.build.tensors[node.build.value(of).index].dtype] if own is None else own.dtype
    )
    if code and np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code)) != kind:
        raise Unsupported(f"its {name} isn't {kind}", "export it without that attribute")


def quantize_linear(node: NodeReading) -> Made:
    """To int8; uint8 is kept as int8, 128 less."""
    _refuse_other_type(node, "precision", node.inputs[0])
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
    _refuse_other_type(node, "output_dtype", node.inputs[1])
    data, build = node.build.constants.get(node.inputs[0]), node.build
    if data is not None and all(build.known(name) is not None for name in node.inputs[1:] if name):
        return _dequantized_constant(node, data)
    if not _is_by_tensor(node):
        return [_dequantized(node)]
    scales, zeros = _numbers(node)
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
    if tensor.dtype == "uint8" and tensor.quantization is None and _is_computed(build, value.index):
        less = pair(node, "sub", as_type(node, value.index, "int32"), build.constant(OFFSET))
        made = node.emit("cast", [less], Cast(), dtype="int8", quantization=signed)
        return Value(made[0], value.layout, value.image, shifted=True)
    if tensor.quantization is None:
        build.tensors[value.index] = replace(tensor, quantization=stated)
        _state_source(build, value.index, stated)
    elif (tensor.scale, tensor.zero_point) != (stated.scale, stated.zero_point):
        return None
    if tensor.dtype == "uint8":
        made = node.emit("quantize", [value.index], dtype="int8", quantization=signed)
        value = build.values[name] = Value(made[0], value.layout, value.image, shifted=True)
    return value


def _is_computed(build: Builder, index: int) -> bool:
    """Whether a tensor is neither an input nor taken from a constant table."""
    made_by = next((node for node in build.nodes if index in node.outputs), None)
    if made_by is None:
        return False
    return made_by.op != "gather" or not build.tensors[made_by.operands[0]].constant


def _state_source(build: Builder, index: int, stated: Quantization) -> None:
    """The table that a tensor's numbers were gathered from (an embedding's) has its scale."""
    made_by = next((node for node in reversed(build.nodes) if index in node.outputs), None)
    if made_by is None or made_by.op != "gather":
        return
    table = build.tensors[made_by.operands[0]]
    if table.constant and table.quantization is None:
        build.tensors[table.index] = replace(table, quantization=stated)


def _dequantized_constant(node: NodeReading, data: np.ndarray) -> Made:
    """A float constant; it remembers its quantization by tensor or channel of at most 8 bits."""
    scales, zeros = node.constant(1, "scale"), node.optional_constant(2, "zero point")
    axis, block = (
        int(node.attribute("axis", 1)) % max(data.ndim, 1),
        node.attribute("block_size", 0),
    )
    steps = _spread(scales, data.shape, axis, block)
    if data.dtype.name in FLOATS:
        _require_no_zero_point(node)
        numbers = data.astype(np.float64)
    else:
        points = np.zeros((), np.int64) if zeros is None else zeros.astype(np.int64)
        numbers = (data.astype(np.int64) - _spread(points, data.shape, axis, block)).astype(float)
    name = node.outputs[0]
    real = (numbers * steps.astype(np.float64)).astype(scales.dtype)
    node.build.constants[name] = real
    small = data.dtype in (np.int8, np.uint8) or data.dtype.name in WHOLE
    if small and not block and real.dtype == np.float32:
        shift = 128 if data.dtype == np.uint8 else 0
        count = scales.size
        every = np.broadcast_to(points.reshape(-1) - shift, (count,))
        node.build.scales[name] = Quantization(scales.reshape(-1), every, axis if count > 1 else 0)
    return []


def _spread(values: np.ndarray, shape: Shape, axis: int, block: int) -> np.ndarray:
    """A scale or zero point for each slice of an axis, or each block of one, shaped to fit."""
    if block:
        return np.repeat(values, block, axis).take(range(shape[axis]), axis)
    if values.size == 1:
        return values.reshape(())
    if values.ndim != 1:
        raise Unsupported("it has a scale for each block", "state the size of its blocks")
    return values.reshape([-1 if i == axis else 1 for i in range(len(shape))])
