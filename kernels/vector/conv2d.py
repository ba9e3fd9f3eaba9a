"""Lowering of convolutions to `conv2d_vector_*`: a matrix product over window buffers.

A pixel's products are taken in segments, runs of neighbouring values: a whole kernel row of taps
where they lie side by side, else one tap. A float sum takes its products in the reference's order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.graph import Graph, Node
from ...runtime.lowering import PIXEL, Constant, Lowered
from ...runtime.shapes import image_size
from . import packing
from .window import AMPLE, TIGHT, WINDOW, Room, run_of, window_fields

# band: output rows whose pixels are taken as one row. segments: int32 offsets in the buffer of the
# segments of a row's first pixel, `steps` steps each.
WORDS = f"{WINDOW} filters band segments segment_count steps weights {packing.OUTPUT}"
LAYOUT_OF = packing.typed_layouts("conv2d_vector", WORDS)
LAYOUTS = tuple(LAYOUT_OF.values())
BAND_PIXELS = 12  # a band is made no wider than this needs
BAND_BYTES = 1024
MOST_GROUPS = 8  # of a convolution that is taken as one of all channels


def lower(graph: Graph, node: Node, room: Room = AMPLE) -> Lowered | None:
    """None where the plain kernel must do it: sums of more than 32 bits, many groups or float ones,
    whose other inputs may be no numbers."""
    weights, channels = packing.weights_of(graph, node), graph.input(node).shape[3]
    if weights is None:
        return None
    groups = channels // weights.shape[3]
    if groups > 1 and (groups > MOST_GROUPS or weights.dtype == np.float32):
        return None
    return lower_weights(graph, node, _dense(weights, groups), room)


def _dense(weights: NDArray[Any], groups: int) -> NDArray[Any]:
    """Weights of filters over all input channels: 0 for those of other groups."""
    depth, filters = weights.shape[3], len(weights) // groups
    dense = np.zeros((*weights.shape[:3], groups * depth), weights.dtype)
    for group in range(groups):
        own = slice(group * filters, (group + 1) * filters)
        dense[own, ..., group * depth : (group + 1) * depth] = weights[own]
    return dense


def lower_weights(graph: Graph, node: Node, weights: NDArray[Any], room: Room) -> Lowered | None:
    """The same for a node whose centred weights as a convolution's are stated."""
    dtype = graph.input(node).dtype
    output = packing.output_fields(graph, node, weights)
    if output is None:
        return None
    kernel = (weights.shape[1], weights.shape[2])
    by_segment, offsets = _segments(graph, node, weights, room)
    if dtype == "int16" and output["plain"] == packing.CARRIED:
        by_segment, offsets = packing.cut(by_segment, offsets)
    band = _band(graph, node, kernel) if room != TIGHT else 1
    return LAYOUT_OF[dtype].lowered(
        PIXEL,
        **window_fields(graph, node, kernel, room, band),
        filters=len(weights),
        band=band,
        segments=Constant(offsets.astype(np.int32)),
        segment_count=len(offsets),
        steps=packing.steps_of(by_segment.shape[2], by_segment.itemsize),
        weights=packing.packed_weights(by_segment),
        **output,
    )


def _segments(
    graph: Graph, node: Node, weights: NDArray[Any], room: Room
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Weights as [filters, segments, products], and where each segment begins in the buffer.

    Weights of 9 bits are taken in parts, one after the other over the same inputs.
    """
    x = graph.input(node)
    filters, height, taps, depth = weights.shape
    offsets = np.arange(height) * run_of(graph, node, (height, taps), room).pitch
    if node.attrs.dilation[1] != 1:
        across = np.arange(taps) * node.attrs.dilation[1] * depth * x.itemsize
        offsets = (offsets[:, None] + across).reshape(-1)
    parts = [part.reshape(filters, len(offsets), -1) for part in packing.parts_of(weights, x.dtype)]
    return np.concatenate(parts, axis=1), np.tile(offsets, len(parts))


def _band(graph: Graph, node: Node, kernel: tuple[int, int]) -> int:
    """Rows to take together: more than one only where their pixels are evenly spaced."""
    height, width = image_size(graph.output(node).shape)
    run = run_of(graph, node, kernel, AMPLE)
    if kernel != (1, 1) or node.attrs.stride[1] != 1 or run.columns < width:
        return 1
    room = max(BAND_BYTES // run.pitch, 1)
    return max(min(-(-BAND_PIXELS // width), room, height), 1)
