"""Lowering of int8 depthwise convolutions to `depthwise_conv2d_vector_s8`.

A block is 16 neighbouring bytes of a window buffer, four taps a step. With stride 1 a row of few
channels is taken as a row of 16, several pixels side by side. A single input channel with many
multiples is an ordinary convolution.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...runtime.graph import Graph, Node
from ...runtime.lowering import PIXEL, Constant, Field, Lowered, Scratch
from ...runtime.ops import Pair, effective
from ..convolution import Requantization, requantization
from ..operation import layout
from . import conv2d, packing
from .window import BUFFER_BYTES, WINDOW, run_of, window_fields

# band: in an image one pixel wide, how many rows are taken as pixels of one row, and kernel_height
# counts the rows under dilation too; else 0. taps: int32 offsets in the buffer of a run's first
# pixel's taps, four for each step. `together` pixels of `channels` are taken as one.
S8 = layout(
    "depthwise_conv2d_vector_s8",
    f"{WINDOW} band channels together taps steps weights parameters least greatest",
)
LAYOUTS = (S8,)
LEAST_BAND = 4  # rows, whatever they take


def lower(graph: Graph, node: Node) -> Lowered | None:
    """None where the plain kernel must do it: several multiples, other types, wide sums."""
    weights = packing.centred_weights(graph, node)
    if weights is not None and weights.shape[3] == node.attrs.multiplier > 1:
        return conv2d.lower_weights(graph, node, weights.transpose(3, 1, 2, 0))
    if weights is None or node.attrs.multiplier != 1:
        return None
    by_channel = np.ascontiguousarray(weights[0].transpose(2, 0, 1))
    rule = requantization(graph, node, len(by_channel))
    together = _pixels_together(graph, node)
    by_channel, rule = _repeated(by_channel, rule, together)
    parameters = packing.parameters(rule, by_channel, graph.input(node).zero_point)
    if parameters is None:
        return None
    kernel = (weights.shape[1], weights.shape[2])
    parts = [part.reshape(len(part), -1) for part in packing.int8_parts(by_channel)]
    band = _band(graph, node, kernel)
    offsets = np.tile(_taps(graph, node, kernel, band), len(parts))
    return S8.lowered(
        PIXEL,
        **window_fields(graph, node, kernel) | _tall_fields(graph, node, kernel, band),
        band=band,
        channels=weights.shape[3],
        together=together,
        taps=Constant(_in_steps(offsets)),
        steps=packing.steps_of(len(offsets)),
        weights=packing.packed_weights(np.concatenate(parts, axis=1)[:, None]),
        parameters=parameters,
        least=rule.least,
        greatest=rule.greatest,
    )


def _pixels_together(graph: Graph, node: Node) -> int:
    """How many neighbouring pixels make up one of 16 channels."""
    channels = graph.input(node).shape[3]
    fits = packing.LANES % channels == 0 and node.attrs.stride[1] == 1
    return packing.LANES // channels if fits else 1


def _repeated(
    weights: NDArray[np.int64], rule: Requantization, times: int
) -> tuple[NDArray[np.int64], Requantization]:
    """Weights and requantization of `times` pixels side by side."""
    shift = np.tile(rule.shift, times)
    multiplier, bias = np.tile(rule.multiplier, times), np.tile(rule.bias, times).astype(np.int32)
    return (
        np.tile(weights, (times, 1, 1)),
        replace(rule, bias=bias, multiplier=multiplier, shift=shift),
    )


def _band(graph: Graph, node: Node, kernel: Pair) -> int:
    """Rows taken together where image and kernel are one pixel wide; else 0."""
    x, y, attrs = graph.input(node), graph.output(node), node.attrs
    if (x.shape[2], y.shape[2], kernel[1]) != (1, 1, 1) or x.shape[3] < packing.LANES:
        return 0
    lines = BUFFER_BYTES // x.shape[3] - effective(kernel, attrs.dilation)[0]
    return min(max(lines // attrs.stride[0] + 1, LEAST_BAND), y.shape[1])


def _tall_fields(graph: Graph, node: Node, kernel: Pair, band: int) -> dict[str, Field]:
    """What a band of rows changes in the fields of a window."""
    if band == 0:
        return {}
    channels, down = graph.input(node).shape[3], node.attrs.stride[0]
    lines = effective(kernel, node.attrs.dilation)[0]
    size = (lines + (band - 1) * down) * channels
    return {
        "kernel_height": lines,
        "pixel": down * channels,
        "buffer": Scratch(size + packing.SLACK),
    }


def _taps(graph: Graph, node: Node, kernel: Pair, band: int) -> NDArray[np.int64]:
    """Where each tap of a run's first pixel lies in the buffer."""
    channels, dilation = graph.input(node).shape[3], node.attrs.dilation
    pitch = dilation[0] * channels if band else run_of(graph, node, kernel).pitch
    across = np.arange(kernel[1]) * dilation[1] * channels
    offsets: NDArray[np.int64] = np.arange(kernel[0])[:, None] * pitch + across
    return offsets.reshape(-1)


def _in_steps(offsets: NDArray[np.int64]) -> NDArray[np.int32]:
    """As many as fill whole steps; those added have weights of 0."""
    room = np.zeros(packing.steps_of(len(offsets)) * packing.TAPS, np.int32)
    room[: len(offsets)] = offsets
    return room
