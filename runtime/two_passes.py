"""Squeeze-and-excitation in two passes: what is multiplied is made again instead of kept.

x * f(mean(x)) wants all of x before the first row of the product can be made, and x is the widest
tensor of its block. If the nodes that make x run twice, row by row, first for the mean and then for
the product, no more of it than a row is ever there; what they start from must stay instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .graph import Graph, Node, Tensor
from .ops import macs
from .shapes import image_size

LONGEST_CHAIN = 4  # nodes that are run twice


@dataclass(frozen=True)
class Excitation:
    """A product of a tensor with what is made of it, and nodes in a row that make the tensor."""

    product: int  # number of the node that multiplies
    tensor: int
    chain: tuple[int, ...]

    def extra_macs(self, graph: Graph) -> int:
        return sum(macs(graph, graph.nodes[number]) for number in self.chain)


def excitations(graph: Graph) -> Iterator[Excitation]:
    """Tensors that are multiplied by what is made of them, with every chain that can run twice."""
    for number, node in enumerate(graph.nodes):
        if node.op == "mul":
            for position in (0, 1):
                tensor, factor = node.inputs[position], node.inputs[1 - position]
                if tensor is not None and factor is not None and _excites(graph, tensor, factor):
                    for chain in _chains(graph, number, tensor, _ancestors(graph, factor)):
                        yield Excitation(number, tensor, chain)


def _excites(graph: Graph, tensor: int, factor: int) -> bool:
    """True if one factor an image channel is made of all of the tensor."""
    wide, narrow = (graph.tensors[t].shape for t in (tensor, factor))
    images = len(wide) == len(narrow) == 4 and image_size(wide) != image_size(narrow) == (1, 1)
    return images and graph.producers.get(tensor) in _ancestors(graph, factor)


def _ancestors(graph: Graph, tensor: int) -> set[int]:
    """The nodes that a tensor is made by, directly or not."""
    found: set[int] = set()
    waiting = [tensor]
    while waiting:
        number = graph.producers.get(waiting.pop())
        if number is not None and number not in found:
            found.add(number)
            waiting += graph.nodes[number].operands
    return found


def _chains(
    graph: Graph, product: int, tensor: int, squeeze: set[int]
) -> Iterator[tuple[int, ...]]:
    """Nodes one after the other that end with the tensor, all that they make used by them alone."""
    if tensor in graph.outputs or any(
        reader != product and reader not in squeeze for reader in graph.consumers[tensor]
    ):
        return
    end = graph.producers[tensor] + 1
    for begin in range(end - 1, max(end - 1 - LONGEST_CHAIN, -1), -1):
        node = graph.nodes[begin]
        if node.op == "feed" or any(graph.tensors[t].variable for t in node.operands):
            return
        chain = range(begin, end)
        inner = {t for n in chain for t in graph.nodes[n].outputs} - {tensor}
        readers = {reader for t in inner for reader in graph.consumers[t]}
        if readers <= set(chain) and not inner.intersection(graph.outputs):
            yield tuple(chain)


def in_two_passes(graph: Graph, excitation: Excitation) -> Graph:
    """The graph in which the chain runs again before the product, which reads that."""
    fresh: dict[int, int] = {}
    tensors: dict[int, Tensor] = {}
    again = []
    for number in excitation.chain:
        node = graph.nodes[number]
        for made in node.outputs:
            fresh[made] = graph.next_index() + len(fresh)
            name = f"{graph.tensors[made].name} again"
            tensors[fresh[made]] = replace(graph.tensors[made], index=fresh[made], name=name)
        again.append(_reading(replace(node, outputs=tuple(fresh[t] for t in node.outputs)), fresh))
    product = _reading(
        graph.nodes[excitation.product], {excitation.tensor: fresh[excitation.tensor]}
    )
    before, after = graph.nodes[: excitation.product], graph.nodes[excitation.product + 1 :]
    return graph.with_nodes([*before, *again, product, *after], tensors)


def _reading(node: Node, fresh: dict[int, int]) -> Node:
    inputs = tuple(None if t is None else fresh.get(t, t) for t in node.inputs)
    return replace(node, inputs=inputs)
