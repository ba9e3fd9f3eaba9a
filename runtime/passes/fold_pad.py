"""Fold a PAD into the window operator after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..attributes import Padding
from ..graph import DTYPES, Graph, Node


def fold_pad(graph: Graph) -> Graph:
    """PAD -> conv2d, depthwise_conv2d or max_pool2d becomes the window's own padding.

    A convolution pads with the zero point, so a PAD with the zero point folds exactly. Max pooling
    ignores its padding, so a PAD folds where its value is the least of the type. Average pooling
    does not count its padding, so a PAD before it never folds.
    """
    folded: dict[int, Node] = {}
    nodes = []
    for node in graph.nodes:
        pad = _producer(graph, node)
        if pad is not None and _foldable(graph, pad, node):
            grown = replace(node.attrs, padding=_sum(node.attrs.padding, pad))
            node = replace(node, attrs=grown, inputs=(pad.inputs[0], *node.inputs[1:]))
            folded[pad.outputs[0]] = pad
        nodes.append(node)
    return graph.with_nodes([n for n in nodes if n.outputs[0] not in folded])


def _producer(graph: Graph, node: Node) -> Node | None:
    if node.op not in ("conv2d", "depthwise_conv2d", "max_pool2d"):
        return None
    source = graph.producers.get(node.inputs[0])  # type: ignore[arg-type]
    if source is None or graph.nodes[source].op != "pad":
        return None
    return graph.nodes[source]


def _foldable(graph: Graph, pad: Node, node: Node) -> bool:
    attrs, middle = pad.attrs, graph.output(pad)
    alone = graph.consumers[middle.index] == (graph.producers[node.outputs[0]],)
    spatial = len(attrs.before) == 4 and not any(
        attrs.before[axis] or attrs.after[axis] for axis in (0, 3)
    )
    if not alone or not spatial or middle.index in graph.outputs:
        return False
    zero = middle.quantization.zero_point if middle.quantization else 0
    value = zero if attrs.value is None else attrs.value
    if node.op == "max_pool2d":
        dtype = DTYPES[middle.dtype]
        return dtype.kind == "i" and value == np.iinfo(dtype).min
    return bool(value == zero)


def _sum(padding: Padding, pad: Node) -> Padding:
    before, after = pad.attrs.before, pad.attrs.after
    return Padding(
        padding.top + before[1],
        padding.bottom + after[1],
        padding.left + before[2],
        padding.right + after[2],
    )
