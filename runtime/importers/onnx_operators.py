"""Readers of ONNX operators: each turns one node into nodes of the graph, images in NHWC.

Rules are those of https://onnx.ai/onnx/operators/ for opset 11 and newer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..graph import Quantization
from ..ops import (
    Arithmetic,
    Concatenation,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    LeakyRelu,
    Mean,
    Pad,
    Padding,
    Pool2D,
    Relu,
    Resize,
    Shape,
    Softmax,
    Split,
    StridedSlice,
    TransposeConv,
)
from .onnx_building import FLAT, IMAGE, PLAIN, TO_NHWC, NodeReading, Value
from .tflite_reading import Unsupported

Made = Sequence[Value]
OnnxReader = Callable[[NodeReading], Made]

REFIT = "export it with other attributes"


# ---- convolutions and products ----


def conv(node: NodeReading) -> Made:
    x = node.build.image(node.inputs[0])
    filters, depth, *kernel = node.shape(1)
    groups = node.attribute("group", 1)
    channels = node.build.tensors[x].shape[3]
    if len(kernel) != 2 or depth * groups != channels or filters % groups:
        raise ValueError(f"weights {list(node.shape(1))} don't fit {channels} channels")
    stride, dilation = _pair(node, "strides", kernel), _pair(node, "dilations", kernel)
    padding, _ = _padding(node, kernel, stride, dilation)
    weights, bias = node.build.plain(node.inputs[1]), _bias(node, 2, filters)
    if groups == channels and depth == 1:
        weights = node.build.transposed(weights, (1, 2, 3, 0))
        single = DepthwiseConv2D(stride, dilation, padding, multiplier=filters // channels)
        return [Value(node.emit("depthwise_conv2d", [x, weights, bias], single)[0], IMAGE)]
    weights = node.build.transposed(weights, TO_NHWC)
    attrs = Conv2D(stride, dilation, padding)
    return [Value(node.emit("conv2d", [x, weights, bias], attrs)[0], IMAGE)]


def conv_transpose(node: NodeReading) -> Made:
    x = node.build.image(node.inputs[0])
    _, filters, *kernel = node.shape(1)
    dilation, stride = _pair(node, "dilations", kernel), _pair(node, "strides", kernel)
    if node.attribute("group", 1) != 1 or dilation != (1, 1) or len(kernel) != 2:
        raise Unsupported("its groups or dilations are not 1", REFIT)
    if node.attribute("output_shape") or node.attribute("auto_pad", "NOTSET") != "NOTSET":
        raise Unsupported("it states its padding by an output shape or auto_pad", REFIT)
    pads = node.attribute("pads", [0, 0, 0, 0])
    extra = node.attribute("output_padding", [0, 0])
    batch, height, width, _ = node.build.tensors[x].shape
    size = [
        (n - 1) * s + k - pads[i] - pads[i + 2] + extra[i]
        for i, (n, s, k) in enumerate(zip((height, width), stride, kernel, strict=True))
    ]
    shape = np.array([batch, *size, filters], np.int32)
    weights = node.build.transposed(node.build.plain(node.inputs[1]), (1, 2, 3, 0))
    attrs = TransposeConv(
        stride, Padding(pads[0], pads[2], pads[1], pads[3]), output_shape=tuple(map(int, shape))
    )
    made = node.emit(
        "transpose_conv",
        [node.build.constant(shape), weights, x, _bias(node, 2, filters)],
        attrs,
        dtype="float32",
    )
    return [Value(made[0], IMAGE)]


def gemm(node: NodeReading) -> Made:
    if node.attribute("transA", 0):
        raise Unsupported("its first operand is transposed", REFIT)
    order = (0, 1) if node.attribute("transB", 0) else (1, 0)
    alpha, beta = node.attribute("alpha", 1.0), node.attribute("beta", 1.0)
    node.constant(1, "weights")
    x, weights = _flat_operand(node, node.build.transposed(node.build.plain(node.inputs[1]), order))
    bias = None
    if node.has(2):
        values = node.constant(2, "bias") * np.float32(beta)
        units = node.build.tensors[weights].shape[0]
        bias = node.build.constant(np.broadcast_to(values, (1, units)).reshape(units))
    if alpha != 1.0:
        scaled = node.build.tensors[weights].data
        assert scaled is not None
        weights = node.build.constant(scaled * np.float32(alpha))
    return [Value(node.emit("fully_connected", [x, weights, bias], FullyConnected())[0])]


def matmul(node: NodeReading) -> Made:
    if len(node.shape(1)) != 2:
        raise Unsupported("its second operand is no constant matrix", "export it as a Gemm")
    node.constant(1, "weights")
    weights = node.build.transposed(node.build.plain(node.inputs[1]), (1, 0))
    x, weights = _flat_operand(node, weights)
    attrs = FullyConnected(keep_dims=len(node.build.tensors[x].shape) > 2)
    return [Value(node.emit("fully_connected", [x, weights, None], attrs)[0])]


def _flat_operand(node: NodeReading, weights: int) -> tuple[int, int]:
    """The operand, and the weights in its order where it is an image that was made flat."""
    value = node.build.value(node.inputs[0])
    if value.layout != FLAT:
        return node.build.plain(node.inputs[0]), weights
    _, height, width, channels = value.image
    matrix = node.build.tensors[weights]
    units = matrix.shape[0]
    cube = node.build.constant(
        np.asarray(matrix.data).reshape(units, channels, height, width), "", matrix.quantization
    )
    moved = node.build.tensors[node.build.transposed(cube, TO_NHWC)]
    assert moved.data is not None
    flat = node.build.constant(moved.data.reshape(units, -1), matrix.name, moved.quantization)
    return value.index, flat


def _bias(node: NodeReading, place: int, count: int) -> int | None:
    if not node.has(place):
        return None
    values = node.constant(place, "bias")
    if values.shape != (count,):
        raise ValueError(f"its bias has the shape {list(values.shape)}, needed is [{count}]")
    return node.build.constant(values)


# ---- geometry ----


def _pair(node: NodeReading, name: str, kernel: Sequence[int]) -> tuple[int, int]:
    values = node.attribute(name, [1] * len(kernel))
    if len(values) != 2 or min(values) < 1:
        raise Unsupported(f"its {name} are {list(values)}, needed are two", REFIT)
    return int(values[0]), int(values[1])


def _padding(
    node: NodeReading,
    kernel: Sequence[int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> tuple[Padding, bool]:
    """The padding, and whether `ceil_mode` added some of it."""
    size = node.shape(0)[2:]
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    auto = node.attribute("auto_pad", "NOTSET")
    pads = [int(p) for p in node.attribute("pads", [0, 0, 0, 0])]
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        for i in range(2):
            total = max((-(-size[i] // stride[i]) - 1) * stride[i] + extent[i] - size[i], 0)
            small = total // 2
            pads[i], pads[i + 2] = small, total - small
            if auto == "SAME_LOWER":
                pads[i], pads[i + 2] = pads[i + 2], pads[i]
    elif auto == "VALID":
        pads = [0, 0, 0, 0]
    if len(pads) != 4 or min(pads) < 0:
        raise Unsupported(f"its padding is {pads}", REFIT)
    added = False
    if node.attribute("ceil_mode", 0):
        for i in range(2):
            space = size[i] + pads[i] + pads[i + 2] - extent[i]
            last = -(-space // stride[i])
            if last * stride[i] >= size[i] + pads[i]:
                last -= 1  # a window must begin inside the image or its first padding
            missing = last * stride[i] - space
            added |= missing > 0
            pads[i + 2] += max(missing, 0)
    return Padding(pads[0], pads[2], pads[1], pads[3]), added


def pool(op: str) -> OnnxReader:
    def read(node: NodeReading) -> Made:
        x = node.build.image(node.inputs[0])
        kernel = [int(k) for k in node.attribute("kernel_shape", [])]
        stride, dilation = _pair(node, "strides", kernel), _pair(node, "dilations", kernel)
        if dilation != (1, 1) or len(node.outputs) > 1:
            raise Unsupported("it has dilations or indices", REFIT)
        padding, added = _padding(node, kernel, stride)
        padded = padding != Padding()
        if op == "average_pool2d" and node.attribute("count_include_pad", 0) and padded:
            if added:
                raise Unsupported("it counts its padding and rounds its size up", REFIT)
            x = _padded(node, x, padding)
            padding = Padding()
        attrs = Pool2D((kernel[0], kernel[1]), stride, padding)
        return [Value(node.emit(op, [x], attrs)[0], IMAGE)]

    return read


def _padded(node: NodeReading, x: int, padding: Padding) -> int:
    """The image with its padding as zeros."""
    attrs = Pad((0, padding.top, padding.left, 0), (0, padding.bottom, padding.right, 0), 0.0)
    return node.emit("pad", [x], attrs)[0]


def global_average_pool(node: NodeReading) -> Made:
    x = node.build.image(node.inputs[0])
    return [Value(node.emit("mean", [x], Mean((1, 2), True))[0], IMAGE)]


def global_max_pool(node: NodeReading) -> Made:
    x = node.build.image(node.inputs[0])
    _, height, width, _ = node.build.tensors[x].shape
    attrs = Pool2D((height, width), (1, 1))
    return [Value(node.emit("max_pool2d", [x], attrs)[0], IMAGE)]


# ---- elementwise ----


def arithmetic(op: str) -> OnnxReader:
    def read(node: NodeReading) -> Made:
        image, operands = _aligned(node)
        return [Value(node.emit(op, operands, Arithmetic())[0], image)]

    return read


def _aligned(node: NodeReading) -> tuple[str, list[int]]:
    """All operands in one layout: NHWC if one of them is an image, else ONNX's own."""
    values = [node.build.value(name) for name in node.inputs]
    if not any(value.layout == IMAGE for value in values):
        return PLAIN, [node.build.plain(name) for name in node.inputs]
    operands = []
    for name in node.inputs:
        data = node.build.constants.get(name)
        if data is not None and data.ndim < 4:
            index = node.build.plain(name)
            shape = (1,) * (4 - data.ndim) + data.shape
            operands.append(node.build.transposed(node.build.reshaped(index, shape), TO_NHWC))
        else:
            operands.append(node.build.image(name))
    return IMAGE, operands


