"""Weights for the kernels of Armv7E-M's DSP extension: two filters in one stream of words.

`SMLAD` multiplies two pairs of 16 bits. A word of weights holds, for two inputs, 256 * w1 + w0 of
a filter and its neighbour: one `SMLAD` adds 256 * w1 * x + w0 * x, and after one `SXTB16` of the
same word another adds w0 * x alone. The difference is 256 times the second filter's sum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...kernels import fixedpoint as fp
from ...kernels.convolution import Requantization, requantization
from ...kernels.operation import Layout, layout
from ...runtime.graph import Graph, Node
from ...runtime.lowering import PIXEL, Constant, Field, Lowered, Scratch
from ...runtime.shapes import image_size

# Fields as in kernels/conv2d.py and kernels/fully_connected.py; `words` are those of the weights
# of two filters, `weights` begins the blocks of `pack`; the windows of so many `pixels` are taken
# together.
CONV2D = layout(
    "conv2d_paired_s8",
    "rows width filters in_width in_channels kernel_height kernel_width stride_height stride_width "
    "dilation_height dilation_width pad_left words weights y x input_zero output_zero least "
    "greatest pixels columns",
)
FULLY_CONNECTED = layout(
    "fully_connected_paired_s8",
    "batches units depth words weights x y output_zero least greatest columns",
)
FOURS = layout(
    "fully_connected_fours_s8", "batches units depth words weights x y output_zero least greatest"
)
CONV2D_RELU = Layout("conv2d_paired_relu_s8", CONV2D.fields)
LAYOUTS = (CONV2D, CONV2D_RELU, FULLY_CONNECTED, FOURS)

PIXELS = 3  # whose windows are taken together
UNIT = 4  # words that the kernels take at once
GREATEST_EXPONENT = 21  # of the right shift: what is added before it must fit in 32 bits
GREATEST_SUM = 1 << 23  # of a second filter: 256 times it must fit in 32 bits

# The pairs (k, l) of a run's last 0 to 3 inputs, None for a number that isn't there. Of four
# inputs, SXTB16 takes bytes 0 and 2, and, rotated, bytes 1 and 3.
_FOUR: tuple[tuple[int, int | None], ...] = ((0, 2), (1, 3))
_TAILS: tuple[tuple[tuple[int, int | None], ...], ...] = (
    (), ((0, None),), ((0, 1),), ((0, 2), (1, None)),
)  # fmt: skip


def lower_conv2d(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The paired kernel's call for a `conv2d_s8`, or None where only the plain kernel will do."""
    weights, x = graph.input(node, 1), graph.input(node)
    assert weights.data is not None
    order = window_order(graph, node)
    if order is None:
        return None
    filters = weights.shape[0]
    rule = requantization(graph, node, filters)
    packed = pack(weights.data.reshape(filters, -1), order, rule, x.zero_point, weights.zero_point)
    if packed is None:
        return None
    words = CONV2D_RELU if has_relu(plain.fields) else CONV2D
    calls = by_pixels(graph, node, plain, words, len(order), packed)
    return with_frugal(
        *(replace(call, lot=lot(graph, node, len(calls) - i)) for i, call in enumerate(calls))
    )


def window_order(graph: Graph, node: Node) -> NDArray[np.intp] | None:
    """The order of a window's pairs; None where filters see a group of the channels."""
    _, height, width, depth = graph.input(node, 1).shape
    if depth != graph.input(node).shape[3]:
        return None
    if node.attrs.dilation[1] == 1:
        return word_order(height, width * depth)
    return word_order(height * width, depth)


