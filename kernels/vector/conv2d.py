"""Lowering of int8 convolutions to `conv2d_vector_s8`: a matrix product over window buffers.

A pixel's products are taken in segments, runs of neighbouring bytes: a whole kernel row of taps
where they lie side by side, else one tap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...runtime.graph import Graph, Node
from ...runtime.lowering import PIXEL, Constant, Lowered
from ...runtime.shapes import image_size
from ..convolution import requantization
from ..operation import layout
from . import packing
from .window import AMPLE, TIGHT, WINDOW, Room, run_of, window_fields

# band: output rows whose pixels are taken as one row. segments: int32 offsets in the buffer of the
# segments of a row's first pixel, `steps` steps each.
S8 = layout(
    "conv2d_vector_s8",
    f"{WINDOW} filters band segments segment_count steps weights parameters least greatest plain",
)
LAYOUTS = (S8,)
BAND_PIXELS = 12  # a band is made no wider than this needs
BAND_BYTES = 1024


def lower(graph: Graph, node: Node, room: Room = AMPLE) -> Lowered | None:
    """None where the plain kernel must do it: groups, other types, sums of more than 32 bits."""
    weights = packing.centred_weights(graph, node)
    if weights is None or weights.shape[3] != graph.input(node).shape[3]:
        return None
    return lower_weights(graph, node, weights, room)


def lower_weights(
    graph: Graph, node: Node, weights: NDArray[np.int64], room: Room
) -> Lowered | None:
    """The same for a node whose centred weights as a convolution's are stated."""
    x = graph.input(node)
    rule = requantization(graph, node, len(weights))
    parameters = packing.parameters(rule, weights, x.zero_point)
    if parameters is None:
        return None
    kernel = (weights.shape[1], weights.shape[2])
    by_segment, offsets = _segments(graph, node, weights, room)
    band = _band(graph, node, kernel) if room != TIGHT else 1
    return S8.lowered(
        PIXEL,
        **window_fields(graph, node, kernel, room, band),
        filters=len(weights),
        band=band,
        segments=Constant(offsets),
        segment_count=len(offsets),
        steps=packing.steps_of(by_segment.shape[2]),
        weights=packing.packed_weights(by_segment),
        parameters=parameters,
        least=rule.least,
        greatest=rule.greatest,
        plain=packing.is_plain(rule, parameters),
    )


def _segments(
    graph: Graph, node: Node, weights: NDArray[np.int64], room: Room
) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Weights as [filters, segments, products], and where each segment begins in the buffer.

    Weights of 9 bits are taken in parts, one after the other over the same inputs.
    """
    filters, height, taps, depth = weights.shape
    offsets = np.arange(height) * run_of(graph, node, (height, taps), room).pitch
    if node.attrs.dilation[1] != 1:
        across = np.arange(taps) * node.attrs.dilation[1] * depth
        offsets = (offsets[:, None] + across).reshape(-1)
    parts = [part.reshape(filters, len(offsets), -1) for part in packing.int8_parts(weights)]
    return np.concatenate(parts, axis=1), np.tile(offsets, len(parts)).astype(np.int32)


def _band(graph: Graph, node: Node, kernel: tuple[int, int]) -> int:
    """Rows to take together: more than one only where their pixels are evenly spaced."""
    height, width = image_size(graph.output(node).shape)
    run = run_of(graph, node, kernel, AMPLE)
    if kernel != (1, 1) or node.attrs.stride[1] != 1 or run.columns < width:
        return 1
    room = max(BAND_BYTES // run.pitch, 1)
    return max(min(-(-BAND_PIXELS // width), room, height), 1)
