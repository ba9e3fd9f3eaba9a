"""The words by which a vector kernel copies the windows of a band of output rows.

A kernel of sliding windows first copies the input rows that it needs, padding included, into a
buffer in the arena, as q + 128. The taps of an output pixel are then at fixed distances, and an
output row is written only when all that it needs is in the buffer: what `PIXEL` granularity allows
is kept whatever the order within a row.
"""

from __future__ import annotations

from ...runtime.graph import Graph, Node
from ...runtime.lowering import Cursor, Field, Rows, Scratch
from ...runtime.ops import Pair, image_size
from ..conv2d import window_cursor
from .packing import SLACK, flipped

# left, body and right are the bytes of padding, input and padding of a row in the buffer.
WINDOW = (
    "rows width kernel_height stride_height dilation_height left body right fill pixel buffer y x"
)


def window_fields(graph: Graph, node: Node, kernel: Pair, band: int = 1) -> dict[str, Field]:
    """The fields of `WINDOW`; the buffer holds `band` times the rows of one window."""
    x, attrs = graph.input(node), node.attrs
    channels, width = x.shape[3], image_size(graph.output(node).shape)[1]
    left, body, right = _row(node, kernel, width, x.shape[2])
    return {
        "rows": Rows(),
        "width": width,
        "kernel_height": kernel[0],
        "stride_height": attrs.stride[0],
        "dilation_height": attrs.dilation[0],
        "left": left * channels,
        "body": body * channels,
        "right": right * channels,
        "fill": flipped(x.zero_point),
        "pixel": attrs.stride[1] * channels,
        "buffer": Scratch(band * kernel[0] * (left + body + right) * channels + SLACK),
        "y": Cursor(node.outputs[0]),
        "x": window_cursor(graph, node, kernel),
    }


def row_bytes(graph: Graph, node: Node, kernel: Pair) -> int:
    """Bytes of one row in the buffer."""
    x, width = graph.input(node), image_size(graph.output(node).shape)[1]
    return sum(_row(node, kernel, width, x.shape[2])) * x.shape[3]


def _row(node: Node, kernel: Pair, width: int, in_width: int) -> tuple[int, int, int]:
    """Pixels of padding, input and padding that a row of windows spans."""
    attrs = node.attrs
    span = (width - 1) * attrs.stride[1] + (kernel[1] - 1) * attrs.dilation[1] + 1
    left = min(attrs.padding.left, span)
    body = min(in_width, span - left)
    return left, body, span - left - body
