"""Shape rules: the output shapes of a node from its operands and attributes."""

from __future__ import annotations

import numpy as np

from .attributes import (
    Pair,
    Pool2D,
    Shape,
)
from .graph import BINARY, WORD_BITS, Graph, Node


def words_of(channels: int) -> int:
    """Words of a binary tensor that hold this many channels of a pixel."""
    return -(-channels // WORD_BITS)


def weight_words(graph: Graph, node: Node) -> int:
    """Words that one plane of one tap of a binary layer's weights takes."""
    return graph.input(node, 1).shape[-1] // len(node.attrs.weight_planes)


def same_padding(size: int, extent: int, stride: int) -> Pair:
    """TFLite's SAME padding along one axis: (before, after), the odd one after."""
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def effective(kernel: Pair, dilation: Pair) -> Pair:
    """Extent of a dilated window."""
    return (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1


def image_size(shape: Shape) -> Pair:
    """(height, width) of an NHWC tensor; any other rank is one pixel."""
    return (shape[1], shape[2]) if len(shape) == 4 else (1, 1)


def kernel_size(graph: Graph, node: Node) -> Pair:
    """Height and width of a node's window, dilation not included."""
    if isinstance(node.attrs, Pool2D):
        return node.attrs.window
    shape = graph.input(node, 1).shape
    return shape[1], shape[2]


def window_outputs(graph: Graph, node: Node) -> Pair:
    attrs, (height, width) = node.attrs, image_size(graph.input(node).shape)
    extent = effective(kernel_size(graph, node), getattr(attrs, "dilation", (1, 1)))
    pad = attrs.padding
    return (
        (height + pad.top + pad.bottom - extent[0]) // attrs.stride[0] + 1,
        (width + pad.left + pad.right - extent[1]) // attrs.stride[1] + 1,
    )


def dynamic_quantize_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    groups = node.attrs.groups
    return graph.input(node).shape, (groups,), (groups,)


def conv2d_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    batch, weights = graph.input(node).shape[0], graph.input(node, 1).shape
    return ((batch, *window_outputs(graph, node), weights[0]),)


def depthwise_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    batch, weights = graph.input(node).shape[0], graph.input(node, 1).shape
    return ((batch, *window_outputs(graph, node), weights[3]),)


def pool_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape = graph.input(node).shape
    return ((shape[0], *window_outputs(graph, node), shape[3]),)


def fully_connected_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    x, (units, depth) = graph.input(node), graph.input(node, 1).shape
    if node.attrs.keep_dims:
        return ((*x.shape[:-1], units),)
    return ((x.elements // depth, units),)


def same_shape(graph: Graph, node: Node) -> tuple[Shape, ...]:
    return (graph.input(node).shape,)


def broadcast_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(graph.input(node, 0).shape, graph.input(node, 1).shape),)


def mean_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape, axes = graph.input(node).shape, node.attrs.axes
    if node.attrs.keep_dims:
        return (tuple(1 if i in axes else n for i, n in enumerate(shape)),)
    return (tuple(n for i, n in enumerate(shape) if i not in axes),)


def pad_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape, attrs = graph.input(node).shape, node.attrs
    return (tuple(b + n + a for b, n, a in zip(attrs.before, shape, attrs.after, strict=True)),)


def concatenation_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shapes, axis = [graph.tensors[t].shape for t in node.operands], node.attrs.axis
    first = shapes[0]
    return ((*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :]),)


def split_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape, axis = graph.input(node).shape, node.attrs.axis
    return tuple((*shape[:axis], size, *shape[axis + 1 :]) for size in node.attrs.sizes)


def strided_slice_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    attrs = node.attrs
    return (tuple(n for i, n in enumerate(attrs.sizes) if i not in attrs.dropped),)


def transpose_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape = graph.input(node).shape
    return (tuple(shape[axis] for axis in node.attrs.permutation),)


def resize_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape = graph.input(node).shape
    return ((shape[0], *node.attrs.size, shape[3]),)


def feed_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    """Columns of the input's rows; those must be in it."""
    taken, image = graph.output(node).shape, graph.tensors[graph.inputs[0]].shape
    if node.attrs.left < 0 or node.attrs.left + taken[2] > image[2]:
        raise ValueError(f"columns from {node.attrs.left} to {node.attrs.left + taken[2] - 1}")
    return ((*image[:2], taken[2], image[3]),)


def tile_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape, attrs = graph.input(node).shape, node.attrs
    check_inside((attrs.top, attrs.left), attrs.size, image_size(shape))
    return ((shape[0], *attrs.size, shape[3]),)


def join_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape, attrs = graph.input(node).shape, node.attrs
    for tensor, corner in zip(node.operands, attrs.corners, strict=True):
        check_inside(corner, image_size(graph.tensors[tensor].shape), attrs.size)
    return ((shape[0], *attrs.size, shape[3]),)


def slide_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    """The state; what is kept and what is new make it up."""
    state, *parts = (graph.tensors[t] for t in node.operands)
    kept, by = node.attrs.kept, node.attrs.by
    rows = kept + sum(part.shape[1] for part in parts)
    whole = (state.shape[0], rows, *state.shape[2:])
    if state.shape != whole or kept < 0 or not 1 <= by <= parts[0].shape[1]:
        raise ValueError(f"{kept} rows are kept and move by {by}, {rows} make up {state.shape[1]}")
    return (state.shape,)


def check_inside(corner: Pair, part: Pair, image: Pair) -> None:
    for first, size, limit in zip(corner, part, image, strict=True):
        if first < 0 or size < 0 or first + size > limit:
            raise ValueError(f"a part of {part} at {corner} is not inside {image}")


def lstm_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    units = graph.input(node, 6).shape[1]  # recurrent weights [gate units, output units]
    return ((*graph.input(node).shape[:-1], units),)


def svdf_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    filters = graph.input(node, 1).shape[0]
    return ((graph.input(node).shape[0], filters // node.attrs.rank),)


def binarize_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape = graph.input(node).shape
    return ((*shape[:-1], words_of(shape[-1] * node.attrs.levels)),)


def bit_planes_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape = graph.input(node).shape
    return ((*shape[:-1], words_of(shape[-1]) * node.attrs.bits),)


def debinarize_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    return ((*graph.input(node).shape[:-1], node.attrs.channels),)


def binary_units(graph: Graph, node: Node) -> int:
    """The last axis of a binary layer's output: words if it is bits, else channels."""
    units = graph.input(node, 1).shape[0]
    return words_of(units) if graph.output(node).dtype == BINARY else units


def bconv2d_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    batch = graph.input(node).shape[0]
    return ((batch, *window_outputs(graph, node), binary_units(graph, node)),)


def bdense_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    return ((*graph.input(node).shape[:-1], binary_units(graph, node)),)
