"""What follows from the operands of a layer of bits: sums, their bounds, folded scales, limits.

A dense layer is a convolution of one tap.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..runtime.attributes import BConv2D, BDense
from ..runtime.graph import Graph, Node, Tensor
from ..runtime.shapes import weight_words, words_of
from . import fixedpoint as fp

INT32 = np.iinfo(np.int32)
MOST_SUM = 1 << 30


def convolution(node: Node) -> BConv2D:
    """The node's attributes; a dense layer is a convolution of one tap."""
    attrs = node.attrs
    if isinstance(attrs, BDense):
        return BConv2D(
            attrs.channels,
            pad_value=0 if attrs.plain else 1,
            activation=attrs.activation,
            x_planes=attrs.x_planes,
            weight_planes=attrs.weight_planes,
            plain=attrs.plain,
        )
    assert isinstance(attrs, BConv2D)
    return attrs


def filters_of(graph: Graph, node: Node) -> np.ndarray:
    """Weights as [filters, height, width, planes * words]."""
    data = graph.input(node, 1).data
    assert data is not None
    return data if data.ndim == 4 else data[:, None, None, :]


def group_count(graph: Graph, node: Node) -> int:
    return max(words_of(node.attrs.channels) // weight_words(graph, node), 1)


def group_depth(graph: Graph, node: Node) -> int:
    """Channels of a group."""
    return int(node.attrs.channels) // group_count(graph, node)


def products(graph: Graph, node: Node) -> int:
    """Products of a sum: taps times channels."""
    return math.prod(filters_of(graph, node).shape[1:3]) * group_depth(graph, node)


def whole(graph: Graph, node: Node) -> int:
    """What D is taken from: its value where no bit differs."""
    attrs = convolution(node)
    if attrs.plain:
        return 0
    return sum(attrs.x_planes) * sum(attrs.weight_planes) * products(graph, node)


def bounds(graph: Graph, node: Node) -> tuple[int, int]:
    """(least, greatest) v once the activation has clamped D."""
    attrs = convolution(node)
    most = products(graph, node)
    for planes in (attrs.x_planes, attrs.weight_planes):
        most *= sum(map(abs, planes))
    low, high = (float(bound) for bound in fp.float_activation_range(attrs.activation))
    low, high = max(low, float(-most)), min(high, float(most))
    return whole(graph, node) - int(high), whole(graph, node) - int(low)


def folded(graph: Graph, node: Node) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """m and b of y = v * m + b."""
    y, filters = graph.output(node), graph.input(node, 1).shape[0]
    given = [graph.operand(node, position) for position in (2, 3)]
    multiplier, bias = (
        np.full(filters, default) if tensor is None else _data(tensor).astype(np.float64)
        for tensor, default in zip(given, (1.0, 0.0), strict=True)
    )
    scale, zero = (y.scale, y.zero_point) if y.dtype == "int8" else (1.0, 0)
    with np.errstate(over="ignore"):  # a constraint refuses what isn't finite
        m = (-multiplier / scale).astype(np.float32)
        b = ((bias + whole(graph, node) * multiplier) / scale + zero).astype(np.float32)
    return m, b


def thresholds(graph: Graph, node: Node) -> NDArray[np.int32]:
    """int32 [filters]: a bit is 1 where v is over it. Neither is beyond 2^30, so that kernels may
    take their difference."""
    factor = 1 if convolution(node).plain else 2
    limits = operand(graph, node, 4).astype(np.int64) * factor
    return np.clip(limits, -MOST_SUM, MOST_SUM).astype(np.int32)


def gates(graph: Graph, node: Node) -> NDArray[np.int32]:
    """int32 [filters]: a gate is open where v of the second plane is under it."""
    own = products(graph, node) - operand(graph, node, 5).astype(np.int64)
    scaled = convolution(node).x_planes[1] * own
    return np.clip(scaled, INT32.min, INT32.max).astype(np.int32)


def operand(graph: Graph, node: Node, position: int) -> np.ndarray:
    return _data(graph.input(node, position))


def _data(tensor: Tensor) -> np.ndarray:
    assert tensor.data is not None
    return tensor.data.reshape(-1)
