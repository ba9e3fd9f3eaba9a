"""Weights, biases and requantization data in the form that vector kernels read.

A block is 16 output channels: lanes of one accumulator. Weights stand as
[blocks][steps][16 channels][taps], so that one 64-byte load holds four products of int8, two of
int16, or one of float32 of each lane. int8 activations are read as q + 128, without a sign, or as
q: the instruction set decides. What that and the input's zero point add to a sum is taken off the
bias here, so that a program is the same for all sets.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.graph import DTYPES, Graph, Node
from ...runtime.lowering import Constant, Field
from ..convolution import SUFFIXES, Requantization, bias_values, float_bounds, requantization
from ..fixedpoint import FLOAT_LIMIT, IN_FLOATS, reduced_multiplier
from ..operation import Layout, layout

LANES = 16  # output channels of a block
STEP_BYTES = 4  # of a lane's products that one step adds
TAPS = 4  # of them, of int8
ROW_BYTES = 64  # of a block's parameters
SLACK = 64  # bytes after a window buffer that whole-vector loads and stores may touch
SIGN = 128
# Rows of a block's parameters. The bias is for sums of q + 128, signed_bias for sums of q.
PARAMETERS = ("bias", "signed_bias", "left", "multiplier", "half", "tie", "right")
# Behind them, for plain sums: int64 that are added to a product in even and in odd lanes, and by
# how much its upper half is then shifted right.
WIDE_PARAMETERS = ("even", "odd", "rest")
INT8_ROWS = len(PARAMETERS) + len(WIDE_PARAMETERS)
# int16 layers with sums of 32 bits have bias, left, multiplier, half, tie, right; others 0,
# multiplier, and int64 what is added to the product and by how much it is shifted right.
INT16_ROWS = 6
OUTPUT = "parameters least greatest plain"  # how a kernel makes outputs of sums
# `plain` of int8 sums, how they are rescaled: rounded twice after any shift, twice by the fewer
# instructions that some need (see `_way_of`), or once by float32s.
GENERAL, PLAIN, BY_FLOATS = 0, 1, 2
# `plain` of int16 sums, how they are rescaled: ONCE in 64 bits, CARRIED likewise where 32 bits are
# too few for sums, else twice.
TWICE, ONCE, CARRIED = 0, 1, 2


def typed_layouts(kernel: str, words: str) -> dict[str, Layout]:
    """dtype -> the layout of the kernel for it, all with the same words."""
    return {dtype: layout(f"{kernel}_{suffix}", words) for dtype, suffix in SUFFIXES.items()}


def blocks_of(channels: int) -> int:
    """How many blocks hold this many channels."""
    return -(-channels // LANES)


def steps_of(products: int, itemsize: int = 1) -> int:
    """How many steps hold this many products of a channel."""
    return -(-products * itemsize // STEP_BYTES)


def packed_weights(weights: NDArray[Any]) -> Constant:
    """[channels, segments, products] to [blocks, segments * steps, 16, taps], zeros added.

    Each segment's products fill whole steps: the next segment begins at an address of its own.
    """
    channels, segments, products = weights.shape
    taps = STEP_BYTES // weights.itemsize
    blocks, steps = blocks_of(channels), steps_of(products, weights.itemsize)
    room = np.zeros((blocks * LANES, segments, steps * taps), weights.dtype)
    room[:channels, :, :products] = weights
    parts = room.reshape(blocks, LANES, segments * steps, taps)
    return Constant(np.ascontiguousarray(parts.transpose(0, 2, 1, 3)), alignment=64)


def packed_taps(weights: NDArray[Any]) -> Constant:
    """[channels, taps] to [blocks, taps, 16], zeros added."""
    channels, taps = weights.shape
    room = np.zeros((blocks_of(channels) * LANES, taps), weights.dtype)
    room[:channels] = weights
    by_block = room.reshape(-1, LANES, taps).transpose(0, 2, 1)
    return Constant(np.ascontiguousarray(by_block), alignment=64)


def parameters(
    rule: Requantization, weights: NDArray[np.int64], input_zero: int
) -> Constant | None:
    """int32 [blocks, 10, 16], rows as in `PARAMETERS`; `weights` are centred, [channels, ...].

    None if 32-bit lanes are too narrow (see `_rescaling`).
    """
    flat = weights.reshape(len(weights), -1)
    rescaling = _rescaling(rule, sum_range(flat, input_zero), "int8")
    if rescaling is None:
        return None
    signed_bias = rule.bias.astype(np.int64) - input_zero * flat.sum(axis=1)
    bias = signed_bias - SIGN * flat.sum(axis=1)
    by_block = _rows(bias, signed_bias, *rescaling)
    rows = {name: by_block[:, number] for number, name in enumerate(PARAMETERS)}
    wide = _wide_parameters(rows["half"].reshape(-1), rows["right"].reshape(-1))
    return Constant(np.concatenate([by_block, wide], axis=1), alignment=64)


def int16_parameters(
    rule: Requantization, weights: NDArray[np.int64]
) -> tuple[Constant, int] | None:
    """int32 [blocks, 6, 16], and how sums are rescaled; None if lanes are too narrow."""
    flat = weights.reshape(len(weights), -1)
    sums = sum_range(flat, 0, "int16")
    if rule.wide:
        return _wide_int16(rule), ONCE if (np.abs(sums) < 1 << 31).all() else CARRIED
    rescaling = _rescaling(rule, sums, "int16")
    if rescaling is None:
        return None
    return Constant(_rows(rule.bias.astype(np.int64), *rescaling), alignment=64), TWICE


def _wide_int16(rule: Requantization) -> Constant:
    """The bias and what rounds are added to the product at once; int64 sums may wrap."""
    multiplier = reduced_multiplier(rule.multiplier)
    right = 15 - rule.shift.astype(np.int64)
    added = rule.bias.astype(np.int64) * multiplier + (np.int64(1) << (right - 1))
    blocks = blocks_of(len(right))
    wide = np.zeros((2, blocks * LANES), np.int64)
    wide[:, : len(right)] = added, right
    halves = wide.reshape(2, blocks, LANES).transpose(1, 0, 2).copy().view(np.int32)
    narrow = _rows(np.zeros_like(multiplier), multiplier)
    rows = np.concatenate([narrow, halves.reshape(blocks, 4, LANES)], axis=1)
    return Constant(np.ascontiguousarray(rows), alignment=64)


def _rescaling(
    rule: Requantization, sums: NDArray[np.int64], dtype: str
) -> tuple[NDArray[np.int64], ...] | None:
    """left, multiplier, half, tie and right of each channel with sums of this range, or None.

    The output zero point is in `half`, scaled up by the right shift that follows; `tie` is all ones
    in lanes that shift right, where a negative tie rounds away from zero. None if 32-bit lanes are
    too narrow: the plain kernels requantize in 64 bits, which live channels of real layers don't
    need. A channel that gives one value whatever comes gets a multiplier of 0, and that value.
    """
    greatest = np.abs(sums + rule.bias.astype(np.int64)).max(axis=0)
    if (rule.shift == IN_FLOATS).all():
        return _in_floats(rule, greatest)
    least_output, greatest_output = rule.apply(sums, dtype).astype(np.int64)
    constant = (least_output == greatest_output) & (greatest < 1 << 31)
    left = np.maximum(rule.shift, 0).astype(np.int64)
    right = np.maximum(-rule.shift, 0).astype(np.int64)
    half = ((np.int64(1) << right) >> 1) + (np.int64(rule.zero_point) << right)
    if (((greatest << left) + np.abs(half) + 1 >= 1 << 31) & ~constant).any():
        return None
    multiplier = np.where(constant, 0, rule.multiplier).astype(np.int64)
    half = np.where(constant, least_output, half)
    left, right = np.where(constant, 0, left), np.where(constant, 0, right)
    return left, multiplier, half, np.where(right > 0, -1, 0).astype(np.int64), right


def _in_floats(
    rule: Requantization, greatest: NDArray[np.int64]
) -> tuple[NDArray[np.int64], ...] | None:
    """The same of multipliers that are the bits of float32s; `half` is the zero point."""
    factors = np.abs(rule.multiplier.view(np.float32).astype(np.float64))
    if (greatest >= 1 << 31).any() or (greatest * factors >= FLOAT_LIMIT).any():
        return None
    nothing = np.zeros(len(factors), np.int64)
    point = np.full(len(factors), rule.zero_point, np.int64)
    return nothing, rule.multiplier.astype(np.int64), point, nothing, nothing


def _rows(*rows: NDArray[np.int64]) -> NDArray[np.int32]:
    """[blocks, rows, 16], zeros added."""
    blocks = blocks_of(len(rows[0]))
    room = np.zeros((len(rows), blocks * LANES), np.int32)
    for place, values in zip(room, rows, strict=True):
        place[: len(values)] = values.astype(np.int32)  # a bias may wrap: sums do too
    return np.ascontiguousarray(room.reshape(len(rows), blocks, LANES).transpose(1, 0, 2))


def float_parameters(bias: NDArray[np.float32]) -> Constant:
    """float32 [blocks, 16]."""
    room = np.zeros(blocks_of(len(bias)) * LANES, np.float32)
    room[: len(bias)] = bias
    return Constant(room.reshape(-1, LANES), alignment=64)


def float_bits(activation: str) -> tuple[int, int]:
    """The bounds of a fused activation on floats, as the int32 numbers with the same bits."""
    least, greatest = float_bounds(activation).view(np.int32).tolist()
    return least, greatest


def _wide_parameters(half: NDArray[np.int32], right: NDArray[np.int32]) -> NDArray[np.int32]:
    """int32 [blocks, 3, 16], rows as in `WIDE_PARAMETERS`.

    Both roundings are one: floor((floor((p + 2**30) / 2**31) + half) / 2**right) is
    floor((p + 2**30 + half * 2**31) / 2**(31 + right)), whose upper half is shifted by right - 1.
    """
    unshifted = right == 0  # lanes of one value
    added = half.astype(np.int64) << (31 + unshifted.astype(np.int64))
    added += np.where(unshifted, 0, 1 << 30)
    by_lane = added.reshape(-1, LANES // 2, 2)
    even, odd = (np.ascontiguousarray(by_lane[..., i]).view(np.int32) for i in (0, 1))
    rest = np.where(unshifted, 0, right - 1).astype(np.int32).reshape(-1, LANES)
    return np.stack([even, odd, rest], axis=1)


def _way_of(rule: Requantization, parameters: Constant) -> int:
    """`PLAIN` if all sums are shifted right but for channels of one value, and held at the zero
    point, so that it doesn't matter how negative ties are rounded."""
    if (rule.shift == IN_FLOATS).all():
        return BY_FLOATS
    unshifted = rule.shift >= 0
    constant = (
        parameters.array[:, PARAMETERS.index("multiplier")].reshape(-1)[: rule.shift.size] == 0
    )
    plain = rule.least >= rule.zero_point and bool((~unshifted | constant).all())
    return PLAIN if plain else GENERAL


