"""Lowering of int8 fully connected layers to `fully_connected_vector_s8`, one sample at a time."""

from __future__ import annotations

import numpy as np

from ...runtime.graph import Graph, Node
from ...runtime.lowering import Address, Constant, Lowered
from ..convolution import requantization
from ..operation import layout
from . import packing

# segments: the int32 offset 0 of the only run of products.
S8 = layout(
    "fully_connected_vector_s8",
    "batches units depth segments steps weights parameters least greatest x y",
)
LAYOUTS = (S8,)


def lower(graph: Graph, node: Node) -> Lowered | None:
    """None where the plain kernel must do it: weights with a zero point, huge sums."""
    weights, x = packing.plain_weights(graph, node), graph.input(node)
    if weights is None:
        return None
    units, depth = weights.shape
    rule = requantization(graph, node, units)
    parameters = packing.parameters(rule, weights, x.zero_point)
    if parameters is None:
        return None
    return S8.lowered(
        batches=x.elements // depth,
        units=units,
        depth=depth,
        segments=Constant(np.zeros(1, np.int32)),
        steps=packing.steps_of(depth),
        weights=packing.packed_weights(weights.reshape(units, 1, depth)),
        parameters=parameters,
        least=rule.least,
        greatest=rule.greatest,
        x=Address(x.index),
        y=Address(node.outputs[0]),
    )