def unary(op: str, attrs: Callable[[NodeReading], object] = lambda node: None) -> OnnxReader:
    def read(node: NodeReading) -> Made:
        value = _open(node)
        made = node.emit(op, [value.index], attrs(node))[0]
        return [Value(made, value.layout, value.image)]

    return read


def _open(node: NodeReading) -> Value:
    """The operand in whatever layout it has, as ONNX's type."""
    value = node.build.value(node.inputs[0])
    return node.build.unshifted(value) if value.shifted else value


def clip(node: NodeReading) -> Made:
    low = node.optional_constant(1, "minimum")
    high = node.optional_constant(2, "maximum")
    least = None if low is None else float(low)
    most = None if high is None else float(high)
    value = _open(node)
    if least is not None and math.isinf(least):
        least = None
    if most is not None and math.isinf(most):
        most = None
    if least is None and most is None:
        return [value]
    made = node.emit("relu", [value.index], Relu(least, most))[0]
    return [Value(made, value.layout, value.image)]


def softmax(node: NodeReading) -> Made:
    x = node.build.plain(node.inputs[0])
    rank = len(node.build.tensors[x].shape)
    axis = node.attribute("axis", 1 if node.opset < 13 else -1)
    axis += rank if axis < 0 else 0
    if axis == rank - 1:
        return [Value(node.emit("softmax", [x], Softmax())[0])]
    if node.opset < 13:
        raise Unsupported(f"it is over the axes from {axis} on", "export it with opset 13 or newer")
    order = [i for i in range(rank) if i != axis] + [axis]
    moved = node.build.transposed(x, tuple(order))
    made = node.emit("softmax", [moved], Softmax())[0]
    return [Value(node.build.transposed(made, tuple(order.index(i) for i in range(rank))))]


