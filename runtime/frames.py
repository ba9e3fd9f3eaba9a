"""A window that slides over time: an inference takes its new rows, and keeps what it made of old.

The rows of the input are frames in time; every inference sees the last so many of them. A row of a
layer that no padding reaches is what another row was an inference ago, when the same frames lay
further down. So each such layer keeps its rows in a state, moves them up (`slide`) and makes the
new ones only. Rows that padding reaches, above and below, are made anew, and so is all that needs
whole images. States start as if the zero point had come for ever, so that every answer, the first
too, is that of the whole window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from .attributes import Slide, Tile
from .errors import PlanError
from .graph import DTYPES, Graph, Node, Tensor
from .ops import need, total_macs
from .passes.columns_as_rows import columns_as_rows
from .passes.fold_constants import Evaluate
from .shapes import image_size
from .tiles import TILED

Range = tuple[int, int]  # begin .. end-1
WEIGHED = ("conv2d", "depthwise_conv2d")  # only their first operand is an image


@dataclass(frozen=True)
class Track:
    """How a tensor's rows follow from an inference to the next.

    Of the rows begin .. end-1, row r is what row r + `step` was an inference before.
    """

    rows: int
    step: int
    begin: int
    end: int


def take_frames(graph: Graph, frames: int, evaluate: Evaluate) -> Graph:
    """The same model, of which an inference takes `frames` new rows of the input.

    `evaluate` computes a node. Raises `PlanError` if the model has no such window, or if no
    multiplication would be saved, with the reason.
    """
    graph, image = _windowed(graph, frames)
    tracks, reasons = _tracks(graph, image, frames)
    rows = _rows_made(graph, tracks, image, frames)
    result = _Sliding(graph, tracks, rows, evaluate).graph_of(image)
    if total_macs(result) >= total_macs(graph):
        why = next(iter(reasons.values()), "it has no layer that multiplies")
        raise PlanError(f"{frames} frames an inference save no multiplication: {why}")
    return result


def _windowed(graph: Graph, frames: int) -> tuple[Graph, int]:
    """The graph with time in the rows of an image, and that image: its input."""
    if len(graph.inputs) != 1:
        raise PlanError(f"a model of {len(graph.inputs)} inputs can't take frames; one is needed")
    plain, image = _without_reshape(graph)
    if len(plain.tensors[image].shape) == 4 and plain.tensors[image].shape[1] == 1:
        plain, image = _without_reshape(columns_as_rows(graph))
    tensor = plain.tensors[image]
    if len(tensor.shape) != 4 or tensor.shape[0] != 1 or tensor.shape[1] == 1:
        raise PlanError(
            f"the input {tensor.name!r} of shape {list(tensor.shape)} has no rows that could be "
            "frames; needed is [1, frames, width, channels]"
        )
    if not 1 <= frames < tensor.shape[1]:
        raise PlanError(
            f"an inference takes 1 to {tensor.shape[1] - 1} new frames of the window of "
            f"{tensor.shape[1]}, not {frames}"
        )
    return plain, image


def _without_reshape(graph: Graph) -> tuple[Graph, int]:
    """The graph without a reshape that made an image of its input, and that image."""
    image, nodes = graph.inputs[0], list(graph.nodes)
    readers = graph.consumers[image]
    if len(readers) == 1 and nodes[readers[0]].op == "reshape" and image not in graph.outputs:
        image = nodes.pop(readers[0]).outputs[0]
    return graph.with_nodes(nodes, inputs=(image,)), image


# ---- which rows follow from others -------------------------------------------------------------


def _tracks(graph: Graph, image: int, frames: int) -> tuple[dict[int, Track], dict[int, str]]:
    """The tensors whose rows follow, and for the nodes without such, in order, why not."""
    rows = graph.tensors[image].shape[1]
    tracks, reasons = {image: Track(rows, frames, 0, rows)}, {}
    for number, node in enumerate(graph.nodes):
        found = _track(graph, node, tracks)
        name = f"{node.op} {node.origin if node.origin is not None else number} {node.name!r}"
        if isinstance(found, Track):
            tracks[node.outputs[0]] = found
            if found.end - found.begin <= found.step and found.rows > 1:
                reasons[number] = f"{name} has padding that reaches all its rows but the new ones"
        elif tracks.keys() & set(node.operands):
            reasons[number] = f"{name} {found}"
    return tracks, reasons


def _track(graph: Graph, node: Node, tracks: Mapping[int, Track]) -> Track | str:
    """Of a node's output; or why it has none."""
    images = _images(graph, node)
    if node.op not in TILED or len(node.outputs) != 1 or not images:
        return "needs all rows of its input"
    found = []
    for position in images:
        source = tracks.get(node.inputs[position] or 0)
        span = need(graph, node, position).rows
        strides = set(np.diff(span.low).tolist()) | set(np.diff(span.high).tolist())
        if source is None or len(strides) > 1 or 0 in strides:
            return "has an operand whose rows don't follow in time"
        stride = strides.pop() if strides else 1
        if source.step % stride:
            return f"makes a row of every {stride} of its input, which moves on by {source.step}"
        inside = np.flatnonzero((span.low >= source.begin) & (span.high <= source.end))
        begin, end = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
        found.append(Track(len(span.low), source.step // stride, begin, end))
    begin, end = max(t.begin for t in found), min(t.end for t in found)
    if len({track.step for track in found}) > 1:
        return "has operands that move on at different paces"
    return replace(found[0], begin=begin, end=max(begin, end))


def _images(graph: Graph, node: Node) -> list[int]:
    """The positions of operands with rows; a constant of one row is the same for all of them."""
    if node.op in WEIGHED:
        return [0]
    return [
        position
        for position, tensor in enumerate(node.inputs)
        if tensor is not None
        and not (graph.tensors[tensor].constant and image_size(graph.tensors[tensor].shape)[0] == 1)
    ]


# ---- which rows are made -----------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """Of a tensor whose rows follow: those that are `made`, and if it `slides`, all that there are.

    Else they are tensors of their own.
    """

    made: tuple[Range, ...]
    slides: Range | None = None
    kept: Range = (0, 0)

    @property
    def there(self) -> tuple[Range, ...]:
        return self.made if self.slides is None else (self.slides,)


def _rows_made(
    graph: Graph, tracks: Mapping[int, Track], image: int, frames: int
) -> dict[int, Rows]:
    """What some node, or the caller, reads of each tensor whose rows follow decides."""
    needed: dict[int, list[Range]] = {tensor: [] for tensor in tracks}
    for tensor in tracks.keys() & set(graph.outputs):
        needed[tensor].append((0, tracks[tensor].rows))
    made: dict[int, Rows] = {}
    for node in reversed(graph.nodes):
        result = node.outputs[0]
        if result not in tracks:
            for tensor in tracks.keys() & set(node.operands):
                needed[tensor].append((0, tracks[tensor].rows))
            continue
        made[result] = _rows(tracks[result], needed[result])
        for piece in made[result].made:
            for position in _images(graph, node):
                begin, end = need(graph, node, position).rows.needs(*piece)[:2]
                needed[node.operands[position]].append((begin, end))
    rows = tracks[image].rows
    made[image] = _rows(tracks[image], [*needed[image], (rows - frames, rows)])
    return made


def _rows(track: Track, needed: list[Range]) -> Rows:
    """Rows are kept if one that is needed is among those that were there an inference before."""
    ranges = _merged(needed) or [(0, track.rows)]
    low, high = ranges[0][0], ranges[-1][1]
    begin, end = max(track.begin, low), min(track.end, high) - track.step
    if not any(max(begin, first) < min(end, last) for first, last in ranges):
        return Rows(tuple(ranges))
    made = tuple((a, b) for a, b in ((low, begin), (end, high)) if a < b)
    return Rows(made, (low, high), (begin, end))


def _merged(ranges: list[Range]) -> list[Range]:
    """Those that touch as one, in order."""
    merged: list[Range] = []
    for begin, end in sorted(r for r in ranges if r[0] < r[1]):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((begin, end))
    return merged


# ---- the graph ---------------------------------------------------------------------------------


class _Sliding:
    """Writes the nodes in the rows that are made, and the states that hold the others."""

    def __init__(
        self,
        graph: Graph,
        tracks: Mapping[int, Track],
        rows: Mapping[int, Rows],
        evaluate: Evaluate,
    ) -> None:
        self.graph, self.tracks, self.rows, self.evaluate = graph, tracks, rows, evaluate
        self.tensors: dict[int, Tensor] = {}
        self.nodes: list[Node] = []
        self.free = graph.next_index()
        self.parts: dict[tuple[int, Range], int] = {}  # the tensors that are rows of another
        self.silence: dict[
            int, np.ndarray
        ] = {}  # what tensors are if the zero point comes for ever

    def graph_of(self, image: int) -> Graph:
        """The whole graph; its input is the last rows of `image`."""
        given = self.graph.tensors[image]
        start = given.zero_point if given.quantization is not None else 0
        self.silence[image] = np.full(given.shape, start, DTYPES[given.dtype])
        fresh = self._part(image, self.rows[image].made[-1])
        self._put_together(image)
        for node in self.graph.nodes:
            made = node.outputs[0]
            if made not in self.tracks:
                self.nodes.append(node)
                continue
            arrays = [None if t is None else self._heard(t) for t in node.inputs]
            self.silence[made] = self.evaluate(self.graph, node, arrays)[0]
            self.nodes += [self._made(node, piece) for piece in self.rows[made].made]
            self._put_together(made)
        return self.graph.with_nodes(self.nodes, self.tensors, inputs=(fresh,))

    def _heard(self, tensor: int) -> np.ndarray:
        data = self.graph.tensors[tensor].data
        return self.silence[tensor] if data is None else data

    def _made(self, node: Node, piece: Range) -> Node:
        """The node for these rows of its output."""
        inputs, attrs = list(node.inputs), node.attrs
        for position in _images(self.graph, node):
            begin, end, top, bottom = need(self.graph, node, position).rows.needs(*piece)
            inputs[position] = self._seen(node.operands[position], (begin, end))
            if hasattr(attrs, "padding"):
                attrs = replace(attrs, padding=replace(attrs.padding, top=top, bottom=bottom))
        result = self._part(node.outputs[0], piece)
        return replace(node, inputs=tuple(inputs), outputs=(result,), attrs=attrs)

    def _seen(self, tensor: int, rows: Range) -> int:
        """The tensor that is these rows of another, by a `tile` node if there is none yet."""
        if (tensor, rows) not in self.parts:
            source = next(r for r in self.rows[tensor].there if r[0] <= rows[0] and rows[1] <= r[1])
            part = self._part(tensor, rows)
            attrs = Tile(rows[0] - source[0], 0, image_size(self.tensors[part].shape))
            self.nodes.append(Node("tile", (self.parts[tensor, source],), (part,), attrs))
        return self.parts[tensor, rows]

    def _put_together(self, tensor: int) -> None:
        """What is made, and what is kept, as one tensor, if it slides."""
        rows = self.rows[tensor]
        if rows.slides is None:
            return
        low, high = rows.slides
        state = self._new(tensor, rows.slides, " over time")
        self.tensors[state] = replace(
            self.tensors[state], variable=True, initial=self.silence[tensor][:, low:high]
        )
        made = [self._part(tensor, piece) for piece in reversed(rows.made)]
        attrs = Slide(rows.kept[1] - rows.kept[0], self.tracks[tensor].step)
        whole, name = self._part(tensor, rows.slides), self.graph.tensors[tensor].name
        self.nodes.append(Node("slide", (state, *made), (whole,), attrs, name))

    def _part(self, tensor: int, rows: Range) -> int:
        """The tensor of these rows; it keeps the number of the other if all that there is of it."""
        if (tensor, rows) not in self.parts:
            alone = self.rows[tensor].there == (rows,)
            self.parts[tensor, rows] = self._new(tensor, rows, "" if alone else None)
        return self.parts[tensor, rows]

    def _new(self, tensor: int, rows: Range, suffix: str | None) -> int:
        value, index = self.graph.tensors[tensor], tensor
        if suffix != "":
            index, self.free = self.free, self.free + 1
        name = value.name + (f" rows {rows[0]}-{rows[1] - 1}" if suffix is None else suffix)
        shape = (1, rows[1] - rows[0], *value.shape[2:])
        self.tensors[index] = replace(value, index=index, name=name, shape=shape)
        return index
