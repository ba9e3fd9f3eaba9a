"""2-D convolution, of TFLite's CONV_2D: groups, dilation, any padding.

Arithmetic: `reference/conv.h`, `reference/integer_ops/conv.h`. Padding is zero point, so it adds
nothing to a sum. Float sums run over kernel rows, columns and channels in this order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import PIXEL, Constant, Cursor, Field, Lowered, Rows
from ..runtime.shapes import effective, image_size
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

# rows: output rows to make, `width` output columns of `filters` channels each. The input has
# in_width pixels of in_channels; a filter reads `depth` of them, and the filters of a group the
# same ones. Strides, dilations and left padding are in pixels. y_at, x_at: cursors.
GEOMETRY = (
    "rows width filters group_filters in_width in_channels depth kernel_height kernel_width "
    "stride_height stride_width dilation_height dilation_width pad_left weights bias y x"
)
S8 = layout(
    "conv2d_s8",
    f"{GEOMETRY} multiplier shift input_zero weights_zero output_zero least greatest",
)
S16 = layout("conv2d_s16", f"{GEOMETRY} multiplier shift wide least greatest")
F32 = layout("conv2d_f32", f"{GEOMETRY} bounds")


def reference(graph: Graph, node: Node, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """[batch, height, width, channels] input, [filters, height, width, depth] weights."""
    x, weights = inputs[0], graph.input(node, 1).data
    assert x is not None and weights is not None
    if x.dtype == np.float32:
        sums = _grouped(graph, node, x, weights, _float_sums)
        biased = sums + bias_values(graph, node, len(weights))
        return [clamp_float(biased, node.attrs.activation)]
    x = centred(x, graph.input(node))
    weights = centred(weights, graph.input(node, 1))
    sums = _grouped(graph, node, x, weights, _exact_sums).astype(np.int64)
    y = graph.output(node)
    return [requantization(graph, node, len(weights)).apply(sums, y.dtype)]


def _grouped(graph, node, x, weights, sums_of):  # type: ignore[no-untyped-def]
    """Sums of every group of filters over its own input channels, side by side."""
    attrs, depth = node.attrs, weights.shape[3]
    groups = x.shape[3] // depth
    filters = weights.shape[0] // groups
    parts = []
    for group in range(groups):
        own = x[..., group * depth : (group + 1) * depth]
        seen = windows(own, weights.shape[1:3], attrs.stride, attrs.padding, attrs.dilation)
        parts.append(sums_of(seen, weights[group * filters : (group + 1) * filters]))
    return np.concatenate(parts, axis=3)


def _exact_sums(seen: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Integer sums by a float64 matrix product, which is exact below 2**53."""
    columns = seen.reshape(*seen.shape[:3], -1)
    return columns @ weights.reshape(len(weights), -1).T


def _float_sums(seen: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """float32 sums, one product at a time in the order of the C++ loops."""
    sums = np.zeros((*seen.shape[:3], len(weights)), np.float32)
    for ky, kx, channel in np.ndindex(seen.shape[3:]):
        sums += seen[:, :, :, ky, kx, channel, None] * weights[:, ky, kx, channel]
    return sums


# ---- constraints -------------------------------------------------------------------------------


def has_matching_groups(graph: Graph, node: Node) -> bool:
    """Input channels must be a multiple of the weights' depth, filters one of that many groups."""
    channels, weights = graph.input(node).shape[3], graph.input(node, 1).shape
    if not weights[3] or not channels or channels % weights[3]:
        return False
    return weights[0] % (channels // weights[3]) == 0


def has_scale_per_filter(graph: Graph, node: Node) -> bool:
    """Weights must have one scale, or one for each filter and zero points 0."""
    return scales_fit(graph.input(node, 1), axis=0)


def has_positive_steps(graph: Graph, node: Node) -> bool:
    """Strides and dilations must be at least 1."""
    return min(*node.attrs.stride, *node.attrs.dilation) >= 1


# ---- lowering ----------------------------------------------------------------------------------


def lower(graph: Graph, node: Node) -> Lowered:
    """A row kernel of this node's type."""
    suffix = SUFFIXES[graph.input(node).dtype]
    fields = geometry(graph, node)
    if suffix == "f32":
        bounds = Constant(float_bounds(node.attrs.activation))
        return F32.lowered(PIXEL, **fields, bounds=bounds)
    rule = requantization(graph, node, graph.input(node, 1).shape[0])
    fields |= rule.fields(int16=suffix == "s16")
    if suffix == "s16":
        return S16.lowered(PIXEL, **fields, wide=int(rule.wide))
    return S8.lowered(
        PIXEL,
        **fields,
        input_zero=graph.input(node).zero_point,
        weights_zero=graph.input(node, 1).zero_point,
        output_zero=rule.zero_point,
    )


def geometry(graph: Graph, node: Node) -> dict[str, Field]:
    """The fields that every type of this kernel has."""
    x, weights, attrs = graph.input(node), graph.input(node, 1), node.attrs
    assert weights.data is not None
    filters, kernel_height, kernel_width, depth = weights.shape
    return {
        "rows": Rows(),
        "width": image_size(graph.output(node).shape)[1],
        "filters": filters,
        "group_filters": filters // (x.shape[3] // depth),
        "in_width": x.shape[2],
        "in_channels": x.shape[3],
        "depth": depth,
        "kernel_height": kernel_height,
        "kernel_width": kernel_width,
        "stride_height": attrs.stride[0],
        "stride_width": attrs.stride[1],
        "dilation_height": attrs.dilation[0],
        "dilation_width": attrs.dilation[1],
        "pad_left": attrs.padding.left,
        "weights": Constant(weights.data),
        "bias": Constant(bias_values(graph, node, filters)),
        "y": Cursor(node.outputs[0]),
        "x": window_cursor(graph, node, (kernel_height, kernel_width)),
    }


def window_cursor(graph: Graph, node: Node, kernel: tuple[int, int]) -> Cursor:
    """The input rows of a sliding window."""
    attrs = node.attrs
    extent = effective(kernel, getattr(attrs, "dilation", (1, 1)))[0]
    return Cursor(graph.input(node).index, -attrs.padding.top, attrs.stride[0], extent)


OPERATION = Operation(
    reference,
    lower,
    (S8, S16, F32),
    (*CONSTRAINTS, has_matching_groups, has_scale_per_filter, has_positive_steps),
)
