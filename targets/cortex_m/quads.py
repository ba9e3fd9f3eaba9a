"""Weights for depthwise convolutions with Armv7E-M's DSP extension: four channels at a time.

`SMLAD` adds the products of two taps of one channel. A word of weights holds two taps of two
channels, a byte each, as `SXTB16` takes them apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...kernels.convolution import Requantization, requantization
from ...kernels.operation import Layout, layout
from ...runtime.graph import Graph, Node
from ...runtime.lowering import PIXEL, Constant, Lowered, Scratch
from .paired import folded_bias, has_relu, right_shifts, without_constants, wrapped

# Fields as in kernels/depthwise_conv2d.py; `weights` begins the blocks of `pack`.
DEPTHWISE_CONV2D = layout(
    "depthwise_conv2d_quads_s8",
    "rows width channels in_width kernel_height kernel_width stride_height stride_width "
    "dilation_height dilation_width pad_left weights y x input_zero output_zero least greatest "
    "taps",
)

DEPTHWISE_CONV2D_RELU = Layout("depthwise_conv2d_quads_relu_s8", DEPTHWISE_CONV2D.fields)
LAYOUTS = (DEPTHWISE_CONV2D, DEPTHWISE_CONV2D_RELU)


def lower_depthwise_conv2d(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The call for a `depthwise_conv2d_s8`, or None where only the plain kernel will do."""
    weights, x = graph.input(node, 1), graph.input(node)
    assert weights.data is not None
    channels = weights.shape[3]
    taps = weights.shape[1] * weights.shape[2]
    if node.attrs.multiplier != 1 or channels % 4 or weights.zero_point or taps < 2:
        return None
    by_channel = weights.data.reshape(taps, channels).T
    packed = pack(by_channel, requantization(graph, node, channels), x.zero_point)
    if packed is None:
        return None
    own = {name: plain.fields[name] for name in DEPTHWISE_CONV2D.fields if name in plain.fields}
    own |= {"weights": Constant(packed), "taps": Scratch(4 * taps + channels, alignment=4)}
    words = DEPTHWISE_CONV2D_RELU if taps == 9 and has_relu(own) else DEPTHWISE_CONV2D
    return words.lowered(PIXEL, **own)


def pack(weights: NDArray[np.int8], rule: Requantization, x_zero: int) -> NDArray[np.int32] | None:
    """Blocks of four channels, from [channels, taps]; None if a number doesn't fit.

    Biases, words, doubled multipliers modulo 2**32, and the shifts less one, a byte each.
    """
    weights, rule = without_constants(rule, weights, x_zero)
    shift = right_shifts(rule, weights, x_zero)
    if shift is None:
        return None
    quads, taps = len(weights) // 4, weights.shape[1]
    bytes_ = weights.reshape(quads, 2, 2, taps)  # quad, half, channel, tap
    whole = taps // 2 * 2
    pairs = bytes_[..., :whole].reshape(quads, 2, 2, taps // 2, 2)
    words = pairs.transpose(0, 3, 1, 4, 2).reshape(quads, 4 * whole)
    odd = weights.reshape(quads, 4, taps)[:, :, whole:].reshape(quads, -1)
    products = np.ascontiguousarray(np.concatenate([words, odd], axis=1)).view(np.int32)
    numbers = (
        wrapped(folded_bias(rule, weights, x_zero)).reshape(quads, 4),
        products,
        wrapped(2 * rule.multiplier.astype(np.int64)).reshape(quads, 4),
        shift.astype(np.int8).view(np.int32).reshape(quads, 1),
    )
    return np.concatenate(numbers, axis=1)
