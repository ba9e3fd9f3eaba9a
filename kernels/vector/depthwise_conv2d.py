"""Lowering of depthwise convolutions to `depthwise_conv2d_vector_*`.

A block is 16 neighbouring values of a window buffer; a step takes four taps of int8, one of int16
or float32. With stride 1 a row of few channels is taken as a row of 16, several pixels side by
side. A single input channel with many multiples is an ordinary convolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.attributes import Pair
from ...runtime.graph import Graph, Node
from ...runtime.lowering import PIXEL, Constant, Field, Lowered, Scratch
from ...runtime.shapes import effective
from . import conv2d, packing
from .window import AMPLE, WINDOW, Room, run_of, window_fields

# band: in an image one pixel wide, how many rows are taken as pixels of one row, and kernel_height
# counts the rows under dilation too; else 0. taps: int32 offsets in the buffer of a run's first
# pixel's taps, four for each step. `together` pixels of `channels` are taken as one. With `pairs` a
# step's taps are those of two neighbouring pixels, and it has weights for each of them.
WORDS = f"{WINDOW} band channels together pairs taps steps weights {packing.OUTPUT}"
LAYOUT_OF = packing.typed_layouts("depthwise_conv2d_vector", WORDS)
LAYOUTS = tuple(LAYOUT_OF.values())
NONE = -1  # instead of a tap's number


def lower(graph: Graph, node: Node, room: Room = AMPLE) -> Lowered | None:
    """None where the plain kernel must do it: several multiples, wide sums."""
    weights, dtype = packing.weights_of(graph, node), graph.input(node).dtype
    if weights is not None and weights.shape[3] == node.attrs.multiplier > 1:
        return conv2d.lower_weights(graph, node, weights.transpose(3, 1, 2, 0), room)
    if weights is None or node.attrs.multiplier != 1:
        return None
    by_channel = np.ascontiguousarray(weights[0].transpose(2, 0, 1))
    together = _pixels_together(graph, node)
    output = packing.output_fields(graph, node, by_channel, together)
    if output is None or (dtype == "int16" and output["plain"] == packing.CARRIED):
        return None
    kernel = (weights.shape[1], weights.shape[2])
    band = _band(graph, node, kernel, room)
    in_steps = np.tile(by_channel.reshape(len(by_channel), -1), (together, 1))
    offsets = _tap_offsets(graph, node, kernel, room, band)
    steps = Steps(offsets.reshape(-1).tolist(), (list(range(offsets.size)),))
    if dtype == "int8":
        steps = _steps(graph, node, offsets, band)
    fields = window_fields(graph, node, kernel, room) | _tall_fields(graph, node, kernel, band)
    return LAYOUT_OF[dtype].lowered(
        PIXEL,
        **fields | _with_room(graph, node, fields),
        band=band,
        channels=weights.shape[3],
        together=together,
        **_products(steps, packing.parts_of(in_steps, dtype)),
        **output,
    )


def _products(steps: Steps, parts: list[NDArray[Any]]) -> dict[str, Field]:
    """What is multiplied; `parts` of the weights are [channels, taps]."""
    offsets = np.tile(steps.offsets, len(parts)).astype(np.int32)
    if parts[0].dtype == np.int8:
        in_steps = np.concatenate([steps.weights_of(part) for part in parts], axis=1)
        weights, count = packing.packed_weights(in_steps[:, None]), len(offsets) // packing.TAPS
    else:
        weights, count = packing.packed_taps(parts[0]), len(offsets)
    return {
        "pairs": len(steps.taps) - 1,
        "taps": Constant(offsets),
        "steps": count,
        "weights": weights,
    }


def _pixels_together(graph: Graph, node: Node) -> int:
    """How many neighbouring pixels make up one of 16 channels."""
    channels = graph.input(node).shape[3]
    fits = packing.LANES % channels == 0 and node.attrs.stride[1] == 1
    return packing.LANES // channels if fits else 1


def _band(graph: Graph, node: Node, kernel: Pair, room: Room) -> int:
    """Rows taken together where image and kernel are one pixel wide; else 0."""
    x, y, attrs = graph.input(node), graph.output(node), node.attrs
    if (x.shape[2], y.shape[2], kernel[1]) != (1, 1, 1) or x.shape[3] < packing.LANES:
        return 0
    lines = room.bytes // (x.shape[3] * x.itemsize) - effective(kernel, attrs.dilation)[0]
    return min(max(lines // attrs.stride[0] + 1, room.rows), y.shape[1])


def _tall_fields(graph: Graph, node: Node, kernel: Pair, band: int) -> dict[str, Field]:
    """What a band of rows changes in the fields of a window."""
    if band == 0:
        return {}
    line, down = _pixel_bytes(graph, node), node.attrs.stride[0]
    lines = effective(kernel, node.attrs.dilation)[0]
    size = (lines + (band - 1) * down) * line
    return {
        "kernel_height": lines,
        "pixel": down * line,
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


def _steps(graph: Graph, node: Node, offsets: NDArray[np.int64], band: int) -> Steps:
    """Those of one pixel, or where that takes fewer those of two neighbours, that share taps."""
    along = 0 if band else 1  # the axis of pixels that are taken together
    numbers = np.arange(offsets.size).reshape(offsets.shape)
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
    pixel, dilation = _pixel_bytes(graph, node), node.attrs.dilation
    pitch = dilation[0] * pixel if band else run_of(graph, node, kernel, room).pitch
    across = np.arange(kernel[1]) * dilation[1] * pixel
    offsets: NDArray[np.int64] = np.arange(kernel[0])[:, None] * pitch + across
    return offsets


def _with_room(graph: Graph, node: Node, fields: Mapping[str, Field]) -> dict[str, Field]:
    """The window buffer with a pixel more: the last of an odd row is read as one of a pair."""
    buffer = fields["buffer"]
    assert isinstance(buffer, Scratch)
    return {"buffer": replace(buffer, size=buffer.size + _pixel_bytes(graph, node))}


def _pixel_bytes(graph: Graph, node: Node) -> int:
    """Of the input."""
    x = graph.input(node)
    return x.shape[3] * x.itemsize
