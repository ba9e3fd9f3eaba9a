"""Lay the time steps of an LSTM out as the rows of an image, so that it runs row by row."""

from __future__ import annotations

from dataclasses import replace

from ..attributes import Reshape, Shape
from ..graph import Graph, Node, Tensor


def time_as_rows(graph: Graph) -> Graph:
    """lstm of [batch, time, depth] or [time, batch, depth] -> reshape, lstm, reshape.

    Time is the second of four axes then. A batch is the first, or the third where time was major.
    """
    tensors: dict[int, Tensor] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op != "lstm" or len(graph.input(node).shape) != 3:
            nodes.append(node)
            continue
        index, x, y = graph.next_index() + len(tensors), graph.input(node), graph.output(node)
        major = node.attrs.time_major
        for i, tensor in ((index, x), (index + 1, y)):
            tensors[i] = replace(tensor, index=i, shape=_image(tensor.shape, major), data=None)
        attrs = replace(node.attrs, time_major=False)
        nodes += [
            Node("reshape", (x.index,), (index,), Reshape(tensors[index].shape)),
            replace(node, attrs=attrs, inputs=(index, *node.inputs[1:]), outputs=(index + 1,)),
            Node("reshape", (index + 1,), (y.index,), Reshape(y.shape)),
        ]
    return graph.with_nodes(nodes, tensors)


def _image(shape: Shape, time_major: bool) -> Shape:
    first, second, depth = shape
    return (1, first, second, depth) if time_major else (first, second, 1, depth)
