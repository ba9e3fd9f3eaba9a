"""The operator table: one entry an operator, with its attributes and its rules.

An entry says what an operator is, not how it is computed: attribute class, shape rule, region rule
and MAC count. `kernels/<operator>.py` has its arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .graph import BINARY, WORD_BITS, Graph, Node
from .regions import Need, Span, scaled, whole, window

Shape = tuple[int, ...]
Pair = tuple[int, int]  # (height, width)


@dataclass(frozen=True)
class Padding:
    """Rows and columns of zero point round an image."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


@dataclass(frozen=True)
class NoAttrs:
    """An operator that needs no attributes."""


@dataclass(frozen=True)
class Conv2D:
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = Padding()
    activation: str = "none"  # none, relu, relu6, relu_n1_to_1
    unsigned: bool = False  # was uint8: TFLite rounds the scale by another rule


@dataclass(frozen=True)
class DepthwiseConv2D:
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = Padding()
    activation: str = "none"
    unsigned: bool = False  # was uint8: TFLite rounds the scale by another rule
    multiplier: int = 1  # output channels for each input channel


@dataclass(frozen=True)
class TransposeConv:
    stride: Pair = (1, 1)
    padding: Padding = Padding()
    activation: str = "none"
    unsigned: bool = False  # was uint8: TFLite rounds the scale by another rule
    output_shape: Shape = ()


@dataclass(frozen=True)
class FullyConnected:
    activation: str = "none"
    keep_dims: bool = False
    lanes: int = 1  # float sums run in this many, 1 or 4, added up in pairs: another rounding


@dataclass(frozen=True)
class Pool2D:
    window: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Padding = Padding()
    activation: str = "none"
    unsigned: bool = False  # averages round as on q + 128, for models that were uint8


@dataclass(frozen=True)
class Arithmetic:
    """add, sub, mul. `pot_scale` is the file's flag for int16 with power-of-two scales."""

    activation: str = "none"
    pot_scale: bool = True


@dataclass(frozen=True)
class Mean:
    axes: tuple[int, ...] = ()
    keep_dims: bool = False


@dataclass(frozen=True)
class Pad:
    """`value` in the tensor's own quantized numbers; None is the zero point."""

    before: Shape = ()
    after: Shape = ()
    value: float | int | None = None


@dataclass(frozen=True)
class Softmax:
    beta: float = 1.0


@dataclass(frozen=True)
class Relu:
    """Clamp to real [minimum, maximum]; None is no bound."""

    minimum: float | None = 0.0
    maximum: float | None = None


@dataclass(frozen=True)
class LeakyRelu:
    alpha: float = 0.01


@dataclass(frozen=True)
class Concatenation:
    axis: int = 0
    activation: str = "none"


@dataclass(frozen=True)
class Split:
    axis: int = 0
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class StridedSlice:
    """Resolved to full rank: begin, stride and count along every axis, then axes dropped."""

    begin: Shape = ()
    strides: Shape = ()
    sizes: Shape = ()
    dropped: tuple[int, ...] = ()


@dataclass(frozen=True)
class Transpose:
    permutation: Shape = ()


@dataclass(frozen=True)
class Reshape:
    shape: Shape = ()


@dataclass(frozen=True)
class Resize:
    size: Pair = (1, 1)
    align_corners: bool = False
    half_pixel_centers: bool = False
    unsigned: bool = False  # was uint8: TFLite interpolates in float32


@dataclass(frozen=True)
class Feed:
    """The input's columns from `left` on, as many as the output has."""

    left: int = 0


@dataclass(frozen=True)
class Tile:
    """A part of an image: rows from `top` and columns from `left` on."""

    top: int = 0
    left: int = 0
    size: Pair = (1, 1)


@dataclass(frozen=True)
class Join:
    """Parts that make up an image; where two lie on each other they are equal."""

    corners: tuple[Pair, ...] = ()  # (top, left) of each part
    size: Pair = (1, 1)


