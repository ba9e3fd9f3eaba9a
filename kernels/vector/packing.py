"""Weights, biases and requantization data in the form that vector kernels read.

A block is 16 output channels: int32 lanes of one accumulator. Weights stand as
[blocks][steps][16 channels][4 taps], so that one 64-byte load holds four products of each lane.
Activations are read as q + 128, without a sign, or as q: the instruction set decides. What that and
the input's zero point add to a sum is taken off the bias here, so that a program is the same for
all sets.
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
# Rows of a block's parameters. The bias is for sums of q + 128, signed_bias for sums of q.
PARAMETERS = ("bias", "signed_bias", "left", "multiplier", "half", "tie", "right")
# Behind them int64 for plain sums: what is added to a product in even and in odd lanes, and by how
# much it is then shifted right, in odd lanes such that the answer is in the upper half.
WIDE_PARAMETERS = ("even", "odd", "even_shift", "odd_shift")


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


def parameters(
    rule: Requantization, weights: NDArray[np.int64], input_zero: int
) -> Constant | None:
    """int32 [blocks, 11, 16], rows as in `PARAMETERS`; `weights` are centred, [channels, ...].

    The output zero point is in `half`, scaled up by the right shift that follows; `tie` is all ones
    in lanes that shift right, where a negative tie rounds away from zero. None if 32-bit lanes are
    too narrow: the plain kernels requantize in 64 bits, which live channels of real layers don't
    need. A channel that gives one value whatever comes gets a multiplier of 0, and that value.
    """
    flat = weights.reshape(len(weights), -1)
    sums = sum_range(flat, input_zero)
    greatest = np.abs(sums + rule.bias.astype(np.int64)).max(axis=0)
    least_output, greatest_output = rule.apply(sums, "int8").astype(np.int64)
    constant = (least_output == greatest_output) & (greatest < 1 << 31)
    left, right = np.maximum(rule.shift, 0), np.maximum(-rule.shift, 0).astype(np.int64)
    half = ((np.int64(1) << right) >> 1) + (np.int64(rule.zero_point) << right)
    if (((greatest << left) + np.abs(half) + 1 >= 1 << 31) & ~constant).any():
        return None
    multiplier, half = (
        np.where(constant, 0, rule.multiplier),
        np.where(constant, least_output, half),
    )
    left, right = np.where(constant, 0, left), np.where(constant, 0, right)
    signed_bias = rule.bias.astype(np.int64) - input_zero * flat.sum(axis=1)
    bias = signed_bias - SIGN * flat.sum(axis=1)
    tie = np.where(right > 0, -1, 0)
    room = np.zeros((len(PARAMETERS), blocks_of(len(weights)) * LANES), np.int32)
    rows = (bias, signed_bias, left, multiplier, half, tie, right)
    for row, values in zip(room, rows, strict=True):
        row[: len(weights)] = values.astype(np.int32)  # a bias may wrap: sums do too
    by_block = room.reshape(len(PARAMETERS), -1, LANES).transpose(1, 0, 2)
    wide = _wide_parameters(room[PARAMETERS.index("half")], room[PARAMETERS.index("right")])
    return Constant(np.concatenate([by_block, wide], axis=1), alignment=64)


def _wide_parameters(half: NDArray[np.int32], right: NDArray[np.int32]) -> NDArray[np.int32]:
    """int32 [blocks, 4, 16] that are int64 [blocks, 4, 8], rows as in `WIDE_PARAMETERS`.

    Both roundings are one: floor((floor((p + 2**30) / 2**31) + half) / 2**right) is
    floor((p + 2**30 + half * 2**31) / 2**(31 + right)).
    """
    shift = right.astype(np.int64)
    unshifted = shift == 0  # lanes of one value: a shift by at least 1 lets odd lanes stay above
    added = half.astype(np.int64) << (31 + unshifted)
    added += np.where(unshifted, 0, 1 << 30)
    shift = shift + unshifted
    by_lane = np.stack([added, shift]).reshape(2, -1, LANES // 2, 2)
    rows = (by_lane[0, ..., 0], by_lane[0, ..., 1], by_lane[1, ..., 0] + 31, by_lane[1, ..., 1] - 1)
    return np.ascontiguousarray(np.stack(rows, axis=1)).view(np.int32)


def is_plain(rule: Requantization, parameters: Constant) -> int:
    """1 if sums can be requantized by fewer instructions: all shifted right but for channels of one
    value, and held at the zero point, so that it doesn't matter how negative ties are rounded."""
    unshifted = rule.shift >= 0
    constant = (
        parameters.array[:, PARAMETERS.index("multiplier")].reshape(-1)[: rule.shift.size] == 0
    )
    return int(rule.least >= rule.zero_point and bool((~unshifted | constant).all()))


def sum_range(weights: NDArray[np.int64], input_zero: int) -> NDArray[np.int64]:
    """[2, channels]: least and greatest sum of (x - zero point) * weight over all int8 x."""
    ends = np.array([-SIGN, SIGN - 1]) - input_zero
    products = weights[..., None] * ends
    return np.stack([products.min(axis=2).sum(axis=1), products.max(axis=2).sum(axis=1)])


def centred_weights(graph: Graph, node: Node) -> NDArray[np.int64] | None:
    """The weights of an int8 node less their zero point, which have up to 9 bits; else None."""
    weights = graph.input(node, 1)
    if graph.input(node).dtype != "int8" or weights.data is None:
        return None
    return weights.data.astype(np.int64) - weights.zero_point


def int8_parts(weights: NDArray[np.int64]) -> list[NDArray[np.int8]]:
    """int8 arrays that add up to `weights`: one, or more where a zero point makes 9 bits of 8."""
    parts = [np.clip(weights, -SIGN, SIGN - 1)]
    while (rest := weights - sum(parts)).any():
        parts.append(np.clip(rest, -SIGN, SIGN - 1))
    return [part.astype(np.int8) for part in parts]
