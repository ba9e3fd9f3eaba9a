"""Which box of every tensor a part of a layer needs: `runtime/regions.py`, asked backwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from ....runtime.graph import Graph
from ....runtime.places import is_view
from ....runtime.shapes import image_size
from ....runtime.tiles import COLUMNS, ROWS, Halos
from .boxes import Box, area, hull, whole
from .isolated import Isolated

Boxes = Mapping[int, Box]  # of tensors, by index


class Geometry:
    """Answers for one graph; what it was asked is remembered."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.halos, self.isolated = graph, Halos(graph), Isolated(graph)
        self.whole = {index: whole(tensor) for index, tensor in graph.tensors.items()}
        self.tileable = tuple(self._tileable(number) for number in range(len(graph.nodes)))
        self.needs = lru_cache(maxsize=None)(self._needs)

    def _tileable(self, number: int) -> bool:
        """Whether a node can be made in part; a constant of an image's size can't be cut up."""
        node = self.graph.nodes[number]
        operands = [self.graph.tensors[t] for t in node.operands]
        pointwise = not hasattr(node.attrs, "stride")
        wide = any(t.constant and pointwise and image_size(t.shape) != (1, 1) for t in operands)
        return (
            self.halos.can_tile(number)
            and not wide
            and not is_view(self.graph, node)
            and len(node.outputs) == 1
        )

    def output(self, number: int) -> int:
        return self.graph.nodes[number].outputs[0]

    def activations(self, number: int) -> list[int]:
        """The tensors that a node reads, each once, without constants."""
        operands = self.graph.nodes[number].operands
        return [t for t in dict.fromkeys(operands) if self.graph.is_activation(t)]

    def _needs(self, number: int, box: Box) -> Mapping[int, Box] | None:
        """What a node needs of each activation to make a box of its output.

        None where some need lies in the padding alone, so that nothing of the input is needed.
        """
        if box == self.whole[self.output(number)] or not self.tileable[number]:
            return {t: self.whole[t] for t in self.activations(number)}
        found: dict[int, Box] = {}
        for position, tensor in enumerate(self.graph.nodes[number].inputs):
            if tensor is None or not self.graph.is_activation(tensor):
                continue
            rows, columns = (
                self.halos.needs(number, position, axis, box[axis])[:2] for axis in (ROWS, COLUMNS)
            )
            if rows[0] >= rows[1] or columns[0] >= columns[1]:
                return None
            needed: Box = (rows, columns)
            found[tensor] = hull([needed, found[tensor]]) if tensor in found else needed
        return found

    def trace(self, nodes: Sequence[int], box: Box) -> dict[int, Box] | None:
        """The box of each node's output that makes a box of the last node's, halos recomputed.

        None if the segment can't be made in this part.
        """
        wanted = {self.output(nodes[-1]): box}
        boxes: dict[int, Box] = {}
        for number in reversed(nodes):
            made = wanted.get(self.output(number))
            if made is None:
                return None
            boxes[number] = made
            needs = self.needs(number, made)
            if needs is None:
                return None
            for tensor, need in needs.items():
                wanted[tensor] = hull([need, wanted[tensor]]) if tensor in wanted else need
        return {number: boxes[number] for number in nodes}

    def share(self, number: int, box: Box) -> float:
        """Which part of a node's work a box is."""
        return area(box) / area(self.whole[self.output(number)])

    def leaving(self, nodes: Sequence[int]) -> list[int]:
        """Tensors that the nodes make and that others, or the caller, read."""
        return self.halos.outputs(nodes)

    def is_segment(self, nodes: Sequence[int]) -> bool:
        """Whether neighbouring nodes can be made in parts: one tensor leaves them, the last's."""
        return all(self.tileable[n] for n in nodes) and self.leaving(nodes) == [
            self.output(nodes[-1])
        ]