@dataclass(frozen=True)
class Lstm:
    """Unidirectional sequence LSTM; input positions are those of the TFLite operator.

    Of an input with four axes, time is the second, and the first and third are batches.

    `intermediates` has (scale, zero point) of the operator's intermediate tensors, None where one
    has no quantization; the fifth is that of the hidden value before it is projected.
    """

    cell_clip: float = 0.0
    projection_clip: float = 0.0
    time_major: bool = False
    activation: str = "tanh"
    intermediates: tuple[tuple[float, int] | None, ...] = ()


@dataclass(frozen=True)
class Svdf:
    rank: int = 1
    activation: str = "none"


@dataclass(frozen=True)
class Binarize:
    """Bit 1 where x is below a threshold, else 0: `levels` thresholds for each channel.

    Channel level * channels + c of the output compares channel c with its threshold `level`.
    """

    levels: int = 1


@dataclass(frozen=True)
class BitPlanes:
    """q - zero point as `bits` planes, plane i holding bit i of two's complement."""

    bits: int = 8


@dataclass(frozen=True)
class Debinarize:
    channels: int = 32  # of the output: the last word of a pixel may not be full


@dataclass(frozen=True)
class BConv2D:
    """A convolution of bits. The number at a place is the sum of its planes' values, each times its
    coefficient; a plane's value is +1 or -1, or if `plain` the bit itself, 0 or 1.
    """

    channels: int = 32  # of the input, those of all groups
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = Padding()
    pad_value: int = 1  # of every plane outside the image: 1, 0 or -1; 0 if `plain`
    activation: str = "none"  # on the sum, before multiplier and bias
    x_planes: tuple[int, ...] = (1,)
    weight_planes: tuple[int, ...] = (1,)
    plain: bool = False


@dataclass(frozen=True)
class BDense:
    channels: int = 32
    activation: str = "none"
    x_planes: tuple[int, ...] = (1,)
    weight_planes: tuple[int, ...] = (1,)
    plain: bool = False


@dataclass(frozen=True)
class Operator:
    """One entry: `shapes` gives the output shapes, `need` what an output region needs of an input,
    `macs` the multiply-accumulates of the whole node."""

    attrs: type
    shapes: Callable[[Graph, Node], tuple[Shape, ...]]
    need: Callable[[Graph, Node, int], Need] | None = None  # None: all of the input
    macs: Callable[[Graph, Node], int] = lambda graph, node: 0


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


# ---- shape rules -------------------------------------------------------------------------------


def _window_outputs(graph: Graph, node: Node) -> Pair:
    attrs, (height, width) = node.attrs, image_size(graph.input(node).shape)
    extent = effective(kernel_size(graph, node), getattr(attrs, "dilation", (1, 1)))
    pad = attrs.padding
    return (
        (height + pad.top + pad.bottom - extent[0]) // attrs.stride[0] + 1,
        (width + pad.left + pad.right - extent[1]) // attrs.stride[1] + 1,
    )


def _conv2d_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    batch, weights = graph.input(node).shape[0], graph.input(node, 1).shape
    return ((batch, *_window_outputs(graph, node), weights[0]),)


def _depthwise_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    batch, weights = graph.input(node).shape[0], graph.input(node, 1).shape
    return ((batch, *_window_outputs(graph, node), weights[3]),)


def _pool_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape = graph.input(node).shape
    return ((shape[0], *_window_outputs(graph, node), shape[3]),)


def _fully_connected_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    x, (units, depth) = graph.input(node), graph.input(node, 1).shape
    if node.attrs.keep_dims:
        return ((*x.shape[:-1], units),)
    return ((x.elements // depth, units),)


def _same_shape(graph: Graph, node: Node) -> tuple[Shape, ...]:
    return (graph.input(node).shape,)


def _broadcast_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(graph.input(node, 0).shape, graph.input(node, 1).shape),)


def _mean_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape, axes = graph.input(node).shape, node.attrs.axes
    if node.attrs.keep_dims:
        return (tuple(1 if i in axes else n for i, n in enumerate(shape)),)
    return (tuple(n for i, n in enumerate(shape) if i not in axes),)


def _pad_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape, attrs = graph.input(node).shape, node.attrs
    return (tuple(b + n + a for b, n, a in zip(attrs.before, shape, attrs.after, strict=True)),)


def _concatenation_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shapes, axis = [graph.tensors[t].shape for t in node.operands], node.attrs.axis
    first = shapes[0]
    return ((*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :]),)