def sum_range(
    weights: NDArray[np.int64], input_zero: int, dtype: str = "int8"
) -> NDArray[np.int64]:
    """[2, channels]: least and greatest sum of (x - zero point) * weight over all x."""
    kind = np.iinfo(DTYPES[dtype])
    ends = np.array([kind.min, kind.max], np.int64) - input_zero
    products = weights[..., None] * ends
    return np.stack([products.min(axis=2).sum(axis=1), products.max(axis=2).sum(axis=1)])


def weights_of(graph: Graph, node: Node) -> NDArray[Any] | None:
    """The weights of an integer node less their zero point, which have up to 9 bits, or floats.

    None where a vector kernel could not keep the reference's bits: 0 times what is no finite number
    isn't 0, which padding relies on.
    """
    weights = graph.input(node, 1)
    if weights.data is None or graph.input(node).dtype not in SUFFIXES:
        return None
    if weights.dtype == "float32":
        return weights.data if np.isfinite(weights.data).all() else None
    return weights.data.astype(np.int64) - weights.zero_point


def parts_of(weights: NDArray[Any], dtype: str) -> list[NDArray[Any]]:
    """`weights` in the type that steps take with activations of `dtype`: arrays that add up."""
    if dtype == "int8":
        return list(int8_parts(weights))
    return [weights.astype(DTYPES[dtype])]


