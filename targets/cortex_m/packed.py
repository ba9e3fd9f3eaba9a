"""Constants for the kernels of csrc/midge_packed.c: two products by one multiplication.

Two sums share a word, 16 bits each: of two pixels, or of two units. What the inputs are isn't
known, but the weights are: sums are taken apart before any inputs could make a half overflow.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...kernels.convolution import Requantization, requantization
from ...kernels.operation import layout
from ...runtime.graph import Graph, Node
from ...runtime.lowering import PIXEL, TENSOR, Constant, Lowered, Scratch
from .paired import folded_bias, lot, right_shifts, without_constants, wrapped

# Fields as in kernels/conv2d.py. slots: the windows of four pixels, and a pixel of padding.
CONV2D = layout(
    "conv2d_packed_s8",
    "rows width filters in_width in_channels kernel_height kernel_width stride_height stride_width "
    "dilation_height dilation_width pad_left weights y x input_zero output_zero least greatest "
    "slots",
)
# padded: x with room for four whole numbers behind it, where its depth is no multiple of four.
FULLY_CONNECTED = layout(
    "fully_connected_packed_s8",
    "batches units depth weights x y output_zero least greatest padded",
)
LAYOUTS = (CONV2D, FULLY_CONNECTED)
PIXELS = 4
FILTERS = 2  # of a convolution's blocks
UNITS = 8  # of a fully connected layer's
GROUP = 64  # inputs whose bits are a word


def lower_conv2d(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The call for a `conv2d_s8`, or None: groups, weights with a zero point, scales above 1/2."""
    weights = graph.input(node, 1)
    assert weights.data is not None
    filters, depth = weights.shape[0], weights.shape[3]
    if depth != graph.input(node).shape[3] or weights.zero_point:
        return None
    flat, rule = weights.data.reshape(filters, -1), requantization(graph, node, filters)
    blocks = pack(rule, flat, graph.input(node).zero_point, FILTERS)
    if blocks is None:
        return None
    products = -(-math.prod(weights.shape[1:]) // 4) * 4
    fields = {name: plain.fields[name] for name in CONV2D.fields if name in plain.fields}
    fields |= {
        "weights": Constant(blocks),
        "slots": Scratch(2 * PIXELS * products + depth, alignment=4),
    }
    return replace(CONV2D.lowered(PIXEL, **fields), lot=lot(graph, node, 2 * PIXELS))


def lower_fully_connected(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The call for a `fully_connected_s8`, or None: as for conv2d."""
    weights = graph.input(node, 1)
    assert weights.data is not None
    units, depth = weights.shape
    if weights.zero_point:
        return None
    rule = requantization(graph, node, units)
    blocks = pack(rule, weights.data, graph.input(node).zero_point, UNITS)
    if blocks is None:
        return None
    fields = {name: plain.fields[name] for name in FULLY_CONNECTED.fields if name in plain.fields}
    padded = Scratch(-(-depth // 4) * 4, alignment=4) if depth % 4 else 0
    return FULLY_CONNECTED.lowered(
        TENSOR, **fields | {"weights": Constant(blocks), "padded": padded}
    )


def pack(
    rule: Requantization, flat: NDArray[np.int8], x_zero: int, block: int
) -> NDArray[np.int8] | None:
    """Blocks of so many filters of [filters, products], as csrc/midge_packed.h has them.

    The weights of a fully connected layer's are 128 more. None if a number doesn't fit.
    """
    flat, rule = without_constants(rule, flat, x_zero)
    shift = right_shifts(rule, flat, x_zero)
    filters, products = flat.shape
    blocks = -(-filters // block)
    room = np.zeros((blocks * block, -(-products // 4) * 4), np.int8)
    room[:filters, :products] = flat
    room = room.reshape(blocks, block, -1)
    apart = _taken_apart(room.reshape(blocks, block, -1, 2))
    if shift is None or apart is None:
        return None
    numbers = (
        wrapped(folded_bias(rule, flat, x_zero)),
        rule.multiplier,
        (shift + 1).astype(np.int8),
    )
    pieces = [_by_block(values, blocks, block) for values in numbers]
    pieces.append(apart.sum(axis=1).astype("<u2")[:, None].view(np.int8))
    pieces.append(np.zeros((blocks, -(block + 2) % 4), np.int8))
    if block == UNITS:
        room = room ^ np.int8(-128)
    for first in range(0, room.shape[2], GROUP):
        bits = np.zeros((blocks, GROUP // 2), np.uint8)
        own = apart[:, first // 2 : (first + GROUP) // 2]
        bits[:, : own.shape[1]] = own
        pieces.append(np.packbits(bits, axis=1)[:, ::-1].view(np.int8))
        weights = room[:, :, first : first + GROUP]
        pieces.append(weights.transpose(0, 2, 1).reshape(blocks, -1))
    return np.concatenate(pieces, axis=1)


def _by_block(values: NDArray[np.generic], blocks: int, block: int) -> NDArray[np.int8]:
    """[blocks, bytes] of one value for each filter."""
    room = np.zeros(blocks * block, values.dtype)
    room[: len(values)] = values
    return room.view(np.int8).reshape(blocks, -1)


def _taken_apart(pairs: NDArray[np.int8]) -> NDArray[np.bool_] | None:
    """[blocks, pairs of inputs]: behind which the sums are taken apart, of [blocks, filters, pairs,
    2] weights; None if a pair alone may be too large."""
    ends = pairs.astype(np.int64)[..., None] * np.array([-128, 127])
    least, most = (e.sum(axis=3) for e in (ends.min(axis=4), ends.max(axis=4)))
    if least.min() < -(1 << 15) or most.max() >= 1 << 15:
        return None
    apart = np.zeros((pairs.shape[0], pairs.shape[2]), np.bool_)
    low, high = np.zeros_like(least[..., 0]), np.zeros_like(most[..., 0])
    for i in range(pairs.shape[2]):
        low, high = low + least[..., i], high + most[..., i]
        over = ((low < -(1 << 15)) | (high >= 1 << 15)).any(axis=1)
        if i:
            apart[:, i - 1] = over
        low = np.where(over[:, None], least[..., i], low)
        high = np.where(over[:, None], most[..., i], high)
    apart[:, -1] = True
    return apart
