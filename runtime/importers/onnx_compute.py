"""Readers of the ONNX operators that compute: convolutions, products, pools, activations, means.

Rules are those of https://onnx.ai/onnx/operators/ for opset 11 and newer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..attributes import (
    Arithmetic,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Mean,
    Pad,
    Padding,
    Pool2D,
    Relu,
    Shape,
    Softmax,
    TransposeConv,
)
from .onnx_building import FLAT, IMAGE, TO_NHWC, Value
from .onnx_reading import REFIT, Made, NodeReading, OnnxReader, aligned, axes_of, in_own_type
from .tflite_reading import Unsupported

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
        image, operands = aligned(node)
        return [Value(node.emit(op, operands, Arithmetic())[0], image)]

    return read


def unary(op: str, attrs: Callable[[NodeReading], object] = lambda node: None) -> OnnxReader:
    def read(node: NodeReading) -> Made:
        value = in_own_type(node)
        made = node.emit(op, [value.index], attrs(node))[0]
        return [Value(made, value.layout, value.image)]

    return read


def clip(node: NodeReading) -> Made:
    low = node.optional_constant(1, "minimum")
    high = node.optional_constant(2, "maximum")
    least = None if low is None else float(low)
    most = None if high is None else float(high)
    value = in_own_type(node)
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


def reduce_mean(node: NodeReading) -> Made:
    rank = len(node.shape(0))
    axes = [a % rank for a in (axes_of(node) or range(rank))]
    keep = bool(node.attribute("keepdims", 1))
    value = in_own_type(node)
    if value.layout == FLAT or (value.layout == IMAGE and not keep):
        value = Value(node.build.plain(node.inputs[0]))
    if value.layout == IMAGE:
        axes = [TO_NHWC.index(a) for a in axes]
    made = node.emit("mean", [value.index], Mean(tuple(sorted(axes)), keep))[0]
    return [Value(made, value.layout)]
