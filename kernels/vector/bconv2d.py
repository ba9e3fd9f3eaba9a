"""Lowering of layers of bits to vector kernels: 16 filters to a block, one word of each a step.

The rows that an output row needs are copied into a buffer first, padding included, so that the taps
of an output pixel are at fixed distances. Weights stand as [blocks][weight planes][steps][16].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.attributes import BConv2D
from ...runtime.graph import BINARY, WORD_BITS, Graph, Node
from ...runtime.lowering import PIXEL, Constant, Cursor, Field, Lowered, Rows, Scratch, image_rows
from ...runtime.shapes import words_of
from .. import bconv2d as bits
from ..bit_operands import convolution, group_count
from ..conv2d import window_cursor
from ..operation import layout
from .packing import LANES, SLACK, blocks_of

# A row of the output has `width` pixels, `pixel` bytes of input apart. In the buffer are
# kernel_height rows of `span` bytes: `before` of padding, `in_row` of input, padding; `fill` is a
# word of it. segments: int32 offsets in the buffer of the runs of words that a pixel's taps take,
# `steps` words each. pairs: int32 [pair_count][3], bytes to the plane of x, and to that of the
# weights, and what a bit counts in v. y_pixel: bytes. parameters: of each block.
WORDS = (
    "rows width filters kernel_height stride_height dilation_height before in_row span pixel fill "
    "plain segments segment_count steps pairs pair_count weights parameters y_pixel buffer y x"
)
LAYOUT_OF = {
    "float32": layout("bconv2d_vector_f32", f"{WORDS} least greatest"),
    "int8": layout("bconv2d_vector_s8", f"{WORDS} least greatest"),
    BINARY: layout("bconv2d_vector_b1", WORDS),
}
LAYOUTS = tuple(LAYOUT_OF.values())
WORD_BLOCKS = WORD_BITS // LANES  # of a word of binary output


def lower(graph: Graph, node: Node) -> Lowered | None:
    """None where the plain kernel must do it: groups, gates, padding that isn't one word."""
    if graph.operand(node, 5) is not None or group_count(graph, node) > 1:
        return None
    fill = _fill(graph, node)
    if fill is None:
        return None
    weights = bits.weights_by_plane(graph, node)
    filters, planes, taps, words = weights.shape
    by_steps = weights.reshape(filters, planes, taps * words)
    offsets, steps = _segments(graph, node)
    return LAYOUT_OF[graph.output(node).dtype].lowered(
        PIXEL,
        **_geometry(graph, node),
        fill=fill,
        plain=int(convolution(node).plain),
        segments=Constant(offsets),
        segment_count=len(offsets),
        steps=steps,
        pairs=Constant(_pairs(graph, node, taps * words)),
        pair_count=len(bits.pair_table(node)),
        weights=Constant(_packed(by_steps, _blocks(graph, node)), alignment=64),
        **_output(graph, node),
    )


def _fill(graph: Graph, node: Node) -> int | None:
    """The word that padding is made of, or None if there is no such one."""
    mode = bits.padding_mode(node)
    if mode == bits.BITS_ONE and node.attrs.channels % WORD_BITS == 0:
        return -1
    return 0 if mode == bits.BITS_ZERO else None


def _blocks(graph: Graph, node: Node) -> int:
    """Blocks of filters; of a binary output, so many that they make whole words."""
    filters = graph.input(node, 1).shape[0]
    if graph.output(node).dtype == BINARY:
        return words_of(filters) * WORD_BLOCKS
    return blocks_of(filters)


def _packed(weights: NDArray[np.int32], blocks: int) -> NDArray[np.int32]:
    """[filters, planes, steps] to [blocks, planes, steps, 16], zeros added."""
    filters, planes, steps = weights.shape
    room = np.zeros((blocks * LANES, planes, steps), np.int32)
    room[:filters] = weights
    parts = room.reshape(blocks, LANES, planes, steps)
    return np.ascontiguousarray(parts.transpose(0, 2, 3, 1))


def _geometry(graph: Graph, node: Node) -> dict[str, Field]:
    x, attrs, kernel = graph.input(node), convolution(node), _kernel(graph, node)
    image = isinstance(node.attrs, BConv2D)
    pixel = 4 * x.shape[-1]
    y = graph.output(node)
    width, in_width = (image_rows(tensor.shape)[2] // tensor.shape[-1] for tensor in (y, x))
    extent = (kernel[1] - 1) * attrs.dilation[1] + 1
    span = ((width - 1) * attrs.stride[1] + extent) * pixel
    return {
        "rows": Rows(),
        "width": width,
        "filters": graph.input(node, 1).shape[0],
        "kernel_height": kernel[0],
        "stride_height": attrs.stride[0],
        "dilation_height": attrs.dilation[0],
        "before": min(attrs.padding.left * pixel, span),
        "in_row": in_width * pixel,
        "span": span,
        "pixel": attrs.stride[1] * pixel,
        "buffer": Scratch(kernel[0] * span + SLACK),
        "y": Cursor(node.outputs[0]),
        "x": window_cursor(graph, node, kernel) if image else Cursor(x.index),
    }


def _kernel(graph: Graph, node: Node) -> tuple[int, int]:
    shape = graph.input(node, 1).shape
    return (shape[1], shape[2]) if len(shape) == 4 else (1, 1)


def _segments(graph: Graph, node: Node) -> tuple[NDArray[np.int32], int]:
    """Where the runs of words of a plane begin in the buffer, and how many words each has."""
    attrs, (height, taps) = convolution(node), _kernel(graph, node)
    span = _geometry(graph, node)["span"]
    assert isinstance(span, int)
    words = words_of(attrs.channels)
    rows = np.arange(height) * span
    if attrs.dilation[1] == 1 and len(attrs.x_planes) == 1:
        return rows.astype(np.int32), taps * words
    pixel = 4 * graph.input(node).shape[-1]
    across = np.arange(taps) * attrs.dilation[1] * pixel
    return (rows[:, None] + across).reshape(-1).astype(np.int32), words


def _pairs(graph: Graph, node: Node, steps: int) -> NDArray[np.int32]:
    attrs, table = convolution(node), bits.pair_table(node)
    plane = 4 * words_of(attrs.channels)
    factor = -1 if attrs.plain else 2
    return np.stack(
        [table[:, 0] * plane, table[:, 1] * steps * 4 * LANES, table[:, 2] * factor], axis=1
    ).astype(np.int32)


def _output(graph: Graph, node: Node) -> dict[str, Any]:
    """float32 m and b of each block's filters, or int32 thresholds; filters that aren't are +1."""
    y, fields = graph.output(node), bits.output_fields(graph, node)
    names = ("thresholds",) if y.dtype == BINARY else ("multiplier", "bias")
    given = [fields[name].array for name in names]
    blocks = _blocks(graph, node)
    fill = np.iinfo(np.int32).max if y.dtype == BINARY else 0
    room = np.full((len(given), blocks * LANES), fill, given[0].dtype)
    for row, values in zip(room, given, strict=True):
        row[: len(values)] = values
    by_block = np.ascontiguousarray(room.reshape(len(given), blocks, LANES).transpose(1, 0, 2))
    made: dict[str, Any] = {
        "parameters": Constant(by_block, alignment=64),
        "y_pixel": y.shape[-1] * y.itemsize,
    }
    return made | {name: fields[name] for name in ("least", "greatest") if name in fields}