def output_fields(
    graph: Graph, node: Node, weights: NDArray[Any], times: int = 1
) -> dict[str, Field] | None:
    """`OUTPUT`: how sums become outputs, of `times` pixels side by side; `weights` are of one.

    None if 32-bit lanes are too narrow.
    """
    dtype, channels = graph.input(node).dtype, len(weights)
    if dtype == "float32":
        least, greatest = float_bits(node.attrs.activation)
        made = float_parameters(np.tile(bias_values(graph, node, channels), times))
        return {"parameters": made, "least": least, "greatest": greatest, "plain": 0}
    rule = _repeated(requantization(graph, node, channels), times)
    limits = {"least": rule.least, "greatest": rule.greatest}
    weights = np.tile(weights.reshape(channels, -1), (times, 1))
    if dtype == "int16":
        rescaling = int16_parameters(rule, weights)
        if rescaling is None:
            return None
        return {"parameters": rescaling[0], **limits, "plain": rescaling[1]}
    rows = parameters(rule, weights, graph.input(node).zero_point)
    if rows is None:
        return None
    return {"parameters": rows, **limits, "plain": _way_of(rule, rows)}


def _repeated(rule: Requantization, times: int) -> Requantization:
    """The requantization of `times` pixels side by side."""
    return replace(
        rule,
        bias=np.concatenate([rule.bias] * times),
        multiplier=np.concatenate([rule.multiplier] * times),
        shift=np.concatenate([rule.shift] * times),
    )


def cut(
    weights: NDArray[np.int16], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Segments [channels, segments, products] and offsets, in pieces whose sums 32 bits hold."""
    channels, segments, products = weights.shape
    steps = steps_of(products, weights.itemsize)
    for pieces in range(1, steps + 1):
        length = -(-steps // pieces)  # in steps
        room = np.zeros((channels, segments, pieces * length * 2), np.int16)
        if STEP_BYTES * (pieces * length - steps) > SLACK:
            continue  # the last one would read too far
        room[..., :products] = weights
        by_piece = room.reshape(channels, segments * pieces, -1)
        if (np.abs(by_piece.astype(np.int64)).sum(axis=2) << 15 < 1 << 31).all():
            return by_piece, (offsets[:, None] + np.arange(pieces) * length * STEP_BYTES).reshape(
                -1
            )
    raise AssertionError("two products of int16 and int8 fit")


def int8_parts(weights: NDArray[np.int64]) -> list[NDArray[np.int8]]:
    """int8 arrays that add up to `weights`: one, or more where a zero point makes 9 bits of 8."""
    parts = [np.clip(weights, -SIGN, SIGN - 1)]
    while (rest := weights - sum(parts)).any():
        parts.append(np.clip(rest, -SIGN, SIGN - 1))
    return [part.astype(np.int8) for part in parts]
