"""Fully connected layers, of TFLite's FULLY_CONNECTED.

Arithmetic: `reference/fully_connected.h`, `reference/integer_ops/fully_connected.h`. Weights with
one scale are rescaled by a multiplier whose scale product was rounded to float32.
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

GEOMETRY = "batches units depth weights bias x y"
S8 = layout(
    "fully_connected_s8",
    f"{GEOMETRY} multiplier shift input_zero weights_zero output_zero least greatest",
)
S16 = layout("fully_connected_s16", f"{GEOMETRY} multiplier shift wide least greatest")
F32 = layout("fully_connected_f32", f"{GEOMETRY} bounds")


def reference(graph: Graph, node: Node, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Input of any shape whose elements are a multiple of `depth`, weights [units, depth]."""
    given, weights, y = inputs[0], graph.input(node, 1).data, graph.output(node)
    assert given is not None and weights is not None
    units, depth = weights.shape
    x = given.reshape(-1, depth)
    if x.dtype == np.float32:
        sums = _float_sums(x, weights) + bias_values(graph, node, units)
        return [clamp_float(sums, node.attrs.activation).reshape(y.shape)]
    exact = centred(x, graph.input(node)) @ centred(weights, graph.input(node, 1)).T
    rule = requantization(graph, node, units)
    return [rule.apply(exact.astype(np.int64), y.dtype).reshape(y.shape)]


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


def has_scale_per_unit(graph: Graph, node: Node) -> bool:
    """Weights must have one scale, or one for each unit and zero points 0."""
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
    reference, lower, (S8, S16, F32), (*CONSTRAINTS, has_matching_depth, has_scale_per_unit)
)