def _split_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape, axis = graph.input(node).shape, node.attrs.axis
    return tuple((*shape[:axis], size, *shape[axis + 1 :]) for size in node.attrs.sizes)


def _strided_slice_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    attrs = node.attrs
    return (tuple(n for i, n in enumerate(attrs.sizes) if i not in attrs.dropped),)


def _transpose_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape = graph.input(node).shape
    return (tuple(shape[axis] for axis in node.attrs.permutation),)


def _resize_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape = graph.input(node).shape
    return ((shape[0], *node.attrs.size, shape[3]),)


def _feed_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    """Columns of the input's rows; those must be in it."""
    taken, image = graph.output(node).shape, graph.tensors[graph.inputs[0]].shape
    if node.attrs.left < 0 or node.attrs.left + taken[2] > image[2]:
        raise ValueError(f"columns from {node.attrs.left} to {node.attrs.left + taken[2] - 1}")
    return ((*image[:2], taken[2], image[3]),)


def _tile_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape, attrs = graph.input(node).shape, node.attrs
    _check_inside((attrs.top, attrs.left), attrs.size, image_size(shape))
    return ((shape[0], *attrs.size, shape[3]),)


def _join_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape, attrs = graph.input(node).shape, node.attrs
    for tensor, corner in zip(node.operands, attrs.corners, strict=True):
        _check_inside(corner, image_size(graph.tensors[tensor].shape), attrs.size)
    return ((shape[0], *attrs.size, shape[3]),)


def _check_inside(corner: Pair, part: Pair, image: Pair) -> None:
    for first, size, limit in zip(corner, part, image, strict=True):
        if first < 0 or size < 0 or first + size > limit:
            raise ValueError(f"a part of {part} at {corner} is not inside {image}")


def _lstm_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    units = graph.input(node, 6).shape[1]  # recurrent weights [gate units, output units]
    return ((*graph.input(node).shape[:-1], units),)


