"""Weights of 16 bits for the DSP extension: nothing to unpack, for twice the flash.

`SMLAD` multiplies two pairs of 16 bits. A word of weights holds those of one filter for two inputs,
doubled, so that a sum is what `SMMLAR` takes for TFLite's first rounding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...kernels.convolution import Requantization, requantization
from ...kernels.operation import layout
from ...runtime.graph import Graph, Node
from ...runtime.lowering import Constant, Lowered, Scratch
from .paired import (
    by_pixels,
    folded_bias,
    right_shifts,
    window_order,
    with_frugal,
    without_constants,
    word_order,
    wrapped,
)

# Fields as in paired.py; `weights` begins the blocks of `pack`.
CONV2D = layout(
    "conv2d_wide_s8",
    "rows width filters in_width in_channels kernel_height kernel_width stride_height stride_width "
    "dilation_height dilation_width pad_left words weights y x input_zero output_zero least "
    "greatest pixels columns",
)
FULLY_CONNECTED = layout(
    "fully_connected_wide_s8", "batches units depth words weights x y least greatest columns"
)
BYTES = layout("fully_connected_wide_bytes_s8", "batches units depth weights x y least greatest")
LAYOUTS = (CONV2D, FULLY_CONNECTED, BYTES)

WIDENED = 256  # inputs of a layer that are worth room for two bytes each
VECTOR_WORDS = 8  # that a fully connected layer's kernel takes at once


def lower_conv2d(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The call for a `conv2d_s8`, or None: groups, an odd number of filters, numbers too large."""
    weights, x = graph.input(node, 1), graph.input(node)
    assert weights.data is not None
    order = window_order(graph, node)
    if order is None:
        return None
    filters = weights.shape[0]
    rule = requantization(graph, node, filters)
    flat = weights.data.reshape(filters, -1)
    packed = pack(flat, order, rule, x.zero_point, weights.zero_point, filters=2, biases=3, words=1)
    if packed is None:
        return None
    return with_frugal(*by_pixels(graph, node, plain, CONV2D, len(order), packed))


def lower_fully_connected(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The call for a `fully_connected_s8`, or None as for a convolution."""
    weights, x = graph.input(node, 1), graph.input(node)
    assert weights.data is not None
    units, depth = weights.shape
    order = word_order(1, depth, VECTOR_WORDS)
    rule = requantization(graph, node, units)
    zeros = x.zero_point, weights.zero_point
    packed = pack(weights.data, order, rule, *zeros, filters=4, biases=1, words=4)
    if packed is None:
        return None
    own = {name: plain.fields[name] for name in FULLY_CONNECTED.fields if name in plain.fields}
    own["weights"] = Constant(packed)
    columns = Scratch(4 * len(order), alignment=4)
    words = FULLY_CONNECTED.lowered(plain.granularity, **own, words=len(order), columns=columns)
    if depth % (2 * VECTOR_WORDS):
        return words
    narrow = BYTES.lowered(plain.granularity, **own)
    return with_frugal(words, narrow) if depth <= WIDENED else narrow


def pack(
    weights: NDArray[np.int8],
    order: NDArray[np.intp],
    rule: Requantization,
    x_zero: int,
    w_zero: int,
    filters: int,
    biases: int,
    words: int,
) -> NDArray[np.int32] | None:
    """Blocks of so many `filters`: biases, weights, then multiplier, offset and shift of each.

    Of the weights, so many `words` of the first filter come, then as many of the next. Everything
    but multipliers is doubled; the shifts are one less than the exponents. A bias is there so many
    times. None if a number doesn't fit, or the filters don't fill the last block.
    """
    weights, rule, shift = settled(weights, rule, x_zero)
    if len(weights) % filters or w_zero or shift is None:
        return None
    wide = np.zeros((len(weights), weights.shape[1] + 1), np.int64)
    wide[:, :-1] = 2 * weights.astype(np.int64)
    pairs = (wide[:, order[:, 0]] & 0xFFFF) | (wide[:, order[:, 1]] << 16)
    blocks = pairs.reshape(len(weights) // filters, filters, -1, words)
    bias = 2 * folded_bias(rule, weights, x_zero)
    columns = (
        np.repeat(bias, biases).reshape(len(blocks), -1),
        blocks.transpose(0, 2, 1, 3).reshape(len(blocks), -1),
        scales(rule, shift).reshape(len(blocks), -1),
    )
    return wrapped(np.concatenate(columns, axis=1))


def settled(
    weights: NDArray[np.int8], rule: Requantization, x_zero: int
) -> tuple[NDArray[np.int8], Requantization, NDArray[np.int64] | None]:
    """Weights and rule without filters of one output, and the shifts less one, if all fit."""
    weights, rule = without_constants(rule, weights, x_zero)
    return weights, rule, right_shifts(rule, weights, x_zero)


def scales(rule: Requantization, shift: NDArray[np.int64]) -> NDArray[np.int64]:
    """[filters, 3]: multiplier, offset and shift: the output's zero point and half of the shift's
    unit are added before the shift."""
    offset = (2 * rule.zero_point + 1) << shift
    return np.stack([rule.multiplier.astype(np.int64), offset, shift], axis=1)
