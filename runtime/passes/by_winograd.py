"""3x3 convolutions of floats by Winograd's algorithm, where the user asks for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..graph import Graph, Node
from ..shapes import image_size

LANES = 16  # channels and filters that kernels take together
LEAST_TILES = 12  # of 4x4 outputs, in an image: fewer don't pay for reading the larger weights
MOST_BYTES = 4 << 20  # of them: more come too slowly


def by_winograd(graph: Graph) -> Graph:
    """float32 `conv2d` nodes of 3x3 taps and stride 1 become `winograd_conv2d`, where that pays.

    Sums are rounded in another order then, so what becomes so is decided by the graph alone, not by
    the machine that runs it.
    """
    return graph.with_nodes(
        [
            replace(node, op="winograd_conv2d") if _pays(graph, node) else node
            for node in graph.nodes
        ]
    )


def _pays(graph: Graph, node: Node) -> bool:
    if node.op != "conv2d" or graph.input(node).dtype != "float32":
        return False
    weights, channels = graph.input(node, 1), graph.input(node).shape[3]
    if weights.dtype != "float32" or weights.shape[1:] != (3, 3, channels) or channels % LANES:
        return False
    if node.attrs.stride != (1, 1) or node.attrs.dilation != (1, 1) or weights.shape[0] < LANES:
        return False
    height, width = image_size(graph.output(node).shape)
    if -(-height // 4) * -(-width // 4) < LEAST_TILES or 4 * weights.bytes > MOST_BYTES:
        return False
    return weights.data is not None and bool(np.isfinite(weights.data).all())
