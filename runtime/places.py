"""Where tensors lie: some have no bytes of their own, but are another shape or a part of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .graph import Graph, Node
from .lowering import Address, Lowered, image_rows

VIEWS = ("reshape", "tile", "join")  # operators that need no call


@dataclass(frozen=True)
class Place:
    """A tensor's rows inside its `home`, the tensor whose buffer it lies in."""

    home: int
    made: int  # the tensor that a call writes, and of which this is a part or another shape
    top: int  # its first row is this row of the home
    left: int  # bytes of a row of the home before it
    pitch: int  # bytes from one of its rows to the next
    reshaped: bool = False  # its rows are not the home's
    step: int = 1  # rows of the home from one of its rows to the next

    def is_part(self, row_bytes: int) -> bool:
        """True if its rows, of so many bytes, don't follow each other at the home's start."""
        return bool(self.top or self.left) or self.pitch != row_bytes


def is_view(graph: Graph, node: Node) -> bool:
    """True for a node that needs no call: the same bytes of an activation, seen otherwise."""
    return node.op in VIEWS and not graph.input(node).constant


def places_of(graph: Graph, lowered: Mapping[int, Lowered]) -> dict[int, Place]:
    """The place of every tensor that isn't constant; what isn't lowered is a view."""
    places = {
        i: Place(i, i, 0, 0, row_bytes(graph, i))
        for i, tensor in graph.tensors.items()
        if not tensor.constant
    }
    for node in graph.nodes:
        if node.op == "slide":  # its output is its state
            home = node.operands[0]
            places[node.outputs[0]] = replace(places[home], made=node.outputs[0])
    views = [node for i, node in enumerate(graph.nodes) if i not in lowered]
    for node in views:
        if node.op == "join":
            _place_parts(graph, node, places)
    for node in views:
        source, result = places[node.operands[0]], node.outputs[0]
        if node.op == "tile":
            left = node.attrs.left * pixel_bytes(graph, result)
            top = source.top + node.attrs.top
            places[result] = replace(source, top=top, left=source.left + left)
        elif node.op != "join":
            pitch = row_bytes(graph, result)
            places[result] = replace(source, pitch=pitch, reshaped=True)
    return places


def _place_parts(graph: Graph, node: Node, places: dict[int, Place]) -> None:
    whole = node.outputs[0]
    for part, (top, left) in zip(node.operands, node.attrs.corners, strict=True):
        before = left * pixel_bytes(graph, whole)
        places[part] = Place(whole, part, top, before, row_bytes(graph, whole))


def row_bytes(graph: Graph, tensor: int) -> int:
    """Bytes of one row of a tensor."""
    value = graph.tensors[tensor]
    return image_rows(value.shape)[2] * value.itemsize


def pixel_bytes(graph: Graph, tensor: int) -> int:
    """Bytes of one pixel, all channels, of an image."""
    value = graph.tensors[tensor]
    return value.shape[3] * value.itemsize


def streamed_call(graph: Graph, call: Lowered, places: Mapping[int, Place]) -> Lowered:
    """How a node runs inside a streamed segment: it takes its input row by row if it can."""
    taking = call.by_row
    return call if taking is None or addresses_part(graph, taking, places) else taking


def addresses_part(graph: Graph, call: Lowered, places: Mapping[int, Place]) -> bool:
    """True if a call wants a tensor in one piece that is a part of another."""
    wanted = (v.tensor for v in call.fields.values() if isinstance(v, Address))
    return any(places[t].is_part(row_bytes(graph, t)) for t in wanted)


def whole_inputs(graph: Graph) -> tuple[int, ...]:
    """The inputs that are there before the first node; none where they are fed by row."""
    return () if any(node.op == "feed" for node in graph.nodes) else graph.inputs
