"""Depthwise 2-D convolution, of TFLite's DEPTHWISE_CONV_2D, with any channel multiplier.

Arithmetic: `reference/depthwiseconv_float.h`, `reference/integer_ops/depthwise_conv.h`. Output
channel o reads input channel o // multiplier. Float sums run over kernel rows, then columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import (
    PIXEL,
    Address,
    Constant,
    Cursor,
    Field,
    FirstRow,
    Lowered,
    Rows,
    Sums,
)
from ..runtime.shapes import image_size
from .conv2d import has_positive_steps, window_cursor
from .convolution import (
    CONSTRAINTS,
    SUFFIXES,
    bias_values,
    centred,
    clamp_float,
    float_bounds,
    requantization,
    scales_fit,
)
from .operation import Operation, layout
from .windows import windows

GEOMETRY = (
    "rows width channels multiples in_width in_channels kernel_height kernel_width stride_height "
    "stride_width dilation_height dilation_width pad_left weights bias y x"
)
S8 = layout(
    "depthwise_conv2d_s8",
    f"{GEOMETRY} multiplier shift input_zero weights_zero output_zero least greatest",
)
# Takes the rows of x one after the other, for one row of output; int32 sums of each output element
# are kept between calls. The weights start at the kernel row that meets the first row.
BY_ROW_S8 = layout(
    "depthwise_conv2d_by_row_s8",
    "rows first height width channels multiples in_width in_channels kernel_width stride_width "
    "dilation_width pad_left weights bias y x sums multiplier shift input_zero weights_zero "
    "output_zero least greatest",
)
S16 = layout("depthwise_conv2d_s16", f"{GEOMETRY} multiplier shift wide least greatest")
F32 = layout("depthwise_conv2d_f32", f"{GEOMETRY} bounds")


def reference(graph: Graph, node: Node, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """[batch, height, width, channels] input, [1, height, width, channels * multiplier] weights."""
    x, weights = inputs[0], graph.input(node, 1).data
    assert x is not None and weights is not None
    channels = weights.shape[3]
    if x.dtype == np.float32:
        sums = _sums(node, x, weights[0]) + bias_values(graph, node, channels)
        return [clamp_float(sums, node.attrs.activation)]
    x = centred(x, graph.input(node)).astype(np.int64)
    weights = centred(weights, graph.input(node, 1)).astype(np.int64)
    sums = _sums(node, x, weights[0])
    return [requantization(graph, node, channels).apply(sums, graph.output(node).dtype)]


def _sums(node: Node, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sums of products, one tap of the window at a time, in the operands' own type."""
    attrs, (height, width, channels) = node.attrs, weights.shape
    seen = windows(x, (height, width), attrs.stride, attrs.padding, attrs.dilation)
    sums: np.ndarray = np.zeros((*seen.shape[:3], channels), x.dtype)
    for ky, kx in np.ndindex(height, width):
        sums += np.repeat(seen[:, :, :, ky, kx], attrs.multiplier, axis=3) * weights[ky, kx]
    return sums


# ---- constraints -------------------------------------------------------------------------------


def has_matching_multiplier(graph: Graph, node: Node) -> bool:
    """The weights' channels must be the input's channels times the channel multiplier."""
    (*_, channels), weights = graph.input(node).shape, graph.input(node, 1).shape
    multiplier = node.attrs.multiplier
    return weights[0] == 1 and multiplier >= 1 and weights[3] == channels * multiplier


def has_scale_per_channel(graph: Graph, node: Node) -> bool:
    """Weights must have one scale, or one for each output channel and zero points 0."""
    return scales_fit(graph.input(node, 1), axis=3)


# ---- lowering ----------------------------------------------------------------------------------


def lower(graph: Graph, node: Node) -> Lowered:
    """A row kernel of this node's type."""
    suffix, fields = SUFFIXES[graph.input(node).dtype], _geometry(graph, node)
    if suffix == "f32":
        bounds = Constant(float_bounds(node.attrs.activation))
        return F32.lowered(PIXEL, **fields, bounds=bounds)
    rule = requantization(graph, node, graph.input(node, 1).shape[3])
    fields |= rule.fields(int16=suffix == "s16")
    if suffix == "s16":
        return S16.lowered(PIXEL, **fields, wide=int(rule.wide))
    fields["input_zero"] = graph.input(node).zero_point
    fields["weights_zero"] = graph.input(node, 1).zero_point
    fields["output_zero"] = rule.zero_point
    return replace(S8.lowered(PIXEL, **fields), by_row=_by_row(graph, node, fields))


def _by_row(graph: Graph, node: Node, fields: dict[str, Field]) -> Lowered | None:
    """For a node of one output row, if its sums take less room than the rows of its window."""
    x, y, weights, attrs = graph.input(node), graph.output(node), graph.input(node, 1), node.attrs
    assert weights.data is not None
    height = min(x.shape[1], weights.shape[1] - attrs.padding.top)  # rows under the window
    row, sums = x.shape[2] * x.shape[3], 4 * y.elements
    if y.shape[:2] != (1, 1) or attrs.dilation[0] != 1 or height * row <= sums + row:
        return None
    own = {name: fields[name] for name in BY_ROW_S8.fields if name in fields}
    taking: dict[str, Field] = {
        "first": FirstRow(),
        "height": height,
        "weights": Constant(weights.data[0, attrs.padding.top :]),
        "x": Cursor(x.index),
        "y": Address(y.index),
        "sums": Sums(sums),
    }
    return replace(BY_ROW_S8.lowered(**(own | taking)), takes=height)


def _geometry(graph: Graph, node: Node) -> dict[str, Field]:
    x, weights, attrs = graph.input(node), graph.input(node, 1), node.attrs
    assert weights.data is not None
    _, kernel_height, kernel_width, channels = weights.shape
    return {
        "rows": Rows(),
        "width": image_size(graph.output(node).shape)[1],
        "channels": channels,
        "multiples": attrs.multiplier,
        "in_width": x.shape[2],
        "in_channels": x.shape[3],
        "kernel_height": kernel_height,
        "kernel_width": kernel_width,
        "stride_height": attrs.stride[0],
        "stride_width": attrs.stride[1],
        "dilation_height": attrs.dilation[0],
        "dilation_width": attrs.dilation[1],
        "pad_left": attrs.padding.left,
        "weights": Constant(weights.data),
        "bias": Constant(bias_values(graph, node, channels)),
        "y": Cursor(node.outputs[0]),
        "x": window_cursor(graph, node, (kernel_height, kernel_width)),
    }


OPERATION = Operation(
    reference,
    lower,
    (S8, BY_ROW_S8, S16, F32),
    (*CONSTRAINTS, has_matching_multiplier, has_scale_per_channel, has_positive_steps),
)