def batch_normalization(node: NodeReading) -> Made:
    """A product and a sum with constants (inference mode)."""
    gamma, beta, mean, variance = (node.constant(i, "statistics") for i in range(1, 5))
    factor = gamma / np.sqrt(variance + np.float32(node.attribute("epsilon", 1e-5)))
    rank = len(node.shape(0))
    value = node.build.value(node.inputs[0])
    if rank == 4:
        x, layout = node.build.image(node.inputs[0]), IMAGE
        shape: Shape = (1, 1, 1, -1)
    else:
        x, layout = node.build.plain(node.inputs[0]), value.layout
        shape = (1, -1) + (1,) * (rank - 2)
    scale, offset = (
        node.build.constant(v.astype(np.float32).reshape(shape))
        for v in (factor, beta - mean * factor)
    )
    product = node.emit("mul", [x, scale], Arithmetic())[0]
    return [Value(node.emit("add", [product, offset], Arithmetic())[0], layout)]


# ---- movement ----


def identity(node: NodeReading) -> Made:
    return [node.build.value(node.inputs[0])]


def dropout(node: NodeReading) -> Made:
    if node.has(2) and bool(node.constant(2, "training mode")):
        raise Unsupported("it is in training mode", "export the model for inference")
    return identity(node)


def reshape(node: NodeReading) -> Made:
    wanted = [int(n) for n in node.constant(1, "shape")]
    shape = node.shape(0)
    for i, size in enumerate(wanted):
        if size == 0 and not node.attribute("allowzero", 0):
            wanted[i] = shape[i]
    if -1 in wanted:
        rest = math.prod(n for n in wanted if n != -1)
        wanted[wanted.index(-1)] = math.prod(shape) // max(rest, 1)
    return [_reshaped(node, tuple(wanted))]


