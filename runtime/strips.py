"""Segments in strips or patches: what they save and cost, and the best cuts for a limit on either.

A strip makes some columns of its segment's outputs, row by row; what neighbouring strips both need
is computed twice. The rings are those of the whole width, cut down to what a strip needs. What goes
in and what comes out is whole, and can't share bytes: every strip reads the one and adds to the
other. A limit on bytes is met with least extra arithmetic by a shortest path over cut points.

Patches, in the manner of MCUNetV2, cut the first segment along both axes, and run its nodes one
after the other in each patch. Their tensors are small, but the halos are on all four sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from .graph import Graph
from .places import pixel_bytes
from .segments import UNREACHABLE, SegmentCosts, least_peak
from .streaming import most_alive
from .tiles import COLUMNS, ROWS, Halos, Range, Tiling, is_tileable

MOST_STRIPS = 8
MOST_PATCHES = 8  # along an axis
Parts = Sequence[Mapping[int, Range]]  # of each, the range of every tensor along one axis
CLOSE = 1 / 512  # the peak that is searched for is right to this part of itself


@dataclass(frozen=True)
class Segment:
    """Operations begin .. end-1, by position, in `strips` of columns (1: the whole width).

    If `patch_rows` isn't 0, they run in patches instead, so many along the rows.
    """

    begin: int
    end: int
    strips: int
    bytes: int
    extra_macs: int
    patch_rows: int = 0


@dataclass(frozen=True)
class Point:
    """A way to cut, the arena that it needs before packing, and its extra arithmetic."""

    bytes: int
    extra_macs: int
    segments: tuple[Segment, ...]
    twice: int = 0  # wide tensors that are made in two passes

    def tilings(self, nodes: Sequence[int]) -> tuple[Tiling, ...]:
        """Of the segments in parts; `nodes` are the numbers of the operations, in order."""
        return tuple(
            Tiling(tuple(nodes[s.begin : s.end]), max(s.patch_rows, 1), s.strips)
            for s in self.segments
            if s.strips > 1 or s.patch_rows
        )


@dataclass
class StripCosts:
    """Bytes and extra multiplications of segments in parts, worked out when first asked for.

    With `patches`, these and single nodes are all that there is.
    """

    costs: SegmentCosts
    graph: Graph
    patches: bool = False
    halos: Halos = field(init=False)
    _nodes: tuple[int, ...] = field(init=False)
    _known: dict[tuple[int, int, int], tuple[int, int] | None] = field(default_factory=dict)
    _patched: dict[int, list[Segment]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.halos = Halos(self.graph)
        self._nodes = tuple(op.node for op in self.costs.flow.operations)

    @property
    def count(self) -> int:
        return len(self._nodes)

    def whole_cost(self, begin: int, end: int) -> float:
        """Bytes of a segment that isn't in parts."""
        if self.patches and end - begin > 1:
            return UNREACHABLE
        return self.costs.cost(begin, end)

    def of(self, begin: int, end: int, strips: int) -> tuple[int, int] | None:
        """(bytes, extra multiplications) of a segment in that many strips, None if it can't be."""
        key = begin, end, strips
        if key not in self._known:
            self._known[key] = self._of(*key)
        return self._known[key]

    def _of(self, begin: int, end: int, strips: int) -> tuple[int, int] | None:
        nodes = self._nodes[begin:end]
        columns = self.halos.ranges(nodes, COLUMNS, strips)
        rows = self.halos.ranges(nodes, ROWS, 1)
        if columns is None or rows is None:
            return None
        spans = self.costs.streamed(begin, end).spans
        widest = 0
        for part in columns:
            sizes = []
            for span in spans:
                size = span.units * span.unit_bytes
                if span.tensor in part:
                    low, high = part[span.tensor]
                    size = size * (high - low) // self.halos.size(span.tensor, COLUMNS)
                size += span.units * span.gap
                sizes.append((span.first, span.last, self.costs.up(size)))
            widest = max(widest, most_alive(sizes))
        extra = self.halos.extra_macs(nodes, rows, columns)
        return int(self.costs.whole_bytes(begin, end)) + widest, extra

    def patched(self, end: int) -> list[Segment]:
        """The operations before `end` in patches, by every number of them."""
        if end not in self._patched:
            self._patched[end] = list(self._patch(end))
        return self._patched[end]

    def _patch(self, end: int) -> Iterator[Segment]:
        nodes = self._nodes[:end]
        if not self.cuttable(0, end) or any(self.graph.nodes[n].op == "feed" for n in nodes):
            return
        axes = [
            [self.halos.ranges(nodes, axis, n) for n in range(1, MOST_PATCHES + 1)]
            for axis in (ROWS, COLUMNS)
        ]
        whole = int(self.costs.whole_bytes(0, end))
        for (high, rows), (wide, columns) in product(*map(enumerate, axes)):
            if rows is not None and columns is not None and high + wide:
                size = whole + self._patch_bytes(end, rows, columns)
                extra = self.halos.extra_macs(nodes, rows, columns)
                yield Segment(0, end, wide + 1, size, extra, high + 1)

    def _patch_bytes(self, end: int, rows: Parts, columns: Parts) -> int:
        """Most bytes alive while the largest patch is made, node after node."""
        made: dict[int, int] = {}
        last: dict[int, int] = {}
        for position, operation in enumerate(self.costs.flow.operations[:end]):
            made[operation.output] = position
            last.update((read.tensor, position) for read in operation.reads)
        spans = []
        for tensor in made.keys() - self.halos.outputs(self._nodes[:end]):
            high, wide = (max(p[tensor][1] - p[tensor][0] for p in q) for q in (rows, columns))
            size = self.costs.up(high * wide * pixel_bytes(self.graph, tensor))
            spans.append((made[tensor], last[tensor], size))
        return most_alive(spans)

    def cuttable(self, begin: int, end: int) -> bool:
        """True if the segment may run in strips."""
        nodes = self._nodes[begin:end]
        return end - begin > 1 and is_tileable(self.graph, nodes, self.halos)


