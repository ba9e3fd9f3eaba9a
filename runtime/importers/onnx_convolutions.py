"""Readers of ONNX's convolutions.

Those with constant weights over images of two axes or one are TFLite's; all others multiply the
numbers of their windows (`onnx_taps`). Rules are those of https://onnx.ai/onnx/operators/ for opset
7 and newer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..attributes import (
    Concatenation,
    Conv2D,
    DepthwiseConv2D,
    Padding,
    Pair,
    Split,
    TransposeConv,
)
from ..general import Reduce
from ..graph import Quantization
from ..shapes import effective
from .onnx_building import TO_NHWC, Value
from .onnx_general import as_type, pair
from .onnx_reading import Made, NodeReading, OnnxReader
from .onnx_taps import (
    OUTSIDE,
    Geometry,
    Sizes,
    convolved,
    each,
    geometry,
    spans,
    spans_back,
    table,
    taken,
)
from .onnx_windows import as_given, image_of, own_type, window_of


def conv(node: NodeReading) -> Made:
    """Of images; of sequences as images of one row."""
    filters, depth, *kernel = node.shape(1)
    groups = node.attribute("group", 1)
    if node.shape(0)[1] != depth * groups or filters % groups:
        raise ValueError(f"weights {list(node.shape(1))} don't fit {node.shape(0)[1]} channels")
    stated = geometry(node, kernel)
    if not _has_kernel(node, kernel):
        return [_by_windows(node, stated)]
    window, x = window_of(stated), image_of(node)
    weights = node.build.plain(node.inputs[1])
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


def _has_kernel(node: NodeReading, kernel: Sequence[int]) -> bool:
    """Whether TFLite's kernels take it: known weights and bias, floats, images or sequences."""
    operands = [node.build.known(node.inputs[i]) for i in (1, 2) if node.has(i)]
    known = all(values is not None for values in operands)
    return known and len(kernel) < 3 and own_type(node) == "float32"


def _by_windows(node: NodeReading, stated: Geometry) -> Value:
    """The numbers of windows by the weights, whatever they are."""
    build, image = node.build, node.shape(0)[2:]
    x, weights = (build.plain(name) for name in node.inputs[:2])
    flat = build.reshaped(weights, (*node.shape(1)[:2], math.prod(stated.size)))
    bias = build.plain(node.inputs[2]) if node.has(2) else None
    seen = taken(node, x, table(image, spans(image, stated)))
    return Value(convolved(node, seen, flat, bias, stated.windows(image)))


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
    assert kernels is not None  # computed ones are multiplied by windows
    if bias is not None:
        biases = build.tensors[bias].data
    made = []
    for i, part in enumerate(parts):
        own = slice(i * filters, (i + 1) * filters)
        operands = [part, build.constant(kernels[own])]
        operands += [] if biases is None else [build.constant(biases[own])]
        made.append(node.emit("conv2d", [*operands, *[None] * (3 - len(operands))], attrs)[0])
    return node.emit("concatenation", made, Concatenation(3))[0]


def conv_integer(node: NodeReading) -> Made:
    """int32 sums of products of bytes less their zero points."""
    build, (filters, depth, *kernel) = node.build, node.shape(1)
    stated, image = geometry(node, kernel), node.shape(0)[2:]
    operands = []
    for place in (0, 1):
        operand = as_type(node, build.plain(node.inputs[place]), "int32")
        if node.has(place + 2):
            zero = as_type(node, build.plain(node.inputs[place + 2]), "int32")
            count = build.tensors[zero].elements
            of_filters = (count, 1, *(1 for _ in kernel))
            zero = build.reshaped(zero, of_filters if place and count > 1 else ())
            operand = pair(node, "sub", operand, zero)
        operands.append(operand)
    weights = build.reshaped(operands[1], (filters, depth, math.prod(kernel)))
    seen = taken(node, operands[0], table(image, spans(image, stated)))
    return [Value(convolved(node, seen, weights, None, stated.windows(image)))]


# ---- transposed convolutions -------------------------------------------------------------------


def conv_transpose(node: NodeReading) -> Made:
    """Of images, of sequences as images of one row; groups run one by one."""
    kernel = node.shape(1)[2:]
    if node.shape(0)[1] != node.shape(1)[0] or len(kernel) != len(node.shape(0)) - 2:
        raise ValueError(f"weights {list(node.shape(1))} don't fit {list(node.shape(0))}")
    stated, out = _transposed_window(node, kernel)
    if not _has_kernel(node, kernel):
        return [_back_by_windows(node, stated, out)]
    return [as_given(node, _transposed_images(node, stated, out))]


def _transposed_window(node: NodeReading, kernel: Sequence[int]) -> tuple[Geometry, Sizes]:
    """The window and the output's size, whichever of padding and size the node states."""
    rank, size = len(kernel), node.shape(0)[2:]
    stride, dilation = (each(node, name, rank) for name in ("strides", "dilations"))
    extra = node.attribute("output_padding") or [0] * rank
    full = [
        (n - 1) * s + (k - 1) * d + 1 + e
        for n, s, k, d, e in zip(size, stride, kernel, dilation, extra, strict=True)
    ]
    pads = [int(p) for p in node.attribute("pads") or [0] * 2 * rank]
    wanted, auto = node.attribute("output_shape"), node.attribute("auto_pad", "NOTSET")
    if wanted is None and auto.startswith("SAME"):
        wanted = [n * s for n, s in zip(size, stride, strict=True)]
    if wanted is not None:
        total = [max(f - w, 0) for f, w in zip(full, wanted[-rank:], strict=True)]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = [*small, *large] if auto == "SAME_UPPER" else [*large, *small]
        out = tuple(int(w) for w in wanted[-rank:])
    else:
        out = tuple(f - pads[i] - pads[i + rank] for i, f in enumerate(full))
    begin, end = tuple(pads[:rank]), tuple(pads[rank:])
    return Geometry(tuple(kernel), stride, dilation, begin, end, (0,) * rank), out


