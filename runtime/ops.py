"""The operator table: one entry an operator, with its attributes and its rules.

An entry says what an operator is, not how it is computed: attribute class (`attributes`), shape
rule (`shapes`), region rule (`needs`) and MAC count. `kernels/<operator>.py` has its arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import general, narrow, sampling, signal
from .attributes import (
    Arithmetic,
    BConv2D,
    BDense,
    Binarize,
    BitPlanes,
    Concatenation,
    Conv2D,
    Debinarize,
    DepthwiseConv2D,
    DynamicQuantize,
    Feed,
    FullyConnected,
    Join,
    L2Normalization,
    LeakyRelu,
    Lstm,
    Mean,
    NoAttrs,
    Pad,
    Pool2D,
    Relu,
    Reshape,
    Resize,
    Shape,
    Slide,
    Softmax,
    Split,
    StridedSlice,
    Svdf,
    Tile,
    Transpose,
    TransposeConv,
)
from .detection import Detection, detection_shapes
from .graph import Graph, Node
from .needs import (
    lstm_need,
    pad_need,
    pointwise_need,
    resize_need,
    strided_slice_need,
    window_need,
    winograd_need,
)
from .regions import Need, whole
from .shapes import (
    bconv2d_shapes,
    bdense_shapes,
    binarize_shapes,
    bit_planes_shapes,
    broadcast_shapes,
    concatenation_shapes,
    conv2d_shapes,
    debinarize_shapes,
    depthwise_shapes,
    dynamic_quantize_shapes,
    feed_shapes,
    fully_connected_shapes,
    image_size,
    join_shapes,
    lstm_shapes,
    mean_shapes,
    pad_shapes,
    pool_shapes,
    resize_shapes,
    same_shape,
    slide_shapes,
    split_shapes,
    strided_slice_shapes,
    svdf_shapes,
    tile_shapes,
    transpose_shapes,
    weight_words,
    words_of,
)
from .while_loop import WHILE, WhileLoop, while_shapes


@dataclass(frozen=True)
class Operator:
    """One entry: `shapes` gives the output shapes, `need` what an output region needs of an input,
    `macs` the multiply-accumulates of the whole node."""

    attrs: type
    shapes: Callable[[Graph, Node], tuple[Shape, ...]]
    need: Callable[[Graph, Node, int], Need] | None = None  # None: all of the input
    macs: Callable[[Graph, Node], int] = lambda graph, node: 0


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


def _turn_macs(graph: Graph, node: Node) -> int:
    """Of one turn: how many there are is known only while the model runs."""
    return sum(map(total_macs, node.attrs.parts))


_ELEMENTWISE = (same_shape, pointwise_need)

OPERATORS: Mapping[str, Operator] = {
    # inputs: x, weights [out, h, w, in], bias
    "conv2d": Operator(Conv2D, conv2d_shapes, window_need, _conv2d_macs),
    # the same of float32 by Winograd's algorithm, where the user asks for it
    "winograd_conv2d": Operator(Conv2D, conv2d_shapes, winograd_need, _conv2d_macs),
    # inputs: x, weights [1, h, w, out], bias
    "depthwise_conv2d": Operator(DepthwiseConv2D, depthwise_shapes, window_need, _depthwise_macs),
    # inputs: x, weights [out, h, w, in], bias
    "transpose_conv": Operator(
        TransposeConv, lambda graph, node: (node.attrs.output_shape,), None, _transpose_conv_macs
    ),
    # inputs: x, weights [units, depth], bias
    "fully_connected": Operator(
        FullyConnected, fully_connected_shapes, None, _fully_connected_macs
    ),
    # outputs: int8 numbers, scales and zero points of the groups
    "dynamic_quantize": Operator(DynamicQuantize, dynamic_quantize_shapes),
    # inputs: x in int8, weights, bias, scales and zero points of its images (or vectors)
    "hybrid_conv2d": Operator(Conv2D, conv2d_shapes, None, _conv2d_macs),
    "hybrid_depthwise_conv2d": Operator(DepthwiseConv2D, depthwise_shapes, None, _depthwise_macs),
    "hybrid_fully_connected": Operator(
        FullyConnected, fully_connected_shapes, None, _fully_connected_macs
    ),
    "average_pool2d": Operator(Pool2D, pool_shapes, window_need),
    "max_pool2d": Operator(Pool2D, pool_shapes, window_need),
    "l2_pool2d": Operator(Pool2D, pool_shapes, window_need),
    "mean": Operator(Mean, mean_shapes),
    "add": Operator(Arithmetic, broadcast_shapes, pointwise_need),
    "sub": Operator(Arithmetic, broadcast_shapes, pointwise_need),
    "mul": Operator(Arithmetic, broadcast_shapes, pointwise_need),
    "pad": Operator(Pad, pad_shapes, pad_need),
    # the input itself, when the caller hands it over row by row (`feeding.py`)
    "feed": Operator(Feed, feed_shapes),
    # parts of images, where a segment runs in strips or patches (`tiles.py`)
    "tile": Operator(Tile, tile_shapes),
    "join": Operator(Join, join_shapes),
    # inputs: state, the rows below what is kept of it, those above (`frames.py`)
    "slide": Operator(Slide, slide_shapes),
    "l2_normalization": Operator(L2Normalization, *_ELEMENTWISE),
    "log_softmax": Operator(NoAttrs, *_ELEMENTWISE),
    "softmax": Operator(Softmax, *_ELEMENTWISE),
    "relu": Operator(Relu, *_ELEMENTWISE),
    "leaky_relu": Operator(LeakyRelu, *_ELEMENTWISE),
    "sign": Operator(NoAttrs, *_ELEMENTWISE),
    "logistic": Operator(NoAttrs, *_ELEMENTWISE),
    "tanh": Operator(NoAttrs, *_ELEMENTWISE),
    "hard_swish": Operator(NoAttrs, *_ELEMENTWISE),
    "quantize": Operator(NoAttrs, *_ELEMENTWISE),
    "dequantize": Operator(NoAttrs, *_ELEMENTWISE),
    "concatenation": Operator(Concatenation, concatenation_shapes),
    "split": Operator(Split, split_shapes),
    "strided_slice": Operator(StridedSlice, strided_slice_shapes, strided_slice_need),
    "transpose": Operator(Transpose, transpose_shapes),
    "reshape": Operator(Reshape, lambda graph, node: (node.attrs.shape,)),
    "resize_nearest": Operator(Resize, resize_shapes, resize_need),
    "resize_bilinear": Operator(Resize, resize_shapes, resize_need),
    # inputs: the 24 positions of TFLite's UNIDIRECTIONAL_SEQUENCE_LSTM
    "lstm": Operator(Lstm, lstm_shapes, lstm_need, _lstm_macs),
    # inputs: x, feature weights [filters, in], time weights [filters, memory], bias, state
    "svdf": Operator(Svdf, svdf_shapes, None, _svdf_macs),
    # inputs: x, thresholds [levels, channels] (left out: the zero point)
    "binarize": Operator(Binarize, binarize_shapes, pointwise_need),
    "bit_planes": Operator(BitPlanes, bit_planes_shapes, pointwise_need),
    "debinarize": Operator(Debinarize, debinarize_shapes, pointwise_need),
    # inputs: x, weights [out, h, w, words], multiplier, bias, thresholds, gates
    "bconv2d": Operator(BConv2D, bconv2d_shapes, window_need, _binary_macs),
    # the same with weights [units, words]
    "bdense": Operator(BDense, bdense_shapes, None, _binary_macs),
    "bmax_pool2d": Operator(Pool2D, pool_shapes, window_need),
    # of any rank and type
    **dict.fromkeys(general.UNARY, Operator(general.Function, *_ELEMENTWISE)),
    **dict.fromkeys(
        (*general.BINARY, *general.PREDICATES),
        Operator(general.Function, general.broadcast_all_shapes, pointwise_need),
    ),
    **dict.fromkeys(general.REDUCTIONS, Operator(general.Reduce, general.reduced_shapes)),
    # inputs: state, value, then what must be made before
    "assign": Operator(NoAttrs, lambda graph, node: ((0,),)),
    "arg_max": Operator(general.Extreme, general.extreme_shapes),
    "arg_min": Operator(general.Extreme, general.extreme_shapes),
    "broadcast_to": Operator(general.Broadcast, general.broadcast_to_shapes),
    "cast": Operator(general.Cast, general.cast_shapes, pointwise_need),
    "cumulative_product": Operator(general.Cumulate, same_shape),
    "cumulative_sum": Operator(general.Cumulate, same_shape),
    "add_n": Operator(NoAttrs, general.broadcast_all_shapes, pointwise_need),
    # inputs: boxes, scores, anchors
    "detection": Operator(Detection, detection_shapes),
    "einsum": Operator(general.Einsum, general.einsum_shapes, None, general.einsum_macs),
    "gather": Operator(general.Axis, general.gather_shapes),
    "gather_elements": Operator(general.Axis, general.gather_elements_shapes),
    "gather_nd": Operator(general.Axis, general.gather_nd_shapes),
    # inputs: x in NCHW, where to look
    "grid_sample": Operator(sampling.GridSample, sampling.grid_sample_shapes),
    # inputs: x in NCHW, regions, the image of each
    "roi_align": Operator(sampling.RoiAlign, sampling.roi_align_shapes),
    "matmul": Operator(general.MatMul, general.matmul_shapes, None, general.matmul_macs),
    "narrow": Operator(narrow.Narrow, *_ELEMENTWISE),
    "rearrange": Operator(general.Rearrange, general.rearrange_shapes),
    "repeat": Operator(general.Repeats, general.repeat_shapes),
    # inputs: x, indices, updates
    "scatter_elements": Operator(general.Scatter, general.scatter_elements_shapes),
    "scatter_nd": Operator(general.Scatter, general.scatter_nd_shapes),
    # inputs: condition, a, b
    "select": Operator(NoAttrs, general.broadcast_all_shapes, pointwise_need),
    "stack": Operator(general.Axis, general.stack_shapes),
    # TFLM's signal library
    "signal_window": Operator(signal.Window, same_shape),  # inputs: x, weights
    "signal_fft_auto_scale": Operator(NoAttrs, signal.auto_scale_shapes),
    "signal_rfft": Operator(signal.Fourier, signal.rfft_shapes),
    "signal_irfft": Operator(signal.Fourier, signal.irfft_shapes),
    "signal_energy": Operator(signal.Energy, signal.energy_shapes),
    # inputs: x, weights, unweights; of each channel first bin, first weight, bins
    "signal_filter_bank": Operator(signal.FilterBank, signal.filter_bank_shapes),
    "signal_filter_bank_square_root": Operator(NoAttrs, same_shape),  # inputs: x, scale's bits
    # inputs of these: x, state
    "signal_filter_bank_spectral_subtraction": Operator(
        signal.SpectralSubtraction, signal.subtraction_shapes
    ),
    "signal_framer": Operator(signal.Framer, signal.framer_shapes),
    "signal_stacker": Operator(signal.Stacker, signal.stacker_shapes),
    "signal_delay": Operator(signal.Delay, same_shape),
    "signal_overlap_add": Operator(signal.OverlapAdd, signal.overlap_add_shapes),
    "signal_pcan": Operator(signal.Pcan, same_shape),  # inputs: x, noise, gains
    "signal_filter_bank_log": Operator(signal.Log, same_shape),
    "top_k": Operator(general.TopK, general.top_k_shapes),
    # inputs: x, the part, where it begins
    "update_slice": Operator(NoAttrs, general.update_slice_shapes),
    "unstack": Operator(general.Axis, general.unstack_shapes),
    # inputs: the states at first; outputs: those in the end
    WHILE: Operator(WhileLoop, while_shapes, None, _turn_macs),
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
