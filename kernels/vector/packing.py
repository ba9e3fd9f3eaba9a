"""Weights, biases and requantization data in the form that vector kernels read.

A block is 16 output channels: int32 lanes of one accumulator. Weights stand as
[blocks][steps][16 channels][4 taps], so that one 64-byte load holds four products of each lane.
Activations are read as q + 128, without a sign; what that and the input's zero point add to a sum
is taken off the bias here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...runtime.graph import Graph, Node
from ...runtime.lowering import Constant
from ..convolution import Requantization

LANES = 16  # output channels of a block
TAPS = 4  # products that one step adds to a lane
SLACK = 64  # bytes after a window buffer that whole-vector loads and stores may touch
SIGN = 128
PARAMETERS = ("bias", "left", "multiplier", "half", "tie", "right")  # rows of a block's parameters


def blocks_of(channels: int) -> int:
    """How many blocks hold this many channels."""
    return -(-channels // LANES)


def steps_of(products: int) -> int:
    """How many steps hold this many products of a channel."""
    return -(-products // TAPS)


def packed_weights(weights: NDArray[np.int8]) -> Constant:
    """[channels, segments, products] int8 to [blocks, segments * steps, 16, 4], zeros added.

    Each segment's products fill whole steps: the next segment begins at an address of its own.
    """
    channels, segments, products = weights.shape
    blocks, steps = blocks_of(channels), steps_of(products)
    room = np.zeros((blocks * LANES, segments, steps * TAPS), np.int8)
    room[:channels, :, :products] = weights
    parts = room.reshape(blocks, LANES, segments * steps, TAPS)
    return Constant(np.ascontiguousarray(parts.transpose(0, 2, 1, 3)), alignment=64)


def sum_bounds(rule: Requantization, weights: NDArray[np.int8]) -> NDArray[np.int64]:
    """Greatest magnitude of each channel's accumulator; `weights` are [channels, ...]."""
    flat = np.abs(weights.reshape(len(weights), -1).astype(np.int64))
    return np.abs(rule.bias.astype(np.int64)) + 255 * flat.sum(axis=1)


def stays_in_32_bits(rule: Requantization, bounds: NDArray[np.int64]) -> bool:
    """Whether 32-bit lanes can requantize: no accumulator, rounding or zero point added overflows.

    The plain kernels requantize in 64 bits, which real layers don't need.
    """
    left, right = np.maximum(rule.shift, 0), np.maximum(-rule.shift, 0).astype(np.int64)
    extra = ((np.int64(1) << right) >> 1) + (np.int64(abs(rule.zero_point)) << right) + 1
    return bool(((bounds << left) + extra < 1 << 31).all())


def parameters(
    rule: Requantization, weights: NDArray[np.int8], input_zero: int
) -> Constant:
    """int32 [blocks, 6, 16], rows as in `PARAMETERS`; `weights` are [channels, ...].

    The output zero point is in `half`, scaled up by the right shift that follows; `tie` is all ones
    in lanes that shift right, where a negative tie rounds away from zero.
    """
    channels = len(weights)
    sums = weights.reshape(channels, -1).astype(np.int64).sum(axis=1)
    right = np.maximum(-rule.shift, 0).astype(np.int64)
    rows = {
        "bias": rule.bias.astype(np.int64) - (input_zero + SIGN) * sums,
        "left": np.maximum(rule.shift, 0),
        "multiplier": rule.multiplier,
        "half": ((np.int64(1) << right) >> 1) + (np.int64(rule.zero_point) << right),
        "tie": np.where(right > 0, -1, 0),
        "right": right,
    }
    room = np.zeros((len(PARAMETERS), blocks_of(channels) * LANES), np.int32)
    for row, name in zip(room, PARAMETERS, strict=True):
        row[:channels] = rows[name].astype(np.int32)  # a bias may wrap: sums do too
    by_block = room.reshape(len(PARAMETERS), -1, LANES).transpose(1, 0, 2)
    return Constant(np.ascontiguousarray(by_block), alignment=64)


def flipped(zero_point: int) -> int:
    """The byte that a zero point is read as, q + 128, as an int8 value."""
    return zero_point + SIGN if zero_point < 0 else zero_point - SIGN


def plain_weights(graph: Graph, node: Node) -> NDArray[np.int8] | None:
    """The weights of an int8 node if they are symmetric, else None."""
    weights = graph.input(node, 1)
    symmetric = weights.quantization is not None and not weights.quantization.zero_points.any()
    is_int8 = graph.input(node).dtype == "int8" and weights.dtype == "int8"
    return weights.data if symmetric and is_int8 else None
