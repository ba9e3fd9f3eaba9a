"""Tiles that see nothing of their neighbours: FDSP, whose answer is another network's.

ADCNN (Zhang et al., "Adaptive Distributed Convolutional Neural Network Inference at the Network
Edge with ADCNN", ICPP 2020) pads every side of a tile with zeros as if it were the image, and
retrains the network for it. Without that training its answers differ from the model's.
"""

from __future__ import annotations

from collections.abc import Mapping

from ....runtime.graph import Graph
from ....runtime.tiles import COLUMNS, ROWS, Halos, Range
from .boxes import Box


class IsolatedHalos(Halos):
    """The halo of a tile is padding. `Isolated.legal` says where tiles fit."""

    def needs(
        self, number: int, position: int, axis: int, made: Range
    ) -> tuple[int, int, int, int]:
        node = self.graph.nodes[number]
        tensor = node.inputs[position]
        assert tensor is not None
        size, outputs = self.size(tensor, axis), self.size(node.outputs[0], axis)
        before, after = super().needs(number, position, axis, (0, outputs))[2:]
        if size == 1:  # broadcast
            return 0, 1, before, after
        return made[0] * size // outputs, made[1] * size // outputs, before, after


class Isolated:
    """As `Geometry.needs`, for isolated tiles."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.halos = graph, IsolatedHalos(graph)

    def needs(self, number: int, box: Box) -> Mapping[int, Box]:
        found: dict[int, Box] = {}
        for position, tensor in enumerate(self.graph.nodes[number].inputs):
            if tensor is not None and self.graph.is_activation(tensor):
                rows, columns = (
                    self.halos.needs(number, position, axis, box[axis])[:2]
                    for axis in (ROWS, COLUMNS)
                )
                found[tensor] = (rows, columns)
        return found

    def legal(self, number: int) -> bool:
        """Whether a node's output is its input scaled by the stride, so that tiles of both fit."""
        node = self.graph.nodes[number]
        if not self.halos.can_tile(number):
            return False
        stride = getattr(node.attrs, "stride", (1, 1))
        return all(
            self.halos.size(t, axis) in (1, self.halos.size(node.outputs[0], axis) * stride[axis])
            for t in node.operands
            if self.halos.is_image(t)
            for axis in (ROWS, COLUMNS)
        )
