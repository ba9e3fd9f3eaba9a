"""Fully connected layers, of TFLite's FULLY_CONNECTED.

Arithmetic: `reference/fully_connected.h`, `reference/integer_ops/fully_connected.h`. Weights with
one scale are rescaled by a multiplier whose scale product was rounded to float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..runtime.graph import Graph, Node, Tensor
from ..runtime.lowering import Address, Constant, Cursor, Field, FirstRow, Lowered, Rows, Sums
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

GEOMETRY = "batches units depth weights bias x y"
S8 = layout(
    "fully_connected_s8",
    f"{GEOMETRY} multiplier shift input_zero weights_zero output_zero least greatest",
)
# Takes the rows of an image one after the other; the int32 sum of each unit is kept between calls.
BY_ROW_S8 = layout(
    "fully_connected_by_row_s8",
    "rows first height length units depth weights bias x y sums multiplier shift "
    "input_zero weights_zero output_zero least greatest",
)
S16 = layout("fully_connected_s16", f"{GEOMETRY} multiplier shift wide least greatest")
F32 = layout("fully_connected_f32", f"{GEOMETRY} bounds lanes")


def reference(graph: Graph, node: Node, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Input of any shape whose elements are a multiple of `depth`, weights [units, depth]."""
    given, weights, y = inputs[0], graph.input(node, 1).data, graph.output(node)
    assert given is not None and weights is not None
    units, depth = weights.shape
    x = given.reshape(-1, depth)
    if x.dtype == np.float32:
        sums = _lane_sums(x, weights, node.attrs.lanes) + bias_values(graph, node, units)
        return [clamp_float(sums, node.attrs.activation).reshape(y.shape)]
    exact = centred(x, graph.input(node)) @ centred(weights, graph.input(node, 1)).T
    rule = requantization(graph, node, units)
    return [rule.apply(exact.astype(np.int64), y.dtype).reshape(y.shape)]


def _lane_sums(x: np.ndarray, weights: np.ndarray, lanes: int) -> np.ndarray:
    """float32 sums; in four lanes they are (0 + 1) + (2 + 3)."""
    sums = [_float_sums(x[:, lane::lanes], weights[:, lane::lanes]) for lane in range(lanes)]
    while len(sums) > 1:
        sums = [a + b for a, b in zip(sums[::2], sums[1::2], strict=True)]
    return sums[0]


def _float_sums(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """float32 sums, one product at a time in the order of the C++ loop."""
    sums = np.zeros((len(x), len(weights)), np.float32)
    for i in range(x.shape[1]):
        sums += x[:, i, None] * weights[:, i]
    return sums


# ---- constraints -------------------------------------------------------------------------------


def has_matching_depth(graph: Graph, node: Node) -> bool:
    """The input's elements must be a multiple of the weights' depth."""
    weights = graph.input(node, 1).shape
    return len(weights) == 2 and weights[1] > 0 and graph.input(node).elements % weights[1] == 0


def sums_in_known_lanes(graph: Graph, node: Node) -> bool:
    """Float sums run in one lane, or in four if the depth is a multiple of four."""
    depth = graph.input(node, 1).shape[-1]
    return node.attrs.lanes == 1 or (node.attrs.lanes == 4 and depth % 4 == 0)


def has_scale_per_unit(graph: Graph, node: Node) -> bool:
    """Weights must have one scale, or one for each unit and zero points 0."""
    return scales_fit(graph.input(node, 1), axis=0)


# ---- lowering ----------------------------------------------------------------------------------


def lower(graph: Graph, node: Node) -> Lowered:
    """A kernel of this node's type over the whole tensor."""
    suffix, fields = SUFFIXES[graph.input(node).dtype], _geometry(graph, node)
    if suffix == "f32":
        bounds = Constant(float_bounds(node.attrs.activation))
        return F32.lowered(**fields, bounds=bounds, lanes=node.attrs.lanes)
    rule = requantization(graph, node, graph.input(node, 1).shape[0])
    fields |= rule.fields(int16=suffix == "s16")
    if suffix == "s16":
        return S16.lowered(**fields, wide=int(rule.wide))
    zeros: dict[str, Field] = {
        "input_zero": graph.input(node).zero_point,
        "weights_zero": graph.input(node, 1).zero_point,
        "output_zero": rule.zero_point,
    }
    call = S8.lowered(**fields, **zeros)
    image = _image(graph, graph.input(node))
    if fields["batches"] != 1 or image is None:
        return call
    return replace(call, by_row=_by_row(image, fields | zeros))


def _image(graph: Graph, x: Tensor) -> Tensor | None:
    """The image of several rows that a layer's input is, perhaps behind reshapes; or None."""
    while x.index in graph.producers and graph.nodes[graph.producers[x.index]].op == "reshape":
        x = graph.input(graph.nodes[graph.producers[x.index]])
    return x if len(x.shape) == 4 and x.shape[0] == 1 and x.shape[1] > 1 else None


def _by_row(image: Tensor, fields: dict[str, Field]) -> Lowered:
    _, height, columns, channels = image.shape
    own = {name: fields[name] for name in BY_ROW_S8.fields if name in fields}
    units = fields["units"]
    assert isinstance(units, int)
    taking: dict[str, Field] = {
        "rows": Rows(),
        "first": FirstRow(),
        "height": height,
        "length": columns * channels,
        "x": Cursor(image.index),
        "sums": Sums(4 * units),
    }
    return replace(BY_ROW_S8.lowered(**(own | taking)), takes=height)


def _geometry(graph: Graph, node: Node) -> dict[str, Field]:
    weights = graph.input(node, 1)
    assert weights.data is not None
    units, depth = weights.shape
    return {
        "batches": graph.input(node).elements // depth,
        "units": units,
        "depth": depth,
        "weights": Constant(weights.data),
        "bias": Constant(bias_values(graph, node, units)),
        "x": Address(graph.input(node).index),
        "y": Address(node.outputs[0]),
    }


OPERATION = Operation(
    reference,
    lower,
    (S8, BY_ROW_S8, S16, F32),
    (*CONSTRAINTS, has_matching_depth, has_scale_per_unit, sums_in_known_lanes),
)
