"""Strips and patches: a segment of nodes made part by part, halos computed anew.

A tiled segment is the same graph with each of its nodes once for every part, on tensors that are
that part with its halo. What goes into the segment is seen through `tile` views, what comes out is
put together by `join`; neither has a call, since a row table says where each row of a part lies. So
kernels, schedule and memory planning know nothing of parts.

The algebra is that of DeepThings (Zhao, 2018) and of MCUNetV2 (Lin, 2021) with the model's own
padding: a part gets padding only where it lies at the border of the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from .attributes import Feed, Join, Tile
from .graph import Graph, Node, Tensor
from .ops import macs, need
from .places import is_view
from .shapes import image_size

ROWS, COLUMNS = 0, 1  # axes of an image
Range = tuple[int, int]  # begin .. end-1

# Operators whose outputs can be made in part: what they need of an input is a window.
TILED = frozenset(
    (
        *("conv2d", "depthwise_conv2d", "average_pool2d", "max_pool2d", "l2_pool2d"),
        *("add", "sub", "mul", "relu", "leaky_relu", "logistic", "tanh", "hard_swish"),
        *("quantize", "dequantize", "feed"),
    )
)


@dataclass(frozen=True)
class Tiling:
    """Neighbouring nodes, by number in their order, and in how many parts they run."""

    nodes: tuple[int, ...]
    rows: int = 1
    columns: int = 1


@dataclass(frozen=True)
class Tiled:
    """A graph with segments in parts.

    `kept` gives the new number of every node that is as it was, `parts` for each tiling the numbers
    of the nodes of each part.
    """

    graph: Graph
    kept: Mapping[int, int]
    parts: tuple[tuple[tuple[int, ...], ...], ...]


@dataclass
class Halos:
    """Answers which part of each tensor a part of a segment's outputs needs."""

    graph: Graph
    _windows: dict[tuple[int, int], tuple[tuple[list[int], list[int]], ...]] = field(
        default_factory=dict
    )

    def ranges(self, nodes: Sequence[int], axis: int, count: int) -> list[dict[int, Range]] | None:
        """For each of `count` parts along an axis, the range of each tensor; None if it can't be.

        Along an axis that isn't cut, everything is whole.
        """
        outputs = self.outputs(nodes)
        if not outputs or any(self.size(t, axis) < count for t in outputs):
            return None
        if count == 1:
            tensors = {t for n in nodes for t in (*self._images(n), *self.graph.nodes[n].outputs)}
            return [{t: (0, self.size(t, axis)) for t in tensors}]
        parts = []
        for part in range(count):
            ends = {t: self.size(t, axis) for t in outputs}
            found = {t: (n * part // count, n * (part + 1) // count) for t, n in ends.items()}
            if not self._walk_back(nodes, axis, found):
                return None
            parts.append(found)
        return parts

    def _walk_back(self, nodes: Sequence[int], axis: int, found: dict[int, Range]) -> bool:
        for number in reversed(nodes):
            made = self.graph.nodes[number].outputs[0]
            if made not in found:
                return False
            for position, tensor in enumerate(self.graph.nodes[number].inputs):
                if tensor is None or not self.is_image(tensor):
                    continue
                begin, end = self.needs(number, position, axis, found[made])[:2]
                if begin >= end:
                    return False
                old = found.get(tensor, (begin, end))
                found[tensor] = min(old[0], begin), max(old[1], end)
        return True

    def needs(
        self, number: int, position: int, axis: int, made: Range
    ) -> tuple[int, int, int, int]:
        """(begin, end, padding before, padding after) of an input for a range of the output."""
        key = number, position
        if key not in self._windows:
            area = need(self.graph, self.graph.nodes[number], position)
            self._windows[key] = tuple(
                (span.low.tolist(), span.high.tolist()) for span in (area.rows, area.columns)
            )
        low, high = self._windows[key][axis]
        tensor = self.graph.nodes[number].inputs[position]
        assert tensor is not None
        size, first, last = self.size(tensor, axis), low[made[0]], high[made[1] - 1]
        padding = max(0, -first), max(0, last - size)
        if made == (0, len(low)):  # all is made, so let all be there, a rest that none needs too
            return 0, size, *padding
        return min(max(first, 0), size), min(max(last, 0), size), *padding

    def outputs(self, nodes: Sequence[int]) -> list[int]:
        """Tensors that the nodes make and that others, or the caller, read."""
        own = set(nodes)
        return [
            tensor
            for number in nodes
            for tensor in self.graph.nodes[number].outputs
            if tensor in self.graph.outputs or not own.issuperset(self.graph.consumers[tensor])
        ]

    def can_tile(self, number: int) -> bool:
        """True if a node can be made in part."""
        node = self.graph.nodes[number]
        image = all(len(self.graph.tensors[t].shape) == 4 for t in node.outputs)
        return node.op in TILED and image and self.graph.output(node).shape[0] == 1

    def is_image(self, tensor: int) -> bool:
        return self.graph.is_activation(tensor) and len(self.graph.tensors[tensor].shape) == 4

    def size(self, tensor: int, axis: int) -> int:
        return image_size(self.graph.tensors[tensor].shape)[axis]

    def _images(self, number: int) -> list[int]:
        return [t for t in self.graph.nodes[number].operands if self.is_image(t)]

    def extra_macs(
        self,
        nodes: Sequence[int],
        rows: Sequence[Mapping[int, Range]],
        columns: Sequence[Mapping[int, Range]],
    ) -> int:
        """Multiplications that all parts together need more than the whole."""
        extra = 0
        for number in nodes:
            made = self.graph.nodes[number].outputs[0]
            pixels = self.size(made, ROWS) * self.size(made, COLUMNS)
            high, wide = (sum(b - a for a, b in (p[made] for p in q)) for q in (rows, columns))
            extra += macs(self.graph, self.graph.nodes[number]) // pixels * (high * wide - pixels)
        return extra


def is_tileable(graph: Graph, nodes: Sequence[int], halos: Halos | None = None) -> bool:
    """True if these nodes can be made part by part."""
    halos = halos or Halos(graph)
    fixed = [n for n in nodes if graph.nodes[n].op != "feed"]
    between = range(min(fixed), max(fixed)) if fixed else ()
    if not all(map(halos.can_tile, nodes)) or any(is_view(graph, graph.nodes[n]) for n in between):
        return False
    outputs = halos.outputs(nodes)
    return not any(
        graph.nodes[n].op == "feed" and graph.nodes[n].outputs[0] in outputs for n in nodes
    )


def tile(graph: Graph, tilings: Sequence[Tiling]) -> Tiled:
    """The graph with these segments, each of which `is_tileable`, in parts."""
    return _Tiler(graph).tile(tilings)


def part(
    graph: Graph,
    nodes: Sequence[int],
    boxes: Mapping[int, tuple[Range, Range]],
    outputs: Sequence[int],
    halos: Halos | None = None,
) -> Graph:
    """One part of a segment as a graph of its own, for another machine to run.

    `boxes` has the part of every tensor of the segment, its inputs' too. The graph takes the parts
    of those that no node of the segment makes, in the order of `boxes`, and makes `outputs`.
    """
    tiler = _Tiler(graph, halos)
    made = {graph.nodes[number].outputs[0] for number in nodes}
    sources = {t: tiler.new_tensor(t, box) for t, box in boxes.items() if t not in made}
    ranges = tuple({t: box[axis] for t, box in boxes.items()} for axis in (ROWS, COLUMNS))
    tiler.add_part(nodes, (ranges[ROWS], ranges[COLUMNS]), sources)
    return graph.with_nodes(
        tiler.nodes,
        tiler.tensors,
        inputs=tuple(sources.values()),
        outputs=tuple(tiler.part_of[t] for t in outputs),
        fixed_inputs={},
        signatures={},
    )


class _Tiler:
    def __init__(self, graph: Graph, halos: Halos | None = None) -> None:
        self.graph, self.halos = graph, halos or Halos(graph)
        self.nodes: list[Node] = []
        self.tensors: dict[int, Tensor] = {}
        self.free = graph.next_index()

    def tile(self, tilings: Sequence[Tiling]) -> Tiled:
        inside = {n: i for i, tiling in enumerate(tilings) for n in tiling.nodes}
        parts: list[tuple[tuple[int, ...], ...]] = [()] * len(tilings)
        kept = {}
        for number, node in enumerate(self.graph.nodes):
            if number not in inside:
                kept[number] = len(self.nodes)
                self.nodes.append(node)
            elif not parts[inside[number]]:  # a feed comes last, and then there is one already
                parts[inside[number]] = self._parts(tilings[inside[number]])
        return Tiled(self.graph.with_nodes(self.nodes, self.tensors), kept, tuple(parts))

    def _parts(self, tiling: Tiling) -> tuple[tuple[int, ...], ...]:
        rows = self.halos.ranges(tiling.nodes, ROWS, tiling.rows)
        columns = self.halos.ranges(tiling.nodes, COLUMNS, tiling.columns)
        assert rows is not None and columns is not None, "not tileable"
        outputs = self.halos.outputs(tiling.nodes)
        corners: dict[int, list[tuple[int, tuple[int, int]]]] = {t: [] for t in outputs}
        numbers = []
        for part in ((r, c) for r in rows for c in columns):
            numbers.append(self.add_part(tiling.nodes, part, {}))
            for tensor in outputs:
                place = self.part_of[tensor], (part[0][tensor][0], part[1][tensor][0])
                corners[tensor].append(place)
        for tensor, pieces in corners.items():
            inputs, firsts = (tuple(column) for column in zip(*pieces, strict=True))
            attrs = Join(firsts, image_size(self.graph.tensors[tensor].shape))
            self.nodes.append(Node("join", inputs, (tensor,), attrs))
        return tuple(numbers)

    def add_part(
        self,
        nodes: Sequence[int],
        part: tuple[Mapping[int, Range], Mapping[int, Range]],
        sources: Mapping[int, int],
    ) -> tuple[int, ...]:
        """Add the nodes that make one part; `part_of` then gives its tensors.

        `sources` are tensors that are parts of the segment's inputs; the others are seen whole.
        """
        self.part_of = dict(sources)
        self.views: dict[tuple[int, Range, Range], int] = {}
        self.part = part
        numbers = []
        for number in nodes:
            node = self.graph.nodes[number]
            made = node.outputs[0]
            inputs, attrs = self._inputs(number)
            self.part_of[made] = self.new_tensor(made, self._box(made))
            numbers.append(len(self.nodes))
            outputs = (self.part_of[made],)
            self.nodes.append(replace(node, inputs=inputs, outputs=outputs, attrs=attrs))
        return tuple(numbers)

    def _box(self, tensor: int) -> tuple[Range, Range]:
        return self.part[ROWS][tensor], self.part[COLUMNS][tensor]

    def _inputs(self, number: int) -> tuple[tuple[int | None, ...], object]:
        """The operands of a node's part, and its attributes with the padding of that part."""
        node = self.graph.nodes[number]
        if node.op == "feed":
            return (), Feed(self.part[COLUMNS][node.outputs[0]][0])
        made, attrs = self._box(node.outputs[0]), node.attrs
        inputs: list[int | None] = []
        for position, tensor in enumerate(node.inputs):
            if tensor is None or not self.halos.is_image(tensor):
                inputs.append(tensor)
                continue
            needs = [self.halos.needs(number, position, a, made[a]) for a in (ROWS, COLUMNS)]
            if position == 0 and hasattr(attrs, "padding"):
                (_, _, top, bottom), (_, _, left, right) = needs
                pad = replace(attrs.padding, top=top, bottom=bottom, left=left, right=right)
                attrs = replace(attrs, padding=pad)
            inputs.append(self._view(tensor, (needs[ROWS][:2], needs[COLUMNS][:2])))
        return tuple(inputs), attrs

    def _view(self, tensor: int, box: tuple[Range, Range]) -> int:
        """The tensor that is this part of another, by a `tile` node if there is none yet."""
        size = image_size(self.graph.tensors[tensor].shape)
        source = self.part_of.get(tensor, tensor)
        whole = self._box(tensor) if tensor in self.part_of else ((0, size[0]), (0, size[1]))
        if box == whole:
            return source
        key = (tensor, *box)
        if key not in self.views:
            self.views[key] = self.new_tensor(tensor, box)
            top, left = (box[axis][0] - whole[axis][0] for axis in (ROWS, COLUMNS))
            shape = image_size(self.tensors[self.views[key]].shape)
            attrs = Tile(top, left, shape)
            self.nodes.append(Node("tile", (source,), (self.views[key],), attrs))
        return self.views[key]

    def new_tensor(self, tensor: int, box: tuple[Range, Range]) -> int:
        value, index = self.graph.tensors[tensor], self.free
        self.free += 1
        (top, bottom), (left, right) = box
        shape = (value.shape[0], bottom - top, right - left, value.shape[3])
        name = f"{value.name} rows {top}-{bottom - 1} columns {left}-{right - 1}"
        self.tensors[index] = replace(value, index=index, name=name, shape=shape)
        return index
