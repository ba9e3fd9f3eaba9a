"""Readers of the ONNX operators that compute: convolutions, products, pools, activations, means.

Rules are those of https://onnx.ai/onnx/operators/ for opset 7 and newer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..attributes import (
    Arithmetic,
    Concatenation,
    Conv2D,
    DepthwiseConv2D,
    Mean,
    Padding,
    Pair,
    Relu,
    Shape,
    Softmax,
    Split,
    TransposeConv,
)
from ..general import Function, Reduce
from ..graph import DTYPES, Quantization
from ..shapes import effective
from .onnx_building import IMAGE, PLAIN, TO_NHWC, Value
from .onnx_general import pair, reduced_axes
from .onnx_reading import REFIT, Made, NodeReading, OnnxReader, aligned, in_own_type
from .onnx_windows import as_given, image_of, window_of
from .tflite_reading import Unsupported

# ---- convolutions and products ----


def conv(node: NodeReading) -> Made:
    """Of images; of sequences as images of one row."""
    node.build.known(node.inputs[1])
    _, depth, *kernel = node.shape(1)
    groups, filters = node.attribute("group", 1), node.shape(1)[0]
    if node.shape(0)[1] != depth * groups or filters % groups:
        raise ValueError(f"weights {list(node.shape(1))} don't fit {node.shape(0)[1]} channels")
    window = window_of(node, kernel)
    x, weights = image_of(node), node.build.plain(node.inputs[1])
    if len(kernel) == 1:
        weights = node.build.reshaped(weights, (filters, depth, 1, *kernel))
    bias = _bias(node, 2, filters)
    if groups > 1 and depth == 1:
        weights = node.build.transposed(weights, (1, 2, 3, 0))
        attrs = DepthwiseConv2D(
            window.stride, window.dilation, window.padding, multiplier=filters // groups
        )
        made = node.emit("depthwise_conv2d", [x, weights, bias], attrs)[0]
    else:
        weights = node.build.transposed(weights, TO_NHWC)
        single = Conv2D(window.stride, window.dilation, window.padding)
        made = _grouped(node, x, weights, bias, single, groups)
    return [as_given(node, made)]


def _grouped(
    node: NodeReading, x: int, weights: int, bias: int | None, attrs: Conv2D, groups: int
) -> int:
    if groups == 1:
        return node.emit("conv2d", [x, weights, bias], attrs)[0]
    build = node.build
    share = build.tensors[x].shape[3] // groups
    parts = node.emit("split", [x], Split(3, (share,) * groups), outputs=groups)
    filters = build.tensors[weights].shape[0] // groups
    kernels, biases = build.tensors[weights].data, None
    if kernels is None:
        raise Unsupported("its weights are computed", REFIT)
    if bias is not None:
        biases = build.tensors[bias].data
    made = []
    for i, part in enumerate(parts):
        own = slice(i * filters, (i + 1) * filters)
        operands = [part, build.constant(kernels[own])]
        operands += [] if biases is None else [build.constant(biases[own])]
        made.append(node.emit("conv2d", [*operands, *[None] * (3 - len(operands))], attrs)[0])
    return node.emit("concatenation", made, Concatenation(3))[0]


def conv_transpose(node: NodeReading) -> Made:
    """Of images; dilated weights are written out with zeros between, groups run one by one."""
    data = node.constant(1, "weights")
    _, depth, *kernel = data.shape
    if len(kernel) != 2:
        raise Unsupported(f"its window has {len(kernel)} axes", "export it for images of two axes")
    dilation = tuple(node.attribute("dilations", [1, 1]))
    spread = np.zeros((*data.shape[:2], *effective(_two(kernel), _two(dilation))), data.dtype)
    spread[:, :, :: dilation[0], :: dilation[1]] = data
    weights = node.build.constant(
        spread.transpose(1, 2, 3, 0), quantization=_moved_axis(node, node.inputs[1])
    )
    x, groups = node.build.image(node.inputs[0]), node.attribute("group", 1)
    bias = _bias(node, 2, depth * groups)
    attrs = _transposed_window(node, x, spread.shape[2:], depth)
    if groups == 1:
        return [Value(_transpose_conv(node, weights, x, bias, attrs), IMAGE)]
    share = node.build.tensors[x].shape[3] // groups
    parts = node.emit("split", [x], Split(3, (share,) * groups), outputs=groups)
    made = []
    for i, part in enumerate(parts):
        own = spread[i * share : (i + 1) * share].transpose(1, 2, 3, 0)
        values = None if bias is None else node.build.tensors[bias].data
        piece = None if values is None else values[i * depth : (i + 1) * depth]
        own_bias = None if piece is None else node.build.constant(piece)
        made.append(_transpose_conv(node, node.build.constant(own), part, own_bias, attrs))
    return [Value(node.emit("concatenation", made, Concatenation(3))[0], IMAGE)]


def _two(values: Sequence[int]) -> Pair:
    return int(values[0]), int(values[1])


def _moved_axis(node: NodeReading, name: str) -> Quantization | None:
    """Scales of ONNX's [in, out, h, w] weights along the first axis of TFLite's."""
    scales = node.build.scales.get(name)
    if scales is None or not scales.per_axis:
        return scales
    return Quantization(scales.scales, scales.zero_points, 0 if scales.axis == 1 else 3)


def _transpose_conv(
    node: NodeReading, weights: int, x: int, bias: int | None, attrs: TransposeConv
) -> int:
    return node.emit("transpose_conv", [x, weights, bias], attrs)[0]


def _transposed_window(
    node: NodeReading, x: int, extent: Sequence[int], filters: int
) -> TransposeConv:
    """Stride, padding and output shape, whichever of them the node states."""
    stride = _two(node.attribute("strides", [1, 1]))
    extra = node.attribute("output_padding", [0, 0])
    batch, *size, _ = node.build.tensors[x].shape
    full = [(n - 1) * s + k + e for n, s, k, e in zip(size, stride, extent, extra, strict=True)]
    pads = [int(p) for p in node.attribute("pads", [0, 0, 0, 0])]
    wanted, auto = node.attribute("output_shape"), node.attribute("auto_pad", "NOTSET")
    if wanted is None and auto.startswith("SAME"):
        wanted = [n * s for n, s in zip(size, stride, strict=True)]
    if wanted is not None:
        total = [max(f - w, 0) for f, w in zip(full, wanted[-2:], strict=True)]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = [*small, *large] if auto != "SAME_LOWER" else [*large, *small]
        out = [int(w) for w in wanted[-2:]]
    else:
        out = [f - pads[i] - pads[i + 2] for i, f in enumerate(full)]
    padding = Padding(pads[0], pads[2], pads[1], pads[3])
    return TransposeConv(stride, padding, output_shape=(batch, out[0], out[1], filters))


def _bias(node: NodeReading, place: int, count: int) -> int | None:
    if not node.has(place):
        return None
    values = node.constant(place, "bias")
    if values.shape != (count,):
        raise ValueError(f"its bias has the shape {list(values.shape)}, needed is [{count}]")
    return node.build.constant(values)


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
    """A clamp; with computed bounds or on other numbers than floats, a maximum and a minimum."""
    bounds = [node.build.known(node.inputs[i]) if node.has(i) else None for i in (1, 2)]
    value = in_own_type(node)
    if node.opset < 11:
        bounds = [
            None if node.attribute(name) is None else np.array(node.attribute(name))
            for name in ("min", "max")
        ]
    computed = any(node.has(i) and bounds[i - 1] is None for i in (1, 2))
    if computed or node.build.tensors[value.index].dtype != "float32":
        made = value.index
        for place, op in ((1, "maximum"), (2, "minimum")):
            if node.has(place):
                made = pair(node, op, made, node.build.plain(node.inputs[place]))
        return [Value(made, value.layout, value.image)]
    low, high = (
        None if bound is None or math.isinf(float(bound)) else float(bound) for bound in bounds
    )
    if low is None and high is None:
        return [value]
    if low is not None and high is not None and low > high:
        low = high  # all numbers become the upper bound
    made = node.emit("relu", [value.index], Relu(low, high))[0]
    return [Value(made, value.layout, value.image)]


def softmax(node: NodeReading) -> Made:
    """Over one axis; before opset 13 over all axes from one on."""
    x = node.build.plain(node.inputs[0])
    shape = node.build.tensors[x].shape
    rank = len(shape)
    axis = node.attribute("axis", 1 if node.opset < 13 else -1) % rank
    if node.opset < 13:
        flat = node.build.reshaped(x, (math.prod(shape[:axis]), math.prod(shape[axis:])))
        return [Value(node.build.reshaped(_softmax(node, flat), shape))]
    order = tuple(i for i in range(rank) if i != axis) + (axis,)
    if order == tuple(range(rank)):
        return [Value(_softmax(node, x))]
    made = _softmax(node, node.build.transposed(x, order))
    return [Value(node.build.transposed(made, tuple(order.index(i) for i in range(rank))))]


def _softmax(node: NodeReading, x: int) -> int:
    """Over the last axis; types that the operator doesn't have by its definition."""
    rank, kind = len(node.build.tensors[x].shape), node.build.tensors[x].dtype
    if kind == "float32":
        return node.emit("softmax", [x], Softmax())[0]
    last = Reduce((rank - 1,), True)
    most = node.emit("reduce_max", [x], last)[0]
    powers = node.emit("exp", [pair(node, "sub", x, most)], Function())[0]
    return pair(node, "divide", powers, node.emit("sum", [powers], last)[0])


