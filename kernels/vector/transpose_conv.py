"""Lowering of transposed convolutions to `transpose_conv_vector_*`: a matrix product a phase.

Output pixels of one phase, which are a stride apart, see the same taps: they are the convolution of
the input by those, with a stride of 1. A sum takes its products in the raster order of the input.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.graph import Graph, Node
from ...runtime.lowering import Address, Constant, Field, Lowered, Scratch
from . import packing

# in_row: bytes of an input row; `pitch` of one in the buffer, with `before` of padding left of it;
# pixel, y_pixel: from pixel to pixel of the input, and of an output phase; y_row: of an output row.
# phases: int32 [phase_count][12], as `PHASE` has them.
WORDS = (
    "batches height filters in_height in_row pitch before pixel y_pixel y_row fill stride_height "
    "phase_count phases segments weights parameters least greatest buffer x y"
)
# row, y: the first output row, and bytes to the first pixel in it; `width` pixels; first, lines:
# the input rows that its windows begin with, and how many they have; x: bytes to the first window
# in a row of the buffer; begin, count: its int32 offsets among `segments`, `steps` steps each;
# weights, parameters: bytes to its own; plain: as everywhere.
PHASE = "row y width first lines x begin count steps weights parameters plain"
LAYOUT_OF = packing.typed_layouts("transpose_conv_vector", WORDS)
LAYOUTS = tuple(LAYOUT_OF.values())


def lower(graph: Graph, node: Node) -> Lowered | None:
    """None where the plain kernel must do it: sums of more than 32 bits, floats that aren't finite,
    outputs between the windows."""
    x, y, weights = graph.input(node), graph.output(node), packing.weights_of(graph, node)
    size, stride, pad = x.itemsize, node.attrs.stride, node.attrs.padding
    if weights is None or any(s > k for s, k in zip(stride, weights.shape[1:3], strict=True)):
        return None
    down = [_taps(weights.shape[1], stride[0], n + pad.top) for n in range(stride[0])]
    across = [_taps(weights.shape[2], stride[1], n + pad.left) for n in range(stride[1])]
    before = max(0, *(-first for first, _ in across))
    ends = [
        first + len(taps) - 1 + _count(y.shape[2], n, stride[1])
        for n, (first, taps) in enumerate(across)
    ]
    pixel = x.shape[3] * size
    pitch = (before + max(x.shape[2], *ends)) * pixel
    made: list[dict[str, Any]] = []
    for (n, (top, rows)), (m, (left, columns)) in product(enumerate(down), enumerate(across)):
        own = weights[:, rows][:, :, columns]
        phase = _phase(graph, node, own, pitch)
        if phase is None:
            return None
        made.append(
            phase
            | {
                "row": n,
                "y": m * y.shape[3] * size,
                "width": _count(y.shape[2], m, stride[1]),
                "first": top,
                "lines": len(rows),
                "x": (before + left) * pixel,
            }
        )
    return LAYOUT_OF[x.dtype].lowered(
        batches=x.shape[0],
        height=y.shape[1],
        filters=y.shape[3],
        in_height=x.shape[1],
        in_row=x.shape[2] * pixel,
        pitch=pitch,
        before=before * pixel,
        pixel=pixel,
        y_pixel=stride[1] * y.shape[3] * size,
        y_row=y.shape[2] * y.shape[3] * size,
        fill=x.zero_point if x.dtype == "int8" else 0,
        stride_height=stride[0],
        phase_count=len(made),
        **_gathered(made),
        buffer=Scratch(max(1, *(len(rows) for _, rows in down)) * pitch + packing.SLACK),
        x=Address(x.index),
        y=Address(y.index),
    )


def _count(size: int, first: int, stride: int) -> int:
    """How many of `size` outputs are of the phase that begins at `first`."""
    return -(-max(size - first, 0) // stride)


def _taps(kernel: int, stride: int, position: int) -> tuple[int, list[int]]:
    """The taps that reach the output at a padded `position`, those of the first input first; and
    which input that is."""
    taps = list(range(position % stride, kernel, stride))[::-1]
    return position // stride - len(taps) + 1, taps


def _phase(graph: Graph, node: Node, weights: NDArray[Any], pitch: int) -> dict[str, Any] | None:
    dtype = graph.input(node).dtype
    output = packing.output_fields(graph, node, weights)
    if output is None:
        return None
    filters, lines = weights.shape[:2]
    parts = [part.reshape(filters, lines, -1) for part in packing.parts_of(weights, dtype)]
    by_segment, offsets = np.concatenate(parts, axis=1), np.tile(np.arange(lines), len(parts))
    offsets = offsets * pitch
    if dtype == "int16" and output["plain"] == packing.CARRIED:
        by_segment, offsets = packing.cut(by_segment, offsets)
    steps = packing.steps_of(by_segment.shape[2], by_segment.itemsize)
    packed = packing.packed_weights(by_segment)
    return output | {"offsets": offsets, "packed": packed, "steps": steps}


def _gathered(phases: list[dict[str, Any]]) -> dict[str, Field]:
    """The fields `phases`, what is one after the other of each, and what all have in common."""
    table = []
    begin = weights = parameters = 0
    for phase in phases:
        table.append(
            [
                *(phase[name] for name in PHASE.split()[:6]),
                *(begin, len(phase["offsets"]), phase["steps"], weights, parameters),
                phase["plain"],
            ]
        )
        begin += len(phase["offsets"])
        weights += phase["packed"].array.nbytes
        parameters += phase["parameters"].array.nbytes
    flat = [
        np.concatenate([phase[name].array.reshape(-1) for phase in phases])
        for name in ("packed", "parameters")
    ]
    return {
        "phases": Constant(np.array(table, np.int32)),
        "segments": Constant(np.concatenate([p["offsets"] for p in phases]).astype(np.int32)),
        "weights": Constant(flat[0], alignment=64),
        "parameters": Constant(flat[1], alignment=64),
        "least": phases[0]["least"],
        "greatest": phases[0]["greatest"],
    }
