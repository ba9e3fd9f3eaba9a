"""Constants for csrc/depthwise_conv2d_sliding.c: 3 x 3 windows that slide along a row."""

from __future__ import annotations

import numpy as np

from ...kernels.convolution import requantization
from ...kernels.operation import layout
from ...runtime.graph import Graph, Node
from ...runtime.lowering import ROW, Constant, Lowered
from .paired import folded_bias, right_shifts, without_constants, wrapped

# Fields as in kernels/depthwise_conv2d.py.
DEPTHWISE_CONV2D = layout(
    "depthwise_conv2d_sliding_s8",
    "rows width channels in_width stride_height stride_width pad_left weights y x input_zero "
    "output_zero least greatest",
)


def lower_depthwise_conv2d(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The call for a `depthwise_conv2d_s8` of 3 x 3 windows, padded by one at most, or None."""
    weights, attrs, x = graph.input(node, 1), node.attrs, graph.input(node)
    assert weights.data is not None
    channels = weights.shape[3]
    window = weights.shape[1:3] == (3, 3) and attrs.dilation == (1, 1) and attrs.stride[1] <= 2
    padding = attrs.padding
    padded = max(padding.top, padding.bottom, padding.left, padding.right) > 1
    if not window or padded or attrs.multiplier != 1 or weights.zero_point:
        return None
    flat, rule = weights.data.reshape(9, channels).T, requantization(graph, node, channels)
    flat, rule = without_constants(rule, flat, x.zero_point)
    shift = right_shifts(rule, flat, x.zero_point)
    if shift is None:
        return None
    numbers = np.stack([wrapped(folded_bias(rule, flat, x.zero_point)), rule.multiplier], axis=1)
    tail = np.zeros((channels, 3), np.int8)
    tail[:, 0] = shift + 1
    records = np.concatenate([numbers.view(np.int8), flat, tail], axis=1)
    fields = {name: plain.fields[name] for name in DEPTHWISE_CONV2D.fields if name in plain.fields}
    return DEPTHWISE_CONV2D.lowered(ROW, **fields | {"weights": Constant(records)})
