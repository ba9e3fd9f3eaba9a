"""Part the padding of a space-to-batch from its movement."""

from __future__ import annotations

from dataclasses import replace

from ..attributes import Pad
from ..graph import Graph, Node, Tensor


def pad_blocks(graph: Graph) -> Graph:
    """A rearrangement that fills edges becomes a PAD, and one that only moves.

    The blocks of padded images come from places that are sums over the axes, so that a kernel can
    walk them (`kernels/rearrange.py`).
    """
    nodes: list[Node] = []
    tensors: dict[int, Tensor] = {}
    free = graph.next_index()
    for node in graph.nodes:
        edges = _edges(node)
        if any(edges):
            x = graph.input(node)
            missing = (0,) * (len(x.shape) - 1 - len(edges) // 2)
            before, after = (0, *edges[::2], *missing), (0, *edges[1::2], *missing)
            shape = tuple(b + n + a for b, n, a in zip(before, x.shape, after, strict=True))
            tensors[free] = Tensor(free, f"{x.name} padded", shape, x.dtype, x.quantization)
            nodes.append(
                Node("pad", (x.index,), (free,), Pad(before, after), node.name, node.origin)
            )
            blocks = node.attrs.numbers[: len(edges) // 2]
            moves = replace(node.attrs, numbers=(*blocks, *(0 for _ in edges)))
            node = replace(node, inputs=(free,), attrs=moves)
            free += 1
        nodes.append(node)
    return graph.with_nodes(nodes, tensors) if tensors else graph


def _edges(node: Node) -> tuple[int, ...]:
    """Rows before and after along each blocked axis."""
    if node.op != "rearrange" or node.attrs.kind != "space_to_batch":
        return ()
    numbers = node.attrs.numbers
    return tuple(numbers[len(numbers) // 3 :])
