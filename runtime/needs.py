"""Region rules: which region of an input a node needs for a region of its output."""

from __future__ import annotations

import numpy as np

from .graph import Graph, Node
from .regions import Need, Span, scaled, whole, window
from .shapes import (
    effective,
    image_size,
    kernel_size,
)


def window_need(graph: Graph, node: Node, position: int) -> Need:
    attrs, pad = node.attrs, node.attrs.padding
    height, width = image_size(graph.input(node, position).shape)
    rows, columns = image_size(graph.output(node).shape)
    extent = effective(kernel_size(graph, node), getattr(attrs, "dilation", (1, 1)))
    return Need(
        window(rows, height, extent[0], attrs.stride[0], pad.top),
        window(columns, width, extent[1], attrs.stride[1], pad.left),
    )


def winograd_need(graph: Graph, node: Node, position: int) -> Need:
    """A tile of 4x4 outputs begins at a multiple of 4: three more on each side than a window."""
    pad = node.attrs.padding
    height, width = image_size(graph.input(node, position).shape)
    rows, columns = image_size(graph.output(node).shape)
    return Need(window(rows, height, 9, 1, pad.top + 3), window(columns, width, 9, 1, pad.left + 3))


def pointwise_need(graph: Graph, node: Node, position: int) -> Need:
    height, width = image_size(graph.input(node, position).shape)
    rows, columns = image_size(graph.output(node).shape)
    return Need(
        window(rows, height) if height == rows else whole(rows, height),
        window(columns, width) if width == columns else whole(columns, width),
    )


def pad_need(graph: Graph, node: Node, position: int) -> Need:
    height, width = image_size(graph.input(node).shape)
    rows, columns = image_size(graph.output(node).shape)
    top, left = node.attrs.before[1:3] if len(node.attrs.before) == 4 else (0, 0)
    return Need(window(rows, height, before=top), window(columns, width, before=left))


def strided_slice_need(graph: Graph, node: Node, position: int) -> Need:
    attrs, shape = node.attrs, graph.input(node).shape
    rows, columns = image_size(graph.output(node).shape)
    if len(shape) != 4 or attrs.dropped:
        return Need(whole(rows, image_size(shape)[0]), whole(columns, image_size(shape)[1]))

    def axis(number: int) -> Span:
        taken = attrs.begin[number] + np.arange(attrs.sizes[number]) * attrs.strides[number]
        return scaled(shape[number], taken, taken)

    return Need(axis(1), axis(2))


def resize_need(graph: Graph, node: Node, position: int) -> Need:
    size, outputs = image_size(graph.input(node).shape), node.attrs.size

    def axis(count: int, inputs: int) -> tuple[np.ndarray, np.ndarray]:
        scale = (
            (inputs - 1) / (count - 1)
            if node.attrs.align_corners and count > 1
            else (inputs / count)
        )
        centre = np.arange(count) * scale
        if node.attrs.half_pixel_centers:
            centre += 0.5 * scale - 0.5
        low = np.clip(np.floor(centre - 0.5), 0, inputs - 1)
        return low, np.clip(np.ceil(centre + 1.0), 0, inputs - 1)

    return Need(
        scaled(size[0], *axis(outputs[0], size[0])),
        scaled(size[1], *axis(outputs[1], size[1])),
    )


def lstm_need(graph: Graph, node: Node, position: int) -> Need:
    """A time step needs its own row; earlier ones are in the states."""
    height, width = image_size(graph.input(node, position).shape)
    return Need(window(height, height), whole(width, width))
