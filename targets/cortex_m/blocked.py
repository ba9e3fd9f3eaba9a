"""Constants for the kernels of csrc/midge_blocked.c: plain C for cores with many registers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ...kernels.convolution import Requantization, requantization
from ...kernels.operation import layout
from ...runtime.graph import Graph, Node
from ...runtime.lowering import PIXEL, TENSOR, Constant, Lowered, Scratch
from .helium import head

# Fields as in kernels/. slots: the windows of two pixels.
CONV2D = layout(
    "conv2d_blocked_s8",
    "rows width filters in_width in_channels kernel_height kernel_width stride_height stride_width "
    "dilation_height dilation_width pad_left weights y x input_zero output_zero least greatest "
    "slots",
)
FULLY_CONNECTED = layout(
    "fully_connected_blocked_s8", "batches units depth weights x y output_zero least greatest"
)
LAYOUTS = (CONV2D, FULLY_CONNECTED)
CHANNELS = 8  # of a block


def lower_conv2d(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The call for a `conv2d_s8`, or None: groups, or weights with a zero point."""
    weights = graph.input(node, 1)
    assert weights.data is not None
    filters, depth = weights.shape[0], weights.shape[3]
    if depth != graph.input(node).shape[3] or weights.zero_point:
        return None
    rule, flat = requantization(graph, node, filters), weights.data.reshape(filters, -1)
    fields = {name: plain.fields[name] for name in CONV2D.fields if name in plain.fields}
    fields["weights"] = Constant(_blocks(rule, flat, graph.input(node).zero_point))
    fields["slots"] = Scratch(2 * math.prod(weights.shape[1:]), alignment=4)
    return CONV2D.lowered(PIXEL, **fields)


def lower_fully_connected(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The call for a `fully_connected_s8`, or None if the weights have a zero point."""
    weights = graph.input(node, 1)
    assert weights.data is not None
    if weights.zero_point:
        return None
    rule = requantization(graph, node, len(weights.data))
    fields = {name: plain.fields[name] for name in FULLY_CONNECTED.fields if name in plain.fields}
    fields["weights"] = Constant(_blocks(rule, weights.data, graph.input(node).zero_point))
    return FULLY_CONNECTED.lowered(TENSOR, **fields)


def _blocks(rule: Requantization, flat: NDArray[np.int8], x_zero: int) -> NDArray[np.int8]:
    """Blocks of eight channels of [channels, products]: head, then [products, 8]."""
    channels, products = flat.shape
    blocks = -(-channels // CHANNELS)
    room = np.zeros((blocks * CHANNELS, products), np.int8)
    room[:channels] = flat
    ordered = room.reshape(blocks, CHANNELS, products).transpose(0, 2, 1).reshape(blocks, -1)
    return np.concatenate([head(rule, flat, x_zero, CHANNELS), ordered], axis=1)