def by_pixels(
    graph: Graph, node: Node, plain: Lowered, words: Layout, count: int, packed: NDArray[np.int32]
) -> list[Lowered]:
    """Calls that take the windows of PIXELS pixels of `count` words together, and of fewer."""
    _, _, width, depth = graph.input(node, 1).shape
    bytewise = -(-width * depth // 4) * 4 if depth % 4 else 0
    fields = {name: plain.fields[name] for name in words.fields if name in plain.fields}
    fields |= {"words": count, "weights": Constant(packed)}
    most = min(PIXELS, math.prod(graph.output(node).shape[:3]))
    return [
        words.lowered(
            PIXEL,
            **fields,
            pixels=pixels,
            columns=Scratch(4 * pixels * count + bytewise, alignment=4),
        )
        for pixels in range(most, 0, -1)
    ]


def has_relu(fields: Mapping[str, Field]) -> bool:
    """True if no output is under the zero point."""
    least, zero = fields["least"], fields["output_zero"]
    return isinstance(least, int) and isinstance(zero, int) and least >= zero


def lot(graph: Graph, node: Node, pixels: int) -> int:
    """How many output rows have that many pixels."""
    return -(-pixels // max(image_size(graph.output(node).shape)[1], 1))


def lower_fully_connected(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The paired kernel's call for a `fully_connected_s8`, or None."""
    weights, x = graph.input(node, 1), graph.input(node)
    assert weights.data is not None
    units, depth = weights.shape
    order = word_order(1, depth)
    rule = requantization(graph, node, units)
    packed = pack(weights.data, order, rule, x.zero_point, weights.zero_point)
    if packed is None:
        return None
    own = {name: plain.fields[name] for name in FULLY_CONNECTED.fields if name in plain.fields}
    own |= {"words": len(order), "weights": Constant(packed)}
    if units % 4 == 0 and depth % 16 == 0:
        own |= {"weights": Constant(_in_fours(packed))}
        return FOURS.lowered(plain.granularity, **own)
    columns = Scratch(4 * len(order), alignment=4)
    return FULLY_CONNECTED.lowered(plain.granularity, **own, columns=columns)


def _in_fours(blocks: NDArray[np.int32]) -> NDArray[np.int32]:
    """Two blocks in one: both biases, the words, two of each in turn, both scales."""
    pairs = blocks.reshape(-1, 2, blocks.shape[1])
    words = pairs[:, :, 2:-3].reshape(len(pairs), 2, -1, 2).transpose(0, 2, 1, 3)
    parts = (pairs[:, :, :2], words, pairs[:, :, -3:])
    return np.concatenate([part.reshape(len(pairs), -1) for part in parts], axis=1)


def with_frugal(*calls: Lowered) -> Lowered:
    """The first of these calls for one node, each with the next as the more frugal one."""
    first, *others = calls
    return replace(first, frugal=with_frugal(*others)) if others else first


def word_order(runs: int, run: int, unit: int = UNIT) -> NDArray[np.intp]:
    """[words, 2]: which products the words of a window hold, `runs * run` for none.

    Each run of neighbouring bytes is widened four bytes at a time; the last words, up to a whole
    `unit` of them, hold nothing.
    """
    none = runs * run
    fours = [
        (4 * i + k, 4 * i + other if other is not None else None)
        for i in range(run // 4)
        for k, other in _FOUR
    ]
    rest = run // 4 * 4
    tail = [(rest + k, rest + other if other is not None else None) for k, other in _TAILS[run % 4]]
    one = [*fours, *tail]
    words = [
        (first + k, first + other if other is not None else none)
        for first in range(0, runs * run, run)
        for k, other in one
    ]
    words += [(none, none)] * (-len(words) % unit)
    return np.array(words, np.intp)


def pack(
    weights: NDArray[np.int8],
    order: NDArray[np.intp],
    rule: Requantization,
    x_zero: int,
    w_zero: int,
) -> NDArray[np.int32] | None:
    """Blocks of two filters each: bias, 256 * second bias + bias, words, multipliers, shifts.

    The shifts are one less than the exponents, in a byte each. None if a number doesn't fit, or
    there is an odd number of filters.
    """
    filters = len(weights)
    weights, rule = without_constants(rule, weights, x_zero)
    shift = right_shifts(rule, weights, x_zero)
    if filters % 2 or w_zero or shift is None:
        return None
    lowest, highest = reachable_sums(rule, weights, x_zero)
    if max(-lowest[1::2].min(), highest[1::2].max()) >= GREATEST_SUM:
        return None
    wide = np.zeros((filters, weights.shape[1] + 1), np.int64)
    wide[:, :-1] = weights
    halves = 256 * wide[1::2] + wide[::2]
    if halves.min() < -(1 << 15):
        return None
    words = (halves[:, order[:, 0]] & 0xFFFF) | (halves[:, order[:, 1]] << 16)
    bias = folded_bias(rule, weights, x_zero)
    columns = (
        bias[::2],
        256 * bias[1::2] + bias[::2],
        *words.T,
        rule.multiplier[::2],
        rule.multiplier[1::2],
        shift[::2] | shift[1::2] << 8,
    )
    return wrapped(np.stack(columns, axis=1))


def without_constants(
    rule: Requantization, weights: NDArray[np.int8], x_zero: int
) -> tuple[NDArray[np.int8], Requantization]:
    """The same outputs, where a filter whose output is the same for any input has weights of 0.

    Trained networks have such filters, with a bias and a shift that are far out.
    """
    lowest, highest = reachable_sums(rule, weights, x_zero)
    least, greatest = (
        rule.zero_point
        + fp.multiply_by_quantized_multiplier(
            ends.clip(fp.INT32_MIN, fp.INT32_MAX), rule.multiplier, rule.shift
        ).astype(np.int64)
        for ends in (lowest, highest)
    )
    value = least.clip(-128, 127)
    fits = (lowest > fp.INT32_MIN) & (highest < fp.INT32_MAX)
    constant = fits & (value == greatest.clip(-128, 127)) & (rule.shift <= 0)
    changed = replace(
        rule,
        bias=np.where(constant, 4 * (value - rule.zero_point), rule.bias).astype(np.int32),
        multiplier=np.where(constant, 1 << 30, rule.multiplier).astype(np.int32),
        shift=np.where(constant, -1, rule.shift).astype(np.int32),
    )
    return np.where(constant[:, None], 0, weights).astype(np.int8), changed


def folded_bias(rule: Requantization, weights: NDArray[np.int8], x_zero: int) -> NDArray[np.int64]:
    """The bias of each filter over inputs that keep their zero point."""
    return rule.bias.astype(np.int64) - x_zero * weights.astype(np.int64).sum(axis=1)


def reachable_sums(
    rule: Requantization, weights: NDArray[np.int8], x_zero: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The least and the greatest sum of each filter over any input."""
    w = weights.astype(np.int64)
    ends = np.stack([w * (-128 - x_zero), w * (127 - x_zero)])
    bias = rule.bias.astype(np.int64)
    return ends.min(axis=0).sum(axis=1) + bias, ends.max(axis=0).sum(axis=1) + bias


def right_shifts(
    rule: Requantization, weights: NDArray[np.int8], x_zero: int
) -> NDArray[np.int64] | None:
    """Right shifts less one, a byte each; None if they or the doubled sums don't fit."""
    lowest, highest = reachable_sums(rule, weights, x_zero)
    exponent = -rule.shift.astype(np.int64)
    fits = (exponent >= 1) & (exponent <= GREATEST_EXPONENT)
    return exponent - 1 if (fits & (np.maximum(-lowest, highest) < 1 << 29)).all() else None


def wrapped(words: NDArray[np.int64] | Sequence[int]) -> NDArray[np.int32]:
    """Modulo 2**32, as the kernels count."""
    return (np.asarray(words, np.int64) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
