"""What a layer of bits must be for the kernels; docstrings are what users are told."""

from __future__ import annotations

import numpy as np

from ..runtime.graph import BINARY, WORD_BITS, Graph, Node
from ..runtime.shapes import words_of
from . import fixedpoint as fp
from .bit_operands import MOST_SUM, bounds, convolution, folded

OUTPUTS = ("float32", "int8", BINARY)


def works_on_bits(graph: Graph, node: Node) -> bool:
    """Input and weights must be binary, the weights constant, and the output float32, int8 with one
    scale, or binary."""
    x, weights, y = graph.input(node), graph.input(node, 1), graph.output(node)
    if (x.dtype, weights.dtype) != (BINARY, BINARY) or weights.data is None:
        return False
    if y.dtype == "int8" and (y.quantization is None or y.quantization.per_axis):
        return False
    return y.dtype in OUTPUTS


def planes_fit(graph: Graph, node: Node) -> bool:
    """Words of input and weights must hold the channels of all planes; several groups need whole
    words, and filters a multiple of the groups."""
    attrs, x, weights = node.attrs, graph.input(node), graph.input(node, 1)
    if not attrs.x_planes or not attrs.weight_planes or attrs.channels < 1:
        return False
    if weights.shape[-1] % len(attrs.weight_planes):
        return False
    words, own = words_of(attrs.channels), weights.shape[-1] // len(attrs.weight_planes)
    if x.shape[-1] != words * len(attrs.x_planes) or not own or words % own:
        return False
    groups = words // own
    return groups == 1 or (
        attrs.channels % (WORD_BITS * groups) == 0 and not weights.shape[0] % groups
    )


def has_operand_per_filter(graph: Graph, node: Node) -> bool:
    """Multiplier and bias must be float32, thresholds and gates int32: constants with a value for
    each filter, thresholds just where the output is binary."""
    filters = graph.input(node, 1).shape[0]
    for position, dtype in ((2, "float32"), (3, "float32"), (4, "int32"), (5, "int32")):
        tensor = graph.operand(node, position)
        if tensor is None:
            continue
        if tensor.data is None or tensor.dtype != dtype or tensor.elements != filters:
            return False
    return (graph.output(node).dtype == BINARY) == (graph.operand(node, 4) is not None)


def has_finite_scales(graph: Graph, node: Node) -> bool:
    """Multiplier and bias must be finite, folded with the output's scale, too."""
    if graph.output(node).dtype == BINARY:
        return True
    return all(bool(np.isfinite(values).all()) for values in folded(graph, node))


def sums_fit(graph: Graph, node: Node) -> bool:
    """Sums must stay under 2^30, and the activation must be none, relu, relu6 or relu_n1_to_1."""
    if node.attrs.activation not in fp.ACTIVATIONS:
        return False
    return max(map(abs, bounds(graph, node))) < MOST_SUM


def has_gates_for_two_planes(graph: Graph, node: Node) -> bool:
    """Gates need two planes of +1 and -1 with positive coefficients against one of weights."""
    attrs = node.attrs
    if graph.operand(node, 5) is None:
        return True
    planes = len(attrs.x_planes) == 2 and attrs.weight_planes == (1,)
    return planes and not attrs.plain and min(attrs.x_planes) > 0


def pads_with_a_unit(graph: Graph, node: Node) -> bool:
    """Padding must be +1, 0 or -1, with planes of 0 and 1 it must be 0; strides and dilations must
    be at least 1."""
    attrs = convolution(node)
    steps = min(*attrs.stride, *attrs.dilation)
    return attrs.pad_value in ((0,) if attrs.plain else (1, 0, -1)) and steps >= 1


CONSTRAINTS = (
    works_on_bits,
    planes_fit,
    has_operand_per_filter,
    has_finite_scales,
    sums_fit,
    has_gates_for_two_planes,
    pads_with_a_unit,
)