def batch_normalization(node: NodeReading) -> Made:
    """A product and a sum with constants (inference mode)."""
    if node.attribute("training_mode", 0):
        raise Unsupported("it is in training mode", "export the model for inference")
    gamma, beta, mean, variance = (node.constant(i, "statistics") for i in range(1, 5))
    factor = gamma / np.sqrt(variance + np.float32(node.attribute("epsilon", 1e-5)))
    return _scaled_channels(node, factor, beta - mean * factor)


def _scaled_channels(node: NodeReading, factor: np.ndarray, offset: np.ndarray) -> Made:
    rank = len(node.shape(0))
    if rank == 4:
        x, layout = node.build.image(node.inputs[0]), IMAGE
        shape: Shape = (1, 1, 1, -1)
    else:
        x, layout = node.build.plain(node.inputs[0]), PLAIN
        shape = (1, -1) + (1,) * (rank - 2)
    kind = DTYPES[node.build.tensors[x].dtype]
    scale, added = (node.build.constant(v.astype(kind).reshape(shape)) for v in (factor, offset))
    return [Value(pair(node, "add", pair(node, "mul", x, scale), added), layout)]


def reduce_mean(node: NodeReading) -> Made:
    value, axes = reduced_axes(node)
    if axes is None:
        return [value]
    attrs = Mean(axes, bool(node.attribute("keepdims", 1)))
    return [Value(node.emit("mean", [value.index], attrs)[0], value.layout)]
