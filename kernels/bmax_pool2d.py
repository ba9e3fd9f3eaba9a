"""Maximum pooling of bits, Larq's LceBMaxPool2d: the AND of the words that a window covers.

Bit 1 is -1, so the greatest is -1 only where all are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.graph import BINARY, Graph, Node
from ..runtime.lowering import PIXEL, Cursor, Lowered, Rows
from ..runtime.shapes import image_size
from .conv2d import window_cursor
from .operation import Operation, layout
from .pool2d import GEOMETRY, covers_pixels
from .windows import windows

WORDS = layout("bmax_pool2d", GEOMETRY)  # its channels are words


def reference(graph: Graph, node: Node, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """[batch, height, width, words]; taps outside the image are left out."""
    x, attrs = inputs[0], node.attrs
    assert x is not None
    seen = windows(x, attrs.window, attrs.stride, attrs.padding, fill=-1)
    return [np.bitwise_and.reduce(seen, axis=(3, 4))]


def pools_bits(graph: Graph, node: Node) -> bool:
    """Input and output must be binary images, without a fused activation."""
    ends = (graph.input(node), graph.output(node))
    return node.attrs.activation == "none" and all(
        t.dtype == BINARY and len(t.shape) == 4 for t in ends
    )


def lower(graph: Graph, node: Node) -> Lowered:
    """A row kernel."""
    x, attrs = graph.input(node), node.attrs
    return WORDS.lowered(
        PIXEL,
        rows=Rows(),
        width=image_size(graph.output(node).shape)[1],
        channels=x.shape[3],
        in_width=x.shape[2],
        window_height=attrs.window[0],
        window_width=attrs.window[1],
        stride_height=attrs.stride[0],
        stride_width=attrs.stride[1],
        pad_left=attrs.padding.left,
        y=Cursor(node.outputs[0]),
        x=window_cursor(graph, node, attrs.window),
    )


OPERATION = Operation(reference, lower, (WORDS,), (pools_bits, covers_pixels))
