"""Lowering of int8 fully connected layers to `fully_connected_vector_s8`, one sample at a time."""

from __future__ import annotations

import numpy as np

from ...runtime.graph import Graph, Node
from ...runtime.lowering import Address, Constant, Lowered
from ..convolution import requantization
from ..operation import layout
from . import packing

# segments: int32 offsets of the input's runs of products, all 0: one, or more for 9-bit weights.
S8 = layout(
    "fully_connected_vector_s8",
    "batches units depth segments segment_count steps weights parameters least greatest plain x y",
)
LAYOUTS = (S8,)


def lower(graph: Graph, node: Node) -> Lowered | None:
    """None where the plain kernel must do it: other types, sums of more than 32 bits."""
    weights, x = packing.centred_weights(graph, node), graph.input(node)
    if weights is None:
        return None
    units, depth = weights.shape
    rule = requantization(graph, node, units)
    parameters = packing.parameters(rule, weights, x.zero_point)
    if parameters is None:
        return None
    parts = packing.int8_parts(weights)
    return S8.lowered(
        batches=x.elements // depth,
        units=units,
        depth=depth,
        segments=Constant(np.zeros(len(parts), np.int32)),
        segment_count=len(parts),
        steps=packing.steps_of(depth),
        weights=packing.packed_weights(np.stack(parts, axis=1)),
        parameters=parameters,
        least=rule.least,
        greatest=rule.greatest,
        plain=packing.is_plain(rule, parameters),
        x=Address(x.index),
        y=Address(node.outputs[0]),
    )