def flatten(node: NodeReading) -> Made:
    axis = node.attribute("axis", 1)
    shape = node.shape(0)
    axis += len(shape) if axis < 0 else 0
    return [_reshaped(node, (math.prod(shape[:axis]), math.prod(shape[axis:])))]


def squeeze(node: NodeReading) -> Made:
    shape = node.shape(0)
    axes = _axes(node)
    gone = [i for i, n in enumerate(shape) if n == 1] if axes is None else axes
    gone = [a + len(shape) if a < 0 else a for a in gone]
    return [_reshaped(node, tuple(n for i, n in enumerate(shape) if i not in gone))]


def unsqueeze(node: NodeReading) -> Made:
    shape, axes = list(node.shape(0)), _axes(node) or []
    rank = len(shape) + len(axes)
    for axis in sorted(a + rank if a < 0 else a for a in axes):
        shape.insert(axis, 1)
    return [_reshaped(node, tuple(shape))]


def _axes(node: NodeReading) -> list[int] | None:
    """Axes, an attribute before opset 13 (18 for reductions) and an input since."""
    if node.has(1):
        return [int(a) for a in node.constant(1, "axes").reshape(-1)]
    axes = node.attribute("axes")
    return None if axes is None else [int(a) for a in axes]


def _reshaped(node: NodeReading, shape: Shape) -> Value:
    """A new shape; an image that is made a row of numbers stays in NHWC order."""
    value = node.build.value(node.inputs[0])
    if value.layout == IMAGE:
        image = node.build.tensors[value.index].shape
        batch, height, width, channels = image
        if shape == (batch, height * width * channels):
            index = node.build.reshaped(value.index, shape)
            layout = PLAIN if height * width == 1 or channels == 1 else FLAT
            return Value(index, layout, image, value.shifted)
    shifted = value.shifted
    if shifted and value.layout == PLAIN:
        return Value(node.build.reshaped(value.index, shape), shifted=True)
    return Value(node.build.reshaped(node.build.plain(node.inputs[0]), shape))


