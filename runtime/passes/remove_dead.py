"""Remove nodes that no output needs."""

from __future__ import annotations

from ..graph import Graph


def remove_dead(graph: Graph) -> Graph:
    """Keep the nodes that an output, or the state of a later inference, depends on."""
    needed = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        writes_state = any(graph.tensors[t].variable for t in node.operands)
        if writes_state or needed.intersection(node.outputs):
            needed.update(node.operands)
            kept.append(node)
    return graph.with_nodes(kept[::-1])