def least_extra(strips: StripCosts, limit: float, most: float = UNREACHABLE) -> Point | None:
    """The cuts whose segments take at most `limit` bytes each, with least extra arithmetic.

    Of those, cuts that fuse fewest nodes. None if more than `most` multiplications are needed. That
    some part does less than the whole, since nobody needs the rest, counts as nothing.
    """
    best: list[tuple[int, int] | None] = [(0, 0), *[None] * strips.count]
    way: list[Segment | None] = [None] * (strips.count + 1)
    for begin in range(strips.count):
        reached = best[begin]
        if reached is None:
            continue
        for end in range(begin + 1, strips.count + 1):
            known, fused = best[end], reached[1] + end - begin - 1
            if known is not None and known <= (reached[0], fused):
                continue  # nothing can be better
            room = min(most, known[0] if known else UNREACHABLE) - reached[0]
            segment = _cheapest(strips, begin, end, limit, room)
            if segment is None:
                continue
            total = reached[0] + max(segment.extra_macs, 0), fused
            if known is None or total < known:
                best[end], way[end] = total, segment
    return _point(way, strips.count)


def _point(way: Sequence[Segment | None], count: int) -> Point | None:
    segments: list[Segment] = []
    while count:
        segment = way[count]
        if segment is None:
            return None
        segments.append(segment)
        count = segment.begin
    segments.reverse()
    peak = max((s.bytes for s in segments), default=0)
    return Point(peak, sum(s.extra_macs for s in segments), tuple(segments))


def _cheapest(
    strips: StripCosts, begin: int, end: int, limit: float, room: float
) -> Segment | None:
    """The segment as a whole, or in the parts of least arithmetic that fit into `limit`."""
    costs = strips.costs
    if strips.patches and end - begin > 1:
        patched = strips.patched(end) if begin == 0 and costs.whole_bytes(0, end) <= limit else []
        return min(
            (s for s in patched if s.bytes <= limit and s.extra_macs <= room),
            key=lambda segment: max(segment.extra_macs, 0),
            default=None,
        )
    floor = costs.floor(begin, end)
    if floor > limit or floor == UNREACHABLE:
        return None
    whole = costs.cost(begin, end)
    if whole <= limit:
        return Segment(begin, end, 1, int(whole), 0)
    if costs.whole_bytes(begin, end) > limit or not strips.cuttable(begin, end):
        return None
    fitting: list[Segment] = []
    for count in range(2, MOST_STRIPS + 1):
        found = strips.of(begin, end, count)
        if found is None:
            break
        if found[0] <= limit and found[1] <= room:
            fitting.append(Segment(begin, end, count, *found))
    return min(fitting, key=lambda segment: max(segment.extra_macs, 0), default=None)


def least_bytes(strips: StripCosts, most_extra: int) -> Point:
    """The cuts of least peak (to a part `CLOSE`) with at most so many extra multiplications."""
    found = least_extra(strips, least_peak(strips.count, strips.whole_cost, strips.costs.floor), 0)
    assert found is not None, "every node can run alone"
    low, high = 0.0, float(found.bytes)
    while high - low > max(1.0, CLOSE * high):
        middle = (low + high) / 2
        point = least_extra(strips, middle, most_extra)
        if point is None:
            low = middle
        else:
            found, high = point, float(point.bytes)
    return found


def pareto(strips: StripCosts, most_extra: int) -> Iterator[Point]:
    """From no extra arithmetic on, ever fewer bytes for ever more of it, each point the best."""
    point = least_bytes(strips, 0)
    while point.extra_macs <= most_extra:
        yield point
        following = least_extra(strips, point.bytes * (1 - CLOSE) - 1, most_extra)
        if following is None:
            return
        point = following


def front(points: Iterable[Point]) -> list[Point]:
    """Those that no other needs less than, of bytes and arithmetic both."""
    found: list[Point] = []
    for point in sorted(points, key=lambda point: (point.extra_macs, point.bytes)):
        if not found or point.bytes < found[-1].bytes:
            found.append(point)
    return found