def _svdf_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    filters = graph.input(node, 1).shape[0]
    return ((graph.input(node).shape[0], filters // node.attrs.rank),)


def _binarize_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape = graph.input(node).shape
    return ((*shape[:-1], words_of(shape[-1] * node.attrs.levels)),)


def _bit_planes_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape = graph.input(node).shape
    return ((*shape[:-1], words_of(shape[-1]) * node.attrs.bits),)


def _debinarize_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    return ((*graph.input(node).shape[:-1], node.attrs.channels),)


def _binary_units(graph: Graph, node: Node) -> int:
    """The last axis of a binary layer's output: words if it is bits, else channels."""
    units = graph.input(node, 1).shape[0]
    return words_of(units) if graph.output(node).dtype == BINARY else units


def _bconv2d_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    batch = graph.input(node).shape[0]
    return ((batch, *_window_outputs(graph, node), _binary_units(graph, node)),)


def _bdense_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    return ((*graph.input(node).shape[:-1], _binary_units(graph, node)),)


# ---- region rules ------------------------------------------------------------------------------


def _window_need(graph: Graph, node: Node, position: int) -> Need:
    attrs, pad = node.attrs, node.attrs.padding
    height, width = image_size(graph.input(node, position).shape)
    rows, columns = image_size(graph.output(node).shape)
    extent = effective(kernel_size(graph, node), getattr(attrs, "dilation", (1, 1)))
    return Need(
        window(rows, height, extent[0], attrs.stride[0], pad.top),
        window(columns, width, extent[1], attrs.stride[1], pad.left),
    )


def _pointwise_need(graph: Graph, node: Node, position: int) -> Need:
    height, width = image_size(graph.input(node, position).shape)
    rows, columns = image_size(graph.output(node).shape)
    return Need(
        window(rows, height) if height == rows else whole(rows, height),
        window(columns, width) if width == columns else whole(columns, width),
    )


def _pad_need(graph: Graph, node: Node, position: int) -> Need:
    height, width = image_size(graph.input(node).shape)
    rows, columns = image_size(graph.output(node).shape)
    top, left = node.attrs.before[1:3] if len(node.attrs.before) == 4 else (0, 0)
    return Need(window(rows, height, before=top), window(columns, width, before=left))


def _strided_slice_need(graph: Graph, node: Node, position: int) -> Need:
    attrs, shape = node.attrs, graph.input(node).shape
    rows, columns = image_size(graph.output(node).shape)
    if len(shape) != 4 or attrs.dropped:
        return Need(whole(rows, image_size(shape)[0]), whole(columns, image_size(shape)[1]))

    def axis(number: int) -> Span:
        taken = attrs.begin[number] + np.arange(attrs.sizes[number]) * attrs.strides[number]
        return scaled(shape[number], taken, taken)

    return Need(axis(1), axis(2))


def _resize_need(graph: Graph, node: Node, position: int) -> Need:
    size, outputs = image_size(graph.input(node).shape), node.attrs.size

    def axis(count: int, inputs: int) -> tuple[np.ndarray, np.ndarray]:
        scale = (
            (inputs - 1) / (count - 1)
            if node.attrs.align_corners and count > 1
            else (inputs / count)
        )
        centre = np.arange(count) * scale
        if node.attrs.half_pixel_centers:
            centre += 0.5 * scale - 0.5
        low = np.clip(np.floor(centre - 0.5), 0, inputs - 1)
        return low, np.clip(np.ceil(centre + 1.0), 0, inputs - 1)

    return Need(
        scaled(size[0], *axis(outputs[0], size[0])),
        scaled(size[1], *axis(outputs[1], size[1])),
    )


def _lstm_need(graph: Graph, node: Node, position: int) -> Need:
    """A time step needs its own row; earlier ones are in the states."""
    height, width = image_size(graph.input(node, position).shape)
    return Need(window(height, height), whole(width, width))


# ---- MAC counts --------------------------------------------------------------------------------


def _conv2d_macs(graph: Graph, node: Node) -> int:
    return graph.output(node).elements * math.prod(graph.input(node, 1).shape[1:])


def _depthwise_macs(graph: Graph, node: Node) -> int:
    return graph.output(node).elements * math.prod(graph.input(node, 1).shape[1:3])


def _transpose_conv_macs(graph: Graph, node: Node) -> int:
    weights = graph.input(node, 1).shape  # [output channels, h, w, input channels]
    return graph.input(node).elements * math.prod(weights[:3])


def _fully_connected_macs(graph: Graph, node: Node) -> int:
    return graph.output(node).elements * graph.input(node, 1).shape[-1]


def _lstm_macs(graph: Graph, node: Node) -> int:
    steps = math.prod(graph.input(node).shape[:-1])
    weights = (graph.operand(node, position) for position in range(1, 9))
    return steps * sum(tensor.elements for tensor in weights if tensor is not None)


def _svdf_macs(graph: Graph, node: Node) -> int:
    batch = graph.input(node).shape[0]
    return batch * (graph.input(node, 1).elements + graph.input(node, 2).elements)


def _binary_macs(graph: Graph, node: Node) -> int:
    """One for each pair of input and weight, whatever their planes."""
    weights, y = graph.input(node, 1).shape, graph.output(node)
    groups = max(words_of(node.attrs.channels) // weight_words(graph, node), 1)
    return math.prod((*y.shape[:-1], *weights[:-1])) * (node.attrs.channels // groups)


_ELEMENTWISE = (_same_shape, _pointwise_need)

OPERATORS: Mapping[str, Operator] = {
    # inputs: x, weights [out, h, w, in], bias
    "conv2d": Operator(Conv2D, _conv2d_shapes, _window_need, _conv2d_macs),
    # inputs: x, weights [1, h, w, out], bias
    "depthwise_conv2d": Operator(DepthwiseConv2D, _depthwise_shapes, _window_need, _depthwise_macs),
    # inputs: x, weights [out, h, w, in], bias
    "transpose_conv": Operator(
        TransposeConv, lambda graph, node: (node.attrs.output_shape,), None, _transpose_conv_macs
    ),
    # inputs: x, weights [units, depth], bias
    "fully_connected": Operator(
        FullyConnected, _fully_connected_shapes, None, _fully_connected_macs
    ),
    "average_pool2d": Operator(Pool2D, _pool_shapes, _window_need),
    "max_pool2d": Operator(Pool2D, _pool_shapes, _window_need),
    "mean": Operator(Mean, _mean_shapes),
    "add": Operator(Arithmetic, _broadcast_shapes, _pointwise_need),
    "sub": Operator(Arithmetic, _broadcast_shapes, _pointwise_need),
    "mul": Operator(Arithmetic, _broadcast_shapes, _pointwise_need),
    "pad": Operator(Pad, _pad_shapes, _pad_need),
    # the input itself, when the caller hands it over row by row (`feeding.py`)
    "feed": Operator(Feed, _feed_shapes),
    # parts of images, where a segment runs in strips or patches (`tiles.py`)
    "tile": Operator(Tile, _tile_shapes),
    "join": Operator(Join, _join_shapes),
    "softmax": Operator(Softmax, *_ELEMENTWISE),
    "relu": Operator(Relu, *_ELEMENTWISE),
    "leaky_relu": Operator(LeakyRelu, *_ELEMENTWISE),
    "sign": Operator(NoAttrs, *_ELEMENTWISE),
    "logistic": Operator(NoAttrs, *_ELEMENTWISE),
    "tanh": Operator(NoAttrs, *_ELEMENTWISE),
    "hard_swish": Operator(NoAttrs, *_ELEMENTWISE),
    "quantize": Operator(NoAttrs, *_ELEMENTWISE),
    "dequantize": Operator(NoAttrs, *_ELEMENTWISE),
    "concatenation": Operator(Concatenation, _concatenation_shapes),
    "split": Operator(Split, _split_shapes),
    "strided_slice": Operator(StridedSlice, _strided_slice_shapes, _strided_slice_need),
    "transpose": Operator(Transpose, _transpose_shapes),
    "reshape": Operator(Reshape, lambda graph, node: (node.attrs.shape,)),
    "resize_nearest": Operator(Resize, _resize_shapes, _resize_need),
    "resize_bilinear": Operator(Resize, _resize_shapes, _resize_need),
    # inputs: the 24 positions of TFLite's UNIDIRECTIONAL_SEQUENCE_LSTM
    "lstm": Operator(Lstm, _lstm_shapes, _lstm_need, _lstm_macs),
    # inputs: x, feature weights [filters, in], time weights [filters, memory], bias, state
    "svdf": Operator(Svdf, _svdf_shapes, None, _svdf_macs),
    # inputs: x, thresholds [levels, channels] (left out: the zero point)
    "binarize": Operator(Binarize, _binarize_shapes, _pointwise_need),
    "bit_planes": Operator(BitPlanes, _bit_planes_shapes, _pointwise_need),
    "debinarize": Operator(Debinarize, _debinarize_shapes, _pointwise_need),
    # inputs: x, weights [out, h, w, words], multiplier, bias, thresholds, gates
    "bconv2d": Operator(BConv2D, _bconv2d_shapes, _window_need, _binary_macs),
    # the same with weights [units, words]
    "bdense": Operator(BDense, _bdense_shapes, None, _binary_macs),
    "bmax_pool2d": Operator(Pool2D, _pool_shapes, _window_need),
}


def macs(graph: Graph, node: Node) -> int:
    """Multiply-accumulates of one node."""
    return OPERATORS[node.op].macs(graph, node)


def total_macs(graph: Graph) -> int:
    """Multiply-accumulates of one inference."""
    return sum(macs(graph, node) for node in graph.nodes)


def need(graph: Graph, node: Node, position: int) -> Need:
    """What the node's outputs need of the input at `position`."""
    rule = OPERATORS[node.op].need
    if rule is not None:
        return rule(graph, node, position)
    height, width = image_size(graph.input(node, position).shape)
    rows, columns = image_size(graph.output(node).shape)
    return Need(whole(rows, height), whole(columns, width))
