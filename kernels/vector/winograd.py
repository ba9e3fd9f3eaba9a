"""Lowering of int8 3x3 convolutions to `conv2d_winograd_s8`: Winograd's F(4x4, 3x3), exactly.

A tile of 4x4 output pixels takes 36 products of a channel instead of 144 (Lavin, Gray, "Fast
Algorithms for Convolutional Neural Networks", 2016; points 0, 1, -1, 2, -2). All is done in
integers. Of 24 * G each row's greatest common factor is taken out, so that transformed weights fit
int16 (at most 49 * 128), and multiplied in again behind the products, where sums may wrap at 32
bits: what comes out is 576 times the sum, a product of 2**6 and 9, and 9 has an inverse modulo
2**32. A sum must therefore have no more than 26 bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...runtime.graph import Graph, Node
from ...runtime.lowering import PIXEL, Constant, Cursor, Lowered, Rows, Scratch
from ...runtime.shapes import image_size
from ..conv2d import window_cursor
from ..operation import layout
from ..winograd_conv2d import ELEMENTS, PATCH, REDUCED, TILE
from . import packing

# tiles: in a band of four output rows. in_row: bytes of an input row; before: of padding left of
# it; pixel, pitch: from pixel to pixel, and from row to row of the six that are copied to the
# buffer. Behind them are the transformed inputs [36][tiles][channels] int16, at `inputs`, and 36
# sums [tiles][16] int32, at `sums`, of a block of filters. zero: one int32 0.
S8 = layout(
    "conv2d_winograd_s8",
    "rows width tiles filters in_row before pixel pitch fill inputs sums zero steps weights "
    f"{packing.OUTPUT} buffer y x",
)
LAYOUTS = (S8,)
MOST_BYTES = 1 << 18  # of the buffer: about what a core's own cache holds


def lower(graph: Graph, node: Node) -> Lowered | None:
    """None where it is not exact, or not made for it."""
    x, weights = graph.input(node), packing.weights_of(graph, node)
    if node.op != "conv2d" or x.dtype != "int8" or weights is None:
        return None
    if not _fits(graph, node, weights):
        return None
    output = packing.output_fields(graph, node, weights)
    height, width = image_size(graph.output(node).shape)
    filters, channels, tiles = len(weights), x.shape[3], -(-width // TILE)
    pitch = (TILE * tiles + 2) * channels
    inputs = -(-(PATCH * pitch + packing.SLACK) // 64) * 64
    sums = inputs + ELEMENTS * tiles * channels * 2
    size = sums + ELEMENTS * tiles * 64
    if output is None or size > MOST_BYTES or height < TILE:
        return None
    transformed = np.einsum("ay,oyxc,bx->oabc", REDUCED, weights, REDUCED)
    return S8.lowered(
        PIXEL,
        rows=Rows(),
        width=width,
        tiles=tiles,
        filters=filters,
        in_row=x.shape[2] * channels,
        before=node.attrs.padding.left * channels,
        pixel=channels,
        pitch=pitch,
        fill=x.zero_point,
        inputs=inputs,
        sums=sums,
        zero=Constant(np.zeros(1, np.int32)),
        steps=packing.steps_of(channels, 2),
        weights=packing.packed_weights(
            transformed.reshape(filters, ELEMENTS, channels).astype(np.int16)
        ),
        buffer=Scratch(size, alignment=64),
        y=Cursor(node.outputs[0]),
        x=window_cursor(graph, node, (3, 3)),
        **output,
    )


def _fits(graph: Graph, node: Node, weights: NDArray[np.int64]) -> bool:
    """A plain 3x3 convolution of whole vectors of channels, whose weights and sums are small."""
    channels, attrs = graph.input(node).shape[3], node.attrs
    if weights.shape[1:] != (3, 3, channels) or channels % packing.LANES:
        return False
    if attrs.stride != (1, 1) or attrs.dilation != (1, 1):
        return False
    sums = np.abs(weights).reshape(len(weights), -1).sum(axis=1) * packing.SIGN
    return bool(np.abs(weights).max() <= packing.SIGN and (sums < 1 << 25).all())
