"""Compute at compile time what depends on constants alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..graph import Graph, Node

Evaluate = Callable[[Graph, Node, Sequence[np.ndarray | None]], list[np.ndarray]]


def fold_constants(graph: Graph, evaluate: Evaluate) -> Graph:
    """Replace nodes with constant operands by their value, as `evaluate` computes it.

    A constant that is a graph output stays a node, since outputs live in the arena.
    """
    tensors = dict(graph.tensors)
    kept = []
    for node in graph.nodes:
        operands = [None if t is None else tensors[t] for t in node.inputs]
        present = [tensor for tensor in operands if tensor is not None]
        foldable = present and all(tensor.constant for tensor in present)
        if not foldable or set(node.outputs) & set(graph.outputs):
            kept.append(node)
            continue
        values = evaluate(graph, node, [None if t is None else t.data for t in operands])
        for index, value in zip(node.outputs, values, strict=True):
            tensors[index] = replace(tensors[index], data=value)
        graph = replace(graph, tensors=tensors)
    return graph.with_nodes(kept, tensors)
