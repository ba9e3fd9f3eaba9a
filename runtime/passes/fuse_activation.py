"""Fuse a RELU into the operator before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..graph import Graph, Node, Tensor

_MOVERS = ("concatenation",)  # their files can name an activation, but the kernels only move bytes
_FREE = ("none", "unbounded")
_NAMES = {(0.0, None): "relu", (0.0, 6.0): "relu6", (-1.0, 1.0): "relu_n1_to_1"}


def fuse_activation(graph: Graph) -> Graph:
    """relu after an operator with a free activation becomes that activation.

    Exact only where both tensors have the same quantization (the relu then merely clamps) or are
    float; elsewhere the relu requantizes, and stays.
    """
    replaced: dict[int, int] = {}  # tensor that vanishes -> the relu's output
    fused_names: dict[int, str] = {}
    dropped = set()
    for i, node in enumerate(graph.nodes):
        source = _fusable(graph, node)
        if source is not None and source not in fused_names:
            fused_names[source] = _NAMES[node.attrs.minimum, node.attrs.maximum]
            replaced[node.inputs[0]] = node.outputs[0]  # type: ignore[index]
            dropped.add(i)
    nodes = []
    for i, node in enumerate(graph.nodes):
        if i in dropped:
            continue
        if i in fused_names:
            attrs = replace(node.attrs, activation=fused_names[i])
            node = replace(node, attrs=attrs, outputs=(replaced[node.outputs[0]],))
        nodes.append(node)
    return graph.with_nodes(nodes)


def _fusable(graph: Graph, node: Node) -> int | None:
    """The node before a relu that can take it over."""
    if node.op != "relu" or (node.attrs.minimum, node.attrs.maximum) not in _NAMES:
        return None
    before, after = graph.input(node), graph.output(node)
    source = graph.producers.get(before.index)
    if source is None or before.index in graph.outputs or len(graph.consumers[before.index]) > 1:
        return None
    if graph.nodes[source].op in _MOVERS:
        return None
    free = getattr(graph.nodes[source].attrs, "activation", None) in _FREE
    return source if free and _same_numbers(before, after) else None


def _same_numbers(a: Tensor, b: Tensor) -> bool:
    if a.dtype != b.dtype:
        return False
    if a.quantization is None or b.quantization is None:
        return a.quantization is b.quantization
    return bool(
        np.array_equal(a.quantization.scales, b.quantization.scales)
        and np.array_equal(a.quantization.zero_points, b.quantization.zero_points)
    )
