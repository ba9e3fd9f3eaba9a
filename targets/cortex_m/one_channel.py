"""A depthwise convolution of one channel is a convolution: each output channel is a filter."""

from __future__ import annotations

from dataclasses import fields, replace

from ...runtime.attributes import Conv2D
from ...runtime.graph import Graph, Node


def as_convolution(graph: Graph, node: Node) -> tuple[Graph, Node] | None:
    """The same graph with a `conv2d` for this int8 node, and that; None for any other node.

    The kernels for convolutions take several filters of one window at a time, those for depthwise
    convolutions have a window for each channel.
    """
    if node.op != "depthwise_conv2d" or node.attrs.multiplier == 1:
        return None
    x, weights = graph.input(node), graph.input(node, 1)
    if x.dtype != "int8" or x.shape[3] != 1 or weights.data is None:
        return None
    data = weights.data.transpose(3, 1, 2, 0)
    quantization = weights.quantization
    if quantization is not None and quantization.per_axis:
        quantization = replace(quantization, axis=0)
    filters = replace(weights, shape=data.shape, data=data, quantization=quantization)
    attrs = Conv2D(**{field.name: getattr(node.attrs, field.name) for field in fields(Conv2D)})
    convolution = replace(node, op="conv2d", attrs=attrs)
    nodes = [convolution if other is node else other for other in graph.nodes]
    return graph.with_nodes(nodes, {weights.index: filters}), convolution
