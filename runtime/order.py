"""In which order the nodes of a graph with branches run, so that fewest bytes live at one time.

Exact: a bottleneck shortest path over the sets of nodes that have run. A chain has one such set for
each node; where branches make too many, the order of the model file is kept.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import replace

from .graph import Graph
from .places import VIEWS

MOST_SETS = 3_000


def best_order(graph: Graph) -> Graph:
    """The same graph with its nodes in the order of least live bytes; ties keep the given order."""
    given = list(range(len(graph.nodes)))
    found = _search(graph, _peak(graph, given))
    if found is None:
        return graph
    return replace(graph, nodes=tuple(graph.nodes[i] for i in found))


def _peak(graph: Graph, order: Sequence[int]) -> int:
    """Most bytes alive while a node runs, no buffer on another."""
    sizes = _Sizes(graph)
    done, peak = 0, 0
    for node in order:
        peak = max(peak, sizes.while_running(node, done))
        done |= 1 << node
    return peak


class _Sizes:
    """What is alive, by the set of nodes that have run, as bits; views lie in what they view."""

    def __init__(self, graph: Graph) -> None:
        homes: dict[int, int] = {t: t for t in graph.tensors if graph.is_activation(t)}
        for node in graph.nodes:
            if node.op in VIEWS and node.operands and node.operands[0] in homes:
                homes[node.outputs[0]] = homes[node.operands[0]]
        self.homes = homes
        self.bytes = {h: graph.tensors[h].bytes for h in set(homes.values())}
        self.readers = dict.fromkeys(self.bytes, 0)  # bits of the nodes that read it
        self.makers = dict.fromkeys(self.bytes, 0)  # 0: an input
        self.kept = {homes[t] for t in graph.outputs if t in homes}
        for i, node in enumerate(graph.nodes):
            for t in node.operands:
                if t in homes:
                    self.readers[homes[t]] |= 1 << i
            for t in node.outputs:
                if homes[t] == t:
                    self.makers[t] |= 1 << i
        self.needed = [
            sum({1 << graph.producers[t] for t in node.operands if t in graph.producers})
            for node in graph.nodes
        ]

    def while_running(self, node: int, done: int) -> int:
        """Bytes alive while `node` runs, the nodes of `done` having run."""
        running = done | 1 << node
        return sum(
            size
            for home, size in self.bytes.items()
            if self.makers[home] & ~running == 0
            and (home in self.kept or self.readers[home] & ~done or self.makers[home] & ~done)
        )


def _search(graph: Graph, given: int) -> list[int] | None:
    """An order with a lower peak than `given`, the lowest there is; None if there is none."""
    sizes, count = _Sizes(graph), len(graph.nodes)
    whole = (1 << count) - 1
    waiting: list[tuple[int, tuple[int, ...], int]] = [(0, (), 0)]
    reached: set[int] = set()
    while waiting and len(reached) <= MOST_SETS:
        peak, order, done = heapq.heappop(waiting)
        if done in reached:
            continue
        reached.add(done)
        if done == whole:
            return list(order)
        for node in range(count):
            ready = not done >> node & 1 and sizes.needed[node] & ~done == 0
            if ready and done | 1 << node not in reached:
                next_peak = max(peak, sizes.while_running(node, done))
                if next_peak < given:
                    heapq.heappush(waiting, (next_peak, (*order, node), done | 1 << node))
    return None
