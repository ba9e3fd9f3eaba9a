"""Lowering of int8 depthwise convolutions to `depthwise_conv2d_vector_s8`.

A block is 16 neighbouring bytes of a window buffer, four taps a step. With stride 1 a row of few
channels is taken as a row of 16, several pixels side by side. A single input channel with many
multiples is an ordinary convolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...runtime.attributes import Pair
from ...runtime.graph import Graph, Node
from ...runtime.lowering import PIXEL, Constant, Field, Lowered, Scratch
from ...runtime.shapes import effective
from ..convolution import Requantization, requantization
from ..operation import layout
from . import conv2d, packing
from .window import AMPLE, WINDOW, Room, run_of, window_fields

# band: in an image one pixel wide, how many rows are taken as pixels of one row, and kernel_height
# counts the rows under dilation too; else 0. taps: int32 offsets in the buffer of a run's first
# pixel's taps, four for each step. `together` pixels of `channels` are taken as one. With `pairs` a
# step's taps are those of two neighbouring pixels, and it has weights for each of them.
S8 = layout(
    "depthwise_conv2d_vector_s8",
    f"{WINDOW} band channels together pairs taps steps weights parameters least greatest plain",
)
LAYOUTS = (S8,)
NONE = -1  # instead of a tap's number


def lower(graph: Graph, node: Node, room: Room = AMPLE) -> Lowered | None:
    """None where the plain kernel must do it: several multiples, other types, wide sums."""
    weights = packing.centred_weights(graph, node)
    if weights is not None and weights.shape[3] == node.attrs.multiplier > 1:
        return conv2d.lower_weights(graph, node, weights.transpose(3, 1, 2, 0), room)
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
    band = _band(graph, node, kernel, room)
    steps = _steps(graph, node, kernel, room, band)
    offsets = np.tile(steps.offsets, len(parts)).astype(np.int32)
    in_steps = np.concatenate([steps.weights_of(part) for part in parts], axis=1)
    fields = window_fields(graph, node, kernel, room) | _tall_fields(graph, node, kernel, band)
    return S8.lowered(
        PIXEL,
        **fields | _with_room(graph, node, fields),
        band=band,
        channels=weights.shape[3],
        together=together,
        pairs=len(steps.taps) - 1,
        taps=Constant(offsets),
        steps=len(offsets) // packing.TAPS,
        weights=packing.packed_weights(in_steps[:, None]),
        parameters=parameters,
        least=rule.least,
        greatest=rule.greatest,
        plain=packing.is_plain(rule, parameters),
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


def _band(graph: Graph, node: Node, kernel: Pair, room: Room) -> int:
    """Rows taken together where image and kernel are one pixel wide; else 0."""
    x, y, attrs = graph.input(node), graph.output(node), node.attrs
    if (x.shape[2], y.shape[2], kernel[1]) != (1, 1, 1) or x.shape[3] < packing.LANES:
        return 0
    lines = room.bytes // x.shape[3] - effective(kernel, attrs.dilation)[0]
    return min(max(lines // attrs.stride[0] + 1, room.rows), y.shape[1])


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


@dataclass(frozen=True)
class Steps:
    """What steps read, and which weight meets it; four bytes for a step."""

    offsets: list[int]  # in the buffer, from those of the first pixel on
    taps: tuple[list[int], ...]  # for each pixel the kernel's taps by number; NONE weighs 0

    def weights_of(self, weights: NDArray[np.int8]) -> NDArray[np.int8]:
        """[channels, taps] in the order of steps, for each step those of all its pixels."""
        room = np.concatenate([weights, np.zeros((len(weights), 1), np.int8)], axis=1)
        by_pixel = np.array(self.taps).reshape(len(self.taps), -1, packing.TAPS)
        return room[:, by_pixel.transpose(1, 0, 2).reshape(-1)]

    def __add__(self, more: Steps) -> Steps:
        taps = (a + b for a, b in zip(self.taps, more.taps, strict=True))
        return Steps(self.offsets + more.offsets, tuple(taps))


def _filled(offsets: list[int], *taps: list[int]) -> Steps:
    """Whole steps; what is added reads the last byte again."""
    added = -len(offsets) % packing.TAPS
    return Steps(offsets + offsets[-1:] * added, tuple(each + [NONE] * added for each in taps))


def _steps(graph: Graph, node: Node, kernel: Pair, room: Room, band: int) -> Steps:
    """Those of one pixel, or where that takes fewer those of two neighbours, that share taps."""
    offsets = _tap_offsets(graph, node, kernel, room, band)
    along = 0 if band else 1  # the axis of pixels that are taken together
    numbers = np.arange(offsets.size).reshape(kernel)
    single = _filled(offsets.reshape(-1).tolist(), numbers.reshape(-1).tolist())
    channels = graph.input(node).shape[3]
    beside = node.attrs.stride[along] == node.attrs.dilation[along] == 1
    if not beside or _pixels_together(graph, node) > 1:
        return single
    shared = None
    for line, taps in zip(offsets.T if band else offsets, numbers.T if band else numbers):
        own = taps.tolist()
        reads = [*line.tolist(), int(line[-1]) + channels]
        part = _filled(reads, [*own, NONE], [NONE, *own])
        shared = part if shared is None else shared + part
    assert shared is not None
    return shared if len(shared.offsets) < 2 * len(single.offsets) else single


def _tap_offsets(
    graph: Graph, node: Node, kernel: Pair, room: Room, band: int
) -> NDArray[np.int64]:
    """[kernel height, width]: where each tap of a run's first pixel lies in the buffer."""
    channels, dilation = graph.input(node).shape[3], node.attrs.dilation
    pitch = dilation[0] * channels if band else run_of(graph, node, kernel, room).pitch
    across = np.arange(kernel[1]) * dilation[1] * channels
    offsets: NDArray[np.int64] = np.arange(kernel[0])[:, None] * pitch + across
    return offsets


def _with_room(graph: Graph, node: Node, fields: Mapping[str, Field]) -> dict[str, Field]:
    """The window buffer with a pixel more: the last of an odd row is read as one of a pair."""
    buffer = fields["buffer"]
    assert isinstance(buffer, Scratch)
    return {"buffer": replace(buffer, size=buffer.size + graph.input(node).shape[3])}