def transpose(node: NodeReading) -> Made:
    rank = len(node.shape(0))
    order = tuple(int(i) for i in node.attribute("perm", list(range(rank))[::-1]))
    value = node.build.value(node.inputs[0])
    if value.layout == IMAGE and order == TO_NHWC and not value.shifted:
        return [Value(value.index)]
    return [Value(node.build.transposed(node.build.plain(node.inputs[0]), order))]


def concat(node: NodeReading) -> Made:
    layout, operands = _aligned(node)
    rank = len(node.build.tensors[operands[0]].shape)
    axis = int(node.attribute("axis", 0))
    axis += rank if axis < 0 else 0
    if layout == IMAGE:
        axis = TO_NHWC.index(axis)
    return [Value(node.emit("concatenation", operands, Concatenation(axis))[0], layout)]


def split(node: NodeReading) -> Made:
    value = _open(node)
    if value.layout == FLAT:
        value = Value(node.build.plain(node.inputs[0]))
    shape = node.build.tensors[value.index].shape
    axis = int(node.attribute("axis", 0))
    axis += len(shape) if axis < 0 else 0
    axis = TO_NHWC.index(axis) if value.layout == IMAGE else axis
    given = node.optional_constant(1, "sizes")
    sizes = node.attribute("split") if given is None else list(given)
    if sizes is None:
        count = len(node.outputs)
        part = -(-shape[axis] // count)
        sizes = [min(part, shape[axis] - part * i) for i in range(count)]
    parts = tuple(int(n) for n in sizes)
    made = node.emit("split", [value.index], Split(axis, parts), outputs=len(parts))
    return [Value(index, value.layout) for index in made]


def slice_(node: NodeReading) -> Made:
    shape = list(node.shape(0))
    starts, ends = ([int(v) for v in node.constant(i, "bounds")] for i in (1, 2))
    axes = node.optional_constant(3, "axes")
    steps = node.optional_constant(4, "steps")
    places = list(range(len(starts))) if axes is None else [int(a) for a in axes]
    strides = [1] * len(starts) if steps is None else [int(s) for s in steps]
    if min(strides, default=1) < 1:
        raise Unsupported("it steps backwards", REFIT)
    begin, stride, size = [0] * len(shape), [1] * len(shape), shape[:]
    for first, end, axis, step in zip(starts, ends, places, strides, strict=True):
        first, end, _ = slice(first, end, step).indices(shape[axis])
        begin[axis], stride[axis], size[axis] = first, step, max(-(-(end - first) // step), 0)
    value = _open(node)
    if value.layout == FLAT:
        value = Value(node.build.plain(node.inputs[0]))
    triple = (begin, stride, size)
    if value.layout == IMAGE:
        triple = tuple([part[i] for i in TO_NHWC] for part in triple)  # type: ignore[assignment]
    attrs = StridedSlice(*(tuple(part) for part in triple))
    return [Value(node.emit("strided_slice", [value.index], attrs)[0], value.layout)]


def pad(node: NodeReading) -> Made:
    if node.attribute("mode", "constant") != "constant":
        raise Unsupported(f"its mode is {node.attribute('mode')}", "pad with a constant")
    rank = len(node.shape(0))
    amounts = [int(p) for p in node.constant(1, "pads")]
    axes = node.optional_constant(3, "axes")
    before, after = [0] * rank, [0] * rank
    places = range(rank) if axes is None else [int(a) % rank for a in axes]
    for i, axis in enumerate(places):
        before[axis], after[axis] = amounts[i], amounts[i + len(amounts) // 2]
    if min(before + after) < 0:
        raise Unsupported("it cuts off by negative padding", "use Slice")
    fill = node.optional_constant(2, "value")
    number = 0.0 if fill is None or fill.size == 0 else float(fill.reshape(-1)[0])
    value = _open(node)
    if value.layout == FLAT:
        value = Value(node.build.plain(node.inputs[0]))
    if value.layout == IMAGE:
        before, after = ([part[i] for i in TO_NHWC] for part in (before, after))
    attrs = Pad(tuple(before), tuple(after), number)
    return [Value(node.emit("pad", [value.index], attrs)[0], value.layout)]


def resize(node: NodeReading) -> Made:
    x = node.build.image(node.inputs[0])
    size = node.shape(0)
    mode = node.attribute("mode", "nearest")
    how = node.attribute("coordinate_transformation_mode", "half_pixel")
    sizes = node.optional_constant(3, "sizes")
    if sizes is None:
        scales = node.constant(2, "scales")
        sizes = np.floor(np.array(size) * scales).astype(int)
    height, width = (int(n) for n in sizes[2:])
    if list(sizes[:2]) != list(size[:2]):
        raise Unsupported("it resizes batches or channels", REFIT)
    same = {
        "half_pixel": (False, True),
        "align_corners": (True, False),
        "asymmetric": (False, False),
    }
    if mode == "linear" and how in same:
        corners, half = same[how]
        attrs = Resize((height, width), corners, half)
        return [Value(node.emit("resize_bilinear", [x], attrs)[0], IMAGE)]
    down = node.attribute("nearest_mode", "round_prefer_floor") == "floor"
    whole = height % size[2] == 0 and width % size[3] == 0
    if mode == "nearest" and ((how == "asymmetric" and down) or whole):
        # Enlarged a whole number of times every rule picks the same pixel as rounding down does.
        attrs = Resize((height, width))
        return [Value(node.emit("resize_nearest", [x], attrs)[0], IMAGE)]
    raise Unsupported(f"its mode is {mode} with {how}", REFIT)


def reduce_mean(node: NodeReading) -> Made:
    rank = len(node.shape(0))
    axes = [a % rank for a in (_axes(node) or range(rank))]
    keep = bool(node.attribute("keepdims", 1))
    value = _open(node)
    if value.layout == FLAT or (value.layout == IMAGE and not keep):
        value = Value(node.build.plain(node.inputs[0]))
    if value.layout == IMAGE:
        axes = [TO_NHWC.index(a) for a in axes]
    made = node.emit("mean", [value.index], Mean(tuple(sorted(axes)), keep))[0]
    return [Value(made, value.layout)]


# ---- quantization ----


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


READERS: Mapping[str, OnnxReader] = {
    "Add": arithmetic("add"),
    "AveragePool": pool("average_pool2d"),
    "BatchNormalization": batch_normalization,
    "Clip": clip,
    "Concat": concat,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "DequantizeLinear": dequantize_linear,
    "Dropout": dropout,
    "Flatten": flatten,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "HardSwish": unary("hard_swish"),
    "Identity": identity,
    "LeakyRelu": unary("leaky_relu", lambda node: LeakyRelu(node.attribute("alpha", 0.01))),
    "MatMul": matmul,
    "MaxPool": pool("max_pool2d"),
    "Mul": arithmetic("mul"),
    "Pad": pad,
    "QuantizeLinear": quantize_linear,
    "ReduceMean": reduce_mean,
    "Relu": unary("relu", lambda node: Relu()),
    "Reshape": reshape,
    "Resize": resize,
    "Sigmoid": unary("logistic"),
    "Slice": slice_,
    "Softmax": softmax,
    "Split": split,
    "Squeeze": squeeze,
    "Sub": arithmetic("sub"),
    "Tanh": unary("tanh"),
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
