"""Weights for 3x3 convolutions by Winograd's F(4, 3) along x, in whole numbers.

csrc/midge_winograd.h has the arithmetic. Its bounds, for inputs x of 8 bits and weights |g| <= 128:
- a transformed input is at most 10 * 255 (the rows of B), and, with what keeps it positive, between
  0 and 2560 + 5 * 255 < 2**15: an int16;
- a transformed weight is at most 7 * 128 (the rows of G without their common factors): an int16;
- products add up modulo 2**32, as do the sums of sums that are 24, 12, 6 and 6 times the outputs'
  sums. These are multiples of 3; times its inverse they are 8, 4, 2 and 2 times those sums modulo
  2**32, and so exactly, as long as 8 times a sum fits in 32 bits. `pack` refuses what might not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...kernels.convolution import Requantization, requantization
from ...kernels.operation import layout
from ...runtime.graph import Graph, Node
from ...runtime.lowering import PIXEL, Constant, Lowered, Scratch
from .paired import folded_bias, reachable_sums, word_order, wrapped
from .wide import scales, settled

# Fields as in kernels/conv2d.py. columns: a tile's transformed inputs, and a pixel of zero points.
CONV2D = layout(
    "conv2d_winograd_s8",
    "rows width filters in_width in_channels pad_left weights y x input_zero least greatest "
    "columns",
)
FILTERS = 4  # that the kernel takes at once
CHANNELS = 8  # likewise
GREATEST_SUM = 1 << 28  # eight times it must fit in 32 bits
POSITIVE, SIGN = 2560, 128  # what keeps transformed inputs positive, and inputs

B = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
G = np.array([[6, 0, 0], [-1, -1, -1], [-1, 1, -1], [1, 2, 4], [1, -2, 4], [0, 0, 6]])
BIASED, BIAS_FACTOR = 1, 6  # the product that is in every output, there with this factor


def lower_conv2d(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The call for a `conv2d_s8`, or None: other filters than 3x3, strides, odd numbers."""
    weights, x = graph.input(node, 1), graph.input(node)
    assert weights.data is not None
    filters, height, width, depth = weights.shape
    dense = (height, width) == (3, 3) and tuple(node.attrs.stride) == (1, 1)
    if not dense or tuple(node.attrs.dilation) != (1, 1) or depth != x.shape[3]:
        return None
    if depth % CHANNELS or filters % FILTERS or weights.zero_point:
        return None
    packed = pack(weights.data, requantization(graph, node, filters), x.zero_point)
    if packed is None:
        return None
    fields = {name: plain.fields[name] for name in CONV2D.fields if name in plain.fields}
    columns = Scratch(len(B) * 3 * depth * 2 + depth, alignment=4)
    return CONV2D.lowered(PIXEL, **fields | {"weights": Constant(packed), "columns": columns})


def pack(weights: NDArray[np.int8], rule: Requantization, x_zero: int) -> NDArray[np.int32] | None:
    """Blocks of four filters, from [filters, 3, 3, channels]; None if a number doesn't fit.

    For each of six products the filters' first sums, then their words, four of the first filter,
    four of the next; in the end multiplier, offset and shift of each filter, as in wide.py.
    """
    filters, channels = len(weights), weights.shape[3]
    flat, rule, shift = settled(weights.reshape(filters, -1), rule, x_zero)
    if shift is None or max(map(abs, _ends(rule, flat, x_zero))) >= GREATEST_SUM:
        return None
    taps = flat.reshape(filters, 3, 3, channels).astype(np.int64)
    made = np.einsum("tk,fykc->tfyc", G, taps)
    first = -made.sum(axis=(2, 3)) * (POSITIVE + SIGN * B.sum(axis=1))[:, None]
    first[BIASED] += BIAS_FACTOR * folded_bias(rule, flat, x_zero)
    order = word_order(3, channels)
    runs = made.reshape(len(G), filters, -1)
    words = (runs[:, :, order[:, 0]] & 0xFFFF) | (runs[:, :, order[:, 1]] << 16)
    blocks = words.reshape(len(G), filters // FILTERS, FILTERS, -1, 4).transpose(1, 0, 3, 2, 4)
    products = np.concatenate(
        [
            first.reshape(len(G), -1, FILTERS).transpose(1, 0, 2),
            blocks.reshape(filters // FILTERS, len(G), -1),
        ],
        axis=2,
    )
    columns = (products.reshape(len(products), -1), scales(rule, shift).reshape(len(products), -1))
    return wrapped(np.concatenate(columns, axis=1))


def _ends(rule: Requantization, flat: NDArray[np.int8], x_zero: int) -> tuple[int, int]:
    lowest, highest = reachable_sums(rule, flat, x_zero)
    return int(lowest.min()), int(highest.max())