def _back_by_windows(node: NodeReading, stated: Geometry, out: Sizes) -> Value:
    """What falls on each place, by the weights."""
    build, image = node.build, node.shape(0)[2:]
    (channels, depth), groups = node.shape(1)[:2], node.attribute("group", 1)
    numbers = math.prod(stated.size)
    split = (groups, channels // groups, depth, numbers)
    weights = build.reshaped(build.plain(node.inputs[1]), split)
    turned = build.transposed(weights, (0, 2, 1, 3))
    flat = build.reshaped(turned, (groups * depth, channels // groups, numbers))
    bias = build.plain(node.inputs[2]) if node.has(2) else None
    places = table(image, spans_back(out, image, stated))
    seen = taken(node, build.plain(node.inputs[0]), places)
    return Value(convolved(node, seen, flat, bias, out))


def _transposed_images(node: NodeReading, stated: Geometry, out: Sizes) -> int:
    """By the kernel of images; dilated weights are written out with zeros between."""
    data = node.constant(1, "weights")
    depth, groups = data.shape[1], node.attribute("group", 1)
    window, x = window_of(stated), image_of(node)
    data = data.reshape(*data.shape[:2], *window.size)
    spread = np.zeros((*data.shape[:2], *effective(window.size, window.dilation)), data.dtype)
    spread[:, :, :: window.dilation[0], :: window.dilation[1]] = data
    weights = node.build.constant(
        spread.transpose(1, 2, 3, 0), quantization=_moved_axis(node, node.inputs[1])
    )
    bias = _bias(node, 2, depth * groups)
    attrs = _transposed_attrs(node, x, window.stride, window.padding, out, depth)
    if groups == 1:
        return node.emit("transpose_conv", [x, weights, bias], attrs)[0]
    share = node.build.tensors[x].shape[3] // groups
    parts = node.emit("split", [x], Split(3, (share,) * groups), outputs=groups)
    made = []
    for i, part in enumerate(parts):
        own = spread[i * share : (i + 1) * share].transpose(1, 2, 3, 0)
        values = None if bias is None else node.build.tensors[bias].data
        piece = None if values is None else values[i * depth : (i + 1) * depth]
        own_bias = None if piece is None else node.build.constant(piece)
        operands = [part, node.build.constant(own), own_bias]
        made.append(node.emit("transpose_conv", operands, attrs)[0])
    return node.emit("concatenation", made, Concatenation(3))[0]


def _transposed_attrs(
    node: NodeReading, x: int, stride: Pair, padding: Padding, out: Sizes, filters: int
) -> TransposeConv:
    height, width = (1,) * (2 - len(out)) + out
    batch = node.build.tensors[x].shape[0]
    return TransposeConv(stride, padding, output_shape=(batch, height, width, filters))


def _moved_axis(node: NodeReading, name: str) -> Quantization | None:
    """Scales of ONNX's [in, out, h, w] weights along the first axis of TFLite's."""
    scales = node.build.scales.get(name)
    if scales is None or not scales.per_axis:
        return scales
    return Quantization(scales.scales, scales.zero_points, 0 if scales.axis == 1 else 3)


def _bias(node: NodeReading, place: int, count: int) -> int | None:
    if not node.has(place):
        return None
    values = node.constant(place, "bias")
    if values.shape != (count,):
        raise ValueError(f"its bias has the shape {list(values.shape)}, needed is [{count}]")
    return node.build.constant(values)


# ---- windows laid down -------------------------------------------------------------------------


def col2im(node: NodeReading) -> Made:
    """Columns of windows laid down where they were taken, and added up."""
    build = node.build
    image = tuple(int(n) for n in node.constant(1, "image shape"))
    kernel = tuple(int(n) for n in node.constant(2, "block shape"))
    rank, numbers = len(kernel), math.prod(kernel)
    stride, dilation = (each(node, name, rank) for name in ("strides", "dilations"))
    pads = [int(p) for p in node.attribute("pads") or [0] * 2 * rank]
    stated = Geometry(kernel, stride, dilation, tuple(pads[:rank]), tuple(pads[rank:]), (0,) * rank)
    windows = stated.windows(image)
    batch, channels, columns = node.shape(0)
    if columns != math.prod(windows) or channels % numbers:
        raise ValueError(f"{channels} x {columns} are no windows {list(kernel)} of {list(image)}")
    places = table(windows, spans_back(image, windows, stated))
    rows = np.arange(numbers) * columns
    places = np.where(places == OUTSIDE, OUTSIDE, places + rows)
    shape = (batch, channels // numbers)
    x = build.reshaped(build.plain(node.inputs[0]), (*shape, numbers * columns))
    total = node.emit("sum", [taken(node, x, places)], Reduce((3,)))[0]
    return [Value(build.reshaped(total, (*shape, *image)))]


READERS: Mapping[str, OnnxReader] = {
    "Col2Im": col2im,
    "Conv": conv,
    "ConvInteger": conv_integer,
    "ConvTranspose": conv_transpose,
}
