"""Layers of bits: bconv2d (Larq's LceBconv2d) and bdense, on any number of bit planes.

The sum D of products is an integer. With planes of +1 and -1 it is counted as `K - 2 * popcount(x
xor w)`, with `plain` planes of 0 and 1 as `popcount(x and w)`, each pair of planes times both
coefficients. What outputs are made from is v = whole - D, where `whole` is the greatest D, or 0 if
`plain`: so v is 2 * popcount, or -popcount. Operands after x and weights:

multiplier, bias: float32 [filters]. The activation clamps D, then y = D * multiplier + bias, which
    is computed as Larq Compute Engine does: v * m + b in float32, not fused, with m and b folded in
    float64 (with the output's scale and zero point, too, for int8, which rounds half away from 0).
thresholds: int32 [filters], of a binary output. A bit is 1 (that is -1) where the popcount of
    differences is over the threshold (v > 2 * threshold), or where v > threshold if `plain`.
gates: int32 [filters], or none. Where the second plane's own sum, without its coefficient, isn't
    over the gate, the first plane of x counts as zero (FracBNN's sparse second convolution).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime import bits
from ..runtime.attributes import BConv2D, BDense
from ..runtime.graph import BINARY, WORD_BITS, Graph, Node
from ..runtime.lowering import PIXEL, Constant, Cursor, Field, Lowered, Rows, Scratch, image_rows
from ..runtime.shapes import weight_words
from .bit_constraints import CONSTRAINTS
from .bit_operands import (
    bounds,
    convolution,
    filters_of,
    folded,
    gates,
    group_count,
    group_depth,
    operand,
    products,
    thresholds,
    whole,
)
from .conv2d import window_cursor
from .operation import Operation, layout
from .scales import round_half_away
from .windows import windows

# in_words: of a pixel, all planes; `words`: of a group and plane. weights: [filters][weight planes]
# [taps][words]. pairs: int32 [pair_count][3], plane of x, plane of the weights, coefficient.
# padding: outside the image 0: bits are 0; 1: bits are 1, `tail` in a pixel's last word; 2: the
# mean of both. gated: the second pair counts where v of the first is under the filter's gate, else
# it is `closed`. window: room for the pixels that an output sees.
WORDS = (
    "rows width filters group_filters in_width in_words words planes weight_planes kernel_height "
    "kernel_width stride_height stride_width dilation_height dilation_width pad_left padding tail "
    "plain pair_count pairs gated closed gates weights window y x"
)
LAYOUTS = {
    "float32": layout("bconv2d_f32", f"{WORDS} multiplier bias least greatest"),
    "int8": layout("bconv2d_s8", f"{WORDS} multiplier bias least greatest"),
    BINARY: layout("bconv2d_b1", f"{WORDS} thresholds"),
}
BITS_ZERO, BITS_ONE, MEAN_OF_BOTH = 0, 1, 2


# ---- reference ---------------------------------------------------------------------------------


def reference(graph: Graph, node: Node, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """[batch, height, width, planes * words] and [filters, height, width, planes * words]; a dense
    layer's without height and width."""
    x = inputs[0]
    assert x is not None
    y, attrs = graph.output(node), convolution(node)
    if isinstance(node.attrs, BDense):
        x = x.reshape(1, 1, -1, x.shape[-1])
    sums = _sums(graph, node, x, attrs.x_planes)
    if graph.operand(node, 5) is not None:
        high = _sums(graph, node, x[..., x.shape[3] // 2 :], (1,))
        rest = sums - attrs.x_planes[1] * high
        sums = attrs.x_planes[1] * high + np.where(high > operand(graph, node, 5), rest, 0)
    return [finish(graph, node, whole(graph, node) - sums).reshape(y.shape)]


def _sums(graph: Graph, node: Node, x: np.ndarray, planes: tuple[int, ...]) -> NDArray[np.int64]:
    """D without clamp, [batch, rows, columns, filters]."""
    attrs, weights = convolution(node), filters_of(graph, node)
    depth, groups = group_depth(graph, node), group_count(graph, node)
    numbers = bits.values(x, attrs.channels, planes, attrs.plain)
    w = bits.values(weights, depth, attrs.weight_planes, attrs.plain)
    fill = 0 if attrs.plain else attrs.pad_value * sum(planes)
    filters, parts = len(w) // groups, []
    for group in range(groups):
        own = numbers[..., group * depth : (group + 1) * depth]
        seen = windows(
            own, (w.shape[1], w.shape[2]), attrs.stride, attrs.padding, attrs.dilation, fill
        )
        columns = seen.reshape(*seen.shape[:3], -1)
        of_group = w[group * filters : (group + 1) * filters]
        parts.append(columns @ of_group.reshape(filters, -1).T)  # whole numbers: exact
    return np.concatenate(parts, axis=3).astype(np.int64)


def finish(graph: Graph, node: Node, v: NDArray[np.int64]) -> np.ndarray:
    """Outputs [..., channels or words] of v [..., filters]."""
    y = graph.output(node)
    if y.dtype == BINARY:
        return bits.pack(v > thresholds(graph, node))
    multiplier, bias = folded(graph, node)
    clamped = np.clip(v, *bounds(graph, node)).astype(np.float32)
    real = clamped * multiplier + bias
    if y.dtype == "float32":
        return real
    return np.clip(round_half_away(real), -128, 127).astype(np.int8)


# ---- lowering ----------------------------------------------------------------------------------


def lower(graph: Graph, node: Node) -> Lowered:
    """A row kernel of the output's type."""
    return LAYOUTS[graph.output(node).dtype].lowered(
        PIXEL, **_geometry(graph, node), **_planes(graph, node), **output_fields(graph, node)
    )


def _geometry(graph: Graph, node: Node) -> dict[str, Field]:
    x, y, attrs = graph.input(node), graph.output(node), convolution(node)
    filters, height, width, _ = filters_of(graph, node).shape
    columns, in_columns = (image_rows(tensor.shape)[2] // tensor.shape[-1] for tensor in (y, x))
    return {
        "rows": Rows(),
        "width": columns,
        "filters": filters,
        "group_filters": filters // group_count(graph, node),
        "in_width": in_columns,
        "in_words": x.shape[-1],
        "words": weight_words(graph, node),
        "planes": len(attrs.x_planes),
        "weight_planes": len(attrs.weight_planes),
        "kernel_height": height,
        "kernel_width": width,
        "stride_height": attrs.stride[0],
        "stride_width": attrs.stride[1],
        "dilation_height": attrs.dilation[0],
        "dilation_width": attrs.dilation[1],
        "pad_left": attrs.padding.left,
        "y": Cursor(node.outputs[0]),
        "x": window_cursor(graph, node, (height, width))
        if isinstance(node.attrs, BConv2D)
        else Cursor(x.index),
    }


def _planes(graph: Graph, node: Node) -> dict[str, Field]:
    attrs = convolution(node)
    gated = graph.operand(node, 5) is not None
    pairs = pair_table(node)[::-1] if gated else pair_table(node)
    planes, room = len(attrs.x_planes), math.prod(filters_of(graph, node).shape[1:3])
    both = padding_mode(node) == MEAN_OF_BOTH
    window = 4 * room * weight_words(graph, node) * planes * (2 if both else 1)
    spare = group_depth(graph, node) % WORD_BITS
    return {
        "padding": padding_mode(node),
        "tail": (1 << spare) - 1 if spare else -1,
        "plain": int(attrs.plain),
        "pair_count": len(pairs),
        "pairs": Constant(np.ascontiguousarray(pairs)),
        "gated": int(gated),
        "closed": attrs.x_planes[0] * products(graph, node) if gated else 0,
        "gates": Constant(gates(graph, node) if gated else np.zeros(1, np.int32)),
        "weights": Constant(weights_by_plane(graph, node)),
        "window": Scratch(window),
    }


def pair_table(node: Node) -> NDArray[np.int32]:
    """int32 [pairs, 3]: plane of x, plane of the weights, product of their coefficients."""
    attrs = convolution(node)
    rows = [
        (i, j, a * b)
        for i, a in enumerate(attrs.x_planes)
        for j, b in enumerate(attrs.weight_planes)
    ]
    return np.array(rows, np.int32)


def padding_mode(node: Node) -> int:
    """How the kernels fill what is outside the image."""
    attrs = convolution(node)
    padding = attrs.padding
    inside = not any((padding.top, padding.bottom, padding.left, padding.right))
    if inside or attrs.plain or attrs.pad_value == 1:
        return BITS_ZERO
    return BITS_ONE if attrs.pad_value == -1 else MEAN_OF_BOTH


def weights_by_plane(graph: Graph, node: Node) -> NDArray[np.int32]:
    """[filters, weight planes, taps, words]."""
    weights = filters_of(graph, node)
    planes = np.split(weights, len(convolution(node).weight_planes), axis=3)
    flat = [plane.reshape(len(weights), -1, plane.shape[3]) for plane in planes]
    return np.ascontiguousarray(np.stack(flat, axis=1))


def output_fields(graph: Graph, node: Node) -> dict[str, Any]:
    """What makes outputs of v."""
    if graph.output(node).dtype == BINARY:
        return {"thresholds": Constant(thresholds(graph, node))}
    multiplier, bias = folded(graph, node)
    least, greatest = bounds(graph, node)
    return {
        "multiplier": Constant(multiplier),
        "bias": Constant(bias),
        "least": least,
        "greatest": greatest,
    }


OPERATION = Operation(reference, lower, tuple(LAYOUTS.values()), CONSTRAINTS)
