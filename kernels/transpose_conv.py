"""Transposed 2-D convolution, of TFLite's TRANSPOSE_CONV.

Arithmetic: `reference/transpose_conv.h`, `reference/integer_ops/transpose_conv.h`. Input pixel
(i, j) adds to output pixels (i * stride - padding + tap, ...). Seen from an output pixel, its
summands come in the raster order of input pixels, then channels; bias comes last.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Address, Constant, Field, Lowered
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

GEOMETRY = (
    "batches height width filters in_height in_width in_channels kernel_height kernel_width "
    "stride_height stride_width pad_top pad_left weights bias x y"
)
S8 = layout(
    "transpose_conv_s8",
    f"{GEOMETRY} multiplier shift input_zero weights_zero output_zero least greatest",
)
S16 = layout("transpose_conv_s16", f"{GEOMETRY} multiplier shift wide least greatest")
F32 = layout("transpose_conv_f32", f"{GEOMETRY} bounds")


def reference(graph: Graph, node: Node, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """[batch, height, width, channels] input, [filters, height, width, channels] weights."""
    x, weights, y = inputs[0], graph.input(node, 1).data, graph.output(node)
    assert x is not None and weights is not None
    if x.dtype == np.float32:
        sums = _crop(graph, node, _float_sums(node, x, weights))
        biased = sums + bias_values(graph, node, len(weights))
        return [clamp_float(biased, node.attrs.activation)]
    exact = _exact_sums(node, centred(x, graph.input(node)), centred(weights, graph.input(node, 1)))
    sums = _crop(graph, node, exact).astype(np.int64)
    return [requantization(graph, node, len(weights)).apply(sums, y.dtype)]


def _spread(node: Node, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Zeros for all that the input reaches, padding not yet cut off."""
    (batch, height, width, _), (rows, columns) = x.shape, node.attrs.stride
    filters, kernel_height, kernel_width, _ = weights.shape
    shape = (height - 1) * rows + kernel_height, (width - 1) * columns + kernel_width
    return np.zeros((batch, *shape, filters), x.dtype)


def _reached(node: Node, sums: np.ndarray, x: np.ndarray, ky: int, kx: int) -> np.ndarray:
    """The view of `sums` that tap (ky, kx) adds to, one element an input pixel."""
    (_, height, width, _), (rows, columns) = x.shape, node.attrs.stride
    return sums[
        :, ky : ky + (height - 1) * rows + 1 : rows, kx : kx + (width - 1) * columns + 1 : columns
    ]


def _exact_sums(node: Node, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    sums = _spread(node, x, weights)
    for ky, kx in np.ndindex(weights.shape[1:3]):
        _reached(node, sums, x, ky, kx)[...] += x @ weights[:, ky, kx].T
    return sums


def _float_sums(node: Node, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Taps from last to first: the order in which the pixels that use them are met."""
    sums = _spread(node, x, weights)
    for ky, kx in reversed(list(np.ndindex(weights.shape[1:3]))):
        for channel in range(x.shape[3]):
            target = _reached(node, sums, x, ky, kx)
            target += x[..., channel, None] * weights[:, ky, kx, channel]
    return sums


def _crop(graph: Graph, node: Node, sums: np.ndarray) -> np.ndarray:
    """Cut off the padding; output pixels that no input reaches are 0."""
    shape, pad = graph.output(node).shape, node.attrs.padding
    inner = sums[:, pad.top : pad.top + shape[1], pad.left : pad.left + shape[2]]
    whole = np.zeros(shape, sums.dtype)
    whole[:, : inner.shape[1], : inner.shape[2]] = inner
    return whole


# ---- constraints -------------------------------------------------------------------------------


def has_matching_channels(graph: Graph, node: Node) -> bool:
    """The weights must be [filters, height, width, input channels]."""
    weights = graph.input(node, 1).shape
    filters = graph.output(node).shape[3]
    return weights[0] == filters and weights[3] == graph.input(node).shape[3]


def has_scale_per_filter(graph: Graph, node: Node) -> bool:
    """Weights must have one scale, or one for each filter and zero points 0."""
    return scales_fit(graph.input(node, 1), axis=0)


# ---- lowering ----------------------------------------------------------------------------------


def lower(graph: Graph, node: Node) -> Lowered:
    """A kernel of this node's type over the whole tensor."""
    suffix, fields = SUFFIXES[graph.input(node).dtype], _geometry(graph, node)
    if suffix == "f32":
        return F32.lowered(**fields, bounds=Constant(float_bounds(node.attrs.activation)))
    rule = requantization(graph, node, graph.input(node, 1).shape[0])
    fields |= rule.fields(int16=suffix == "s16")
    if suffix == "s16":
        return S16.lowered(**fields, wide=int(rule.wide))
    return S8.lowered(
        **fields,
        input_zero=graph.input(node).zero_point,
        weights_zero=graph.input(node, 1).zero_point,
        output_zero=rule.zero_point,
    )


def _geometry(graph: Graph, node: Node) -> dict[str, Field]:
    x, y, weights, attrs = graph.input(node), graph.output(node), graph.input(node, 1), node.attrs
    assert weights.data is not None
    return {
        "batches": x.shape[0],
        "height": y.shape[1],
        "width": y.shape[2],
        "filters": y.shape[3],
        "in_height": x.shape[1],
        "in_width": x.shape[2],
        "in_channels": x.shape[3],
        "kernel_height": weights.shape[1],
        "kernel_width": weights.shape[2],
        "stride_height": attrs.stride[0],
        "stride_width": attrs.stride[1],
        "pad_top": attrs.padding.top,
        "pad_left": attrs.padding.left,
        "weights": Constant(weights.data),
        "bias": Constant(bias_values(graph, node, y.shape[3])),
        "x": Address(x.index),
        "y": Address(y.index),
    }


OPERATION = Operation(
    reference, lower, (S8, S16, F32), (*CONSTRAINTS, has_matching_channels, has_scale_per_filter)
)
