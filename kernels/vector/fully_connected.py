"""Lowering of fully connected layers to `fully_connected_vector_*`, one sample at a time."""

from __future__ import annotations

import numpy as np

from ...runtime.graph import Graph, Node
from ...runtime.lowering import Address, Constant, Lowered
from . import packing

# segments: int32 offsets of the input's runs of products: one, or more for weights of 9 bits or
# sums of more than 32.
WORDS = f"batches units depth segments segment_count steps weights {packing.OUTPUT} x y"
LAYOUT_OF = packing.typed_layouts("fully_connected_vector", WORDS)
LAYOUTS = tuple(LAYOUT_OF.values())


def lower(graph: Graph, node: Node) -> Lowered | None:
    """None where the plain kernel must do it: sums of more than 32 bits, or in lanes."""
    weights, x = packing.weights_of(graph, node), graph.input(node)
    if weights is None or (x.dtype == "float32" and node.attrs.lanes != 1):
        return None
    units, depth = weights.shape
    output = packing.output_fields(graph, node, weights)
    if output is None:
        return None
    by_segment = np.stack(packing.parts_of(weights, x.dtype), axis=1)
    offsets = np.zeros(by_segment.shape[1], np.int64)
    if x.dtype == "int16" and output["plain"] == packing.CARRIED:
        by_segment, offsets = packing.cut(by_segment, offsets)
    return LAYOUT_OF[x.dtype].lowered(
        batches=x.elements // depth,
        units=units,
        depth=depth,
        segments=Constant(offsets.astype(np.int32)),
        segment_count=len(offsets),
        steps=packing.steps_of(by_segment.shape[2], by_segment.itemsize),
        weights=packing.packed_weights(by_segment),
        x=Address(x.index),
        y=Address(node.outputs[0]),
        **output,
    )
