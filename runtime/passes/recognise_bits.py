"""Find the binarized layers of a float model, and make them layers of bits.

Training tools that know no bits write sign -> convolution with weights of +a and -a -> batch norm
-> sign in float32. Sums of signs are whole numbers that float32 holds exactly, so that such a layer
has as many answers as there are sums: what follows it is worked out for each of them, in the
model's own float32 arithmetic, and a sign at the end becomes a threshold on the count of bits. What
isn't exact is left as it is, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..attributes import Binarize, Debinarize
from ..graph import BINARY, Graph, Node, Tensor
from ..shapes import words_of
from .bit_layer import Layer, only_reader, producer


@dataclass(frozen=True)
class Recognition:
    """What became of a layer that looks binarized; `why` says what stood in the way."""

    node: int | None  # in the model file
    operator: str
    name: str
    converted: bool
    why: str = ""


def recognise_bits(graph: Graph) -> Graph:
    """The graph with the layers of bits that are found in it."""
    return recognised(graph)[0]


def recognised(graph: Graph) -> tuple[Graph, list[Recognition]]:
    """The same, and a report of all layers that look binarized."""
    if not any(_looks_binarized(graph, node) for node in graph.nodes):
        return graph, []
    graph = _pools(_signs(graph))
    report = []
    for node in graph.nodes:
        found = Layer.of(graph, node)
        if found is None:
            continue
        why = found.obstacle()
        if not why:
            graph = _without_dead(found.converted())
        report.append(Recognition(node.origin, node.op, node.name, not why, why))
    return graph, report


def _looks_binarized(graph: Graph, node: Node) -> bool:
    return node.op in ("sign", "debinarize")


def _without_dead(graph: Graph) -> Graph:
    """Drop what was only read by nodes that are gone."""
    needed, kept = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs) or any(
            graph.tensors[t].variable for t in node.operands
        ):
            needed.update(node.operands)
            kept.append(node)
    return graph.with_nodes(kept[::-1])


# ---- signs -------------------------------------------------------------------------------------


def _signs(graph: Graph) -> Graph:
    """sign(sign(x) + c) with 0 < c < 1, Larq's `ste_sign`, is -1 or +1: binarize and debinarize."""
    nodes: list[Node] = []
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        source = _two_valued(graph, node)
        if source is None:
            nodes.append(node)
            continue
        x = graph.tensors[source]
        index = max(tensors) + 1
        shape = (*x.shape[:-1], words_of(x.shape[-1]))
        tensors[index] = Tensor(index, f"{x.name}/bits", shape, BINARY)
        zeros = np.zeros((1, x.shape[-1]), np.float32)
        tensors[index + 1] = Tensor(index + 1, "zeros", zeros.shape, "float32", data=zeros)
        inputs = (source, index + 1)
        binarize = Node("binarize", inputs, (index,), Binarize(), node.name, node.origin)
        back = Debinarize(x.shape[-1])
        nodes += [binarize, replace(node, op="debinarize", inputs=(index,), attrs=back)]
    return _without_dead(graph.with_nodes(nodes, tensors))


def _two_valued(graph: Graph, node: Node) -> int | None:
    """x, if the node is the last of sign(sign(x) + c)."""
    if node.op != "sign" or not graph.input(node).shape:
        return None
    middle = producer(graph, node.inputs[0])
    if middle is None or middle.op != "add" or middle.attrs.activation != "none":
        return None
    for own, other in ((0, 1), (1, 0)):
        first, shift = producer(graph, middle.inputs[own]), graph.input(middle, other).data
        small = shift is not None and bool(((shift > 0) & (shift < 1)).all())
        if first is not None and first.op == "sign" and small:
            x = first.operands[0]
            return x if graph.tensors[x].shape == graph.input(node).shape else None
    return None


def _pools(graph: Graph) -> Graph:
    """The sign of the greatest is the greatest sign: pool bits, not numbers."""
    for node in graph.nodes:
        pool = producer(graph, node.inputs[0]) if node.op == "binarize" else None
        if pool is None or pool.op != "max_pool2d" or pool.attrs.activation != "none":
            continue
        if only_reader(graph, pool.outputs[0]) is not node:
            continue
        x, y, index = graph.input(pool), graph.output(node), graph.next_index()
        shape = (*x.shape[:-1], y.shape[-1])
        packed = Tensor(index, f"{x.name}/bits", shape, BINARY)
        first = replace(node, inputs=(x.index, *node.inputs[1:]), outputs=(index,))
        second = replace(pool, op="bmax_pool2d", inputs=(index,), outputs=node.outputs)
        nodes = [first if n is pool else second if n is node else n for n in graph.nodes]
        return _pools(graph.with_nodes(nodes, {index: packed}))
    return graph
