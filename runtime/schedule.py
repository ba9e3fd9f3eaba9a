"""Operator order, and which rows of which operator run when.

A schedule is a list of `Work` (some output rows of one node) and `Repeat` (a loop over works).
Layer by layer, a node is one work. Streamed, a segment of nodes runs row by row: every tensor
inside it is a ring that holds just the rows that its readers still need.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .errors import PlanError
from .feeding import FEED
from .flow import make_flow
from .graph import Graph
from .lowering import Lowered, image_rows
from .over import Over
from .streaming import Stream, stream

LONGEST_BODY = 400  # works in a loop body that the rolling looks for
FEWEST_PASSES = 3


@dataclass(frozen=True)
class Work:
    """Output rows begin .. end-1 of one image of a node, by one kernel call."""

    node: int
    begin: int = 0
    end: int = 1
    image: int = 0


@dataclass(frozen=True)
class Repeat:
    """`count` passes over `body`; after each, work i moves on by `advance[i]` output rows."""

    count: int
    body: tuple[Work, ...]
    advance: tuple[int, ...]


@dataclass(frozen=True)
class Schedule:
    """What runs when.

    `rings` gives, for each tensor that is streamed, how many of its rows are kept; `spans` the
    first and last item of each streamed segment; `distances`, by the buffers of an input that dies
    in such a segment and of an output of it, by how many bytes they must start apart; `merged`, for
    a streamed tensor, the one that replaces it row by row in the same place; `over`, for a tensor
    of one row, the ring over whose oldest rows it lies.
    """

    items: tuple[Work | Repeat, ...]
    rings: Mapping[int, int] = field(default_factory=dict)
    spans: tuple[tuple[int, int], ...] = ()
    distances: Mapping[tuple[int, int], int] = field(default_factory=dict)
    merged: Mapping[int, int] = field(default_factory=dict)
    over: Mapping[int, Over] = field(default_factory=dict)

    def works(self, item: int) -> tuple[Work, ...]:
        entry = self.items[item]
        return entry.body if isinstance(entry, Repeat) else (entry,)

    def last_rows(self, item: int) -> list[tuple[Work, int]]:
        """The works of an item, and the last row that each comes to, plus one."""
        entry = self.items[item]
        if isinstance(entry, Work):
            return [(entry, entry.end)]
        moved = zip(entry.body, entry.advance, strict=True)
        return [(work, work.end + (entry.count - 1) * by) for work, by in moved]


def output_rows(graph: Graph, node: int) -> tuple[int, int]:
    """(images, rows in each) that a row kernel makes for a node."""
    images, rows, _ = image_rows(graph.output(graph.nodes[node]).shape)
    return images, rows


def layer_by_layer(graph: Graph, lowered: Mapping[int, Lowered]) -> Schedule:
    """Every node whole, in the graph's order; a row kernel once for each image of a batch."""
    return Schedule(tuple(w for node in lowered for w in _whole(graph, lowered, node)))


def _whole(graph: Graph, lowered: Mapping[int, Lowered], node: int) -> Sequence[Work | Repeat]:
    if not lowered[node].by_rows:
        return [Work(node)]
    images, rows = output_rows(graph, node)
    if lowered[node].kernel == FEED:
        return roll([Work(node, row, row + 1) for row in range(rows)])
    return [Work(node, 0, rows, image) for image in range(images)]


def stream_rows(
    graph: Graph, lowered: Mapping[int, Lowered], segments: Sequence[Sequence[int]]
) -> Schedule:
    """As `layer_by_layer`, but the nodes of each segment run row by row."""
    flow, nodes = make_flow(graph, lowered), list(lowered)
    starts: dict[int, int] = {}
    for segment in segments:
        begin = nodes.index(segment[0]) if segment[0] in nodes else 0
        if nodes[begin : begin + len(segment)] != list(segment):
            raise PlanError(f"the segment {list(segment)} must name neighbouring nodes, in order")
        for node in segment:
            if not flow.operations[nodes.index(node)].streams:
                name = f"{graph.nodes[node].op} {graph.nodes[node].name!r}"
                raise PlanError(f"{name} can't be streamed: it needs a row kernel and a batch of 1")
        starts[begin] = begin + len(segment)
    cuts, position = [], 0
    while position < len(nodes):
        end = starts.get(position, position + 1)
        cuts.append((position, end))
        position = end
    return schedule_segments(graph, lowered, cuts, lambda begin, end: stream(flow, begin, end))


def schedule_segments(
    graph: Graph,
    lowered: Mapping[int, Lowered],
    cuts: Sequence[tuple[int, int]],
    streamed: Callable[[int, int], Stream],
) -> Schedule:
    """Segments of several nodes (positions begin .. end-1 in `lowered`) by rows, others whole."""
    nodes = list(lowered)
    items: list[Work | Repeat] = []
    rings: dict[int, int] = {}
    distances: dict[tuple[int, int], int] = {}
    merged: dict[int, int] = {}
    over: dict[int, Over] = {}
    spans = []
    for begin, end in cuts:
        if end - begin == 1:
            items += _whole(graph, lowered, nodes[begin])
            continue
        run, first = streamed(begin, end), len(items)
        works = [Work(nodes[position], row, row + 1) for position, row in run.works]
        items += roll(_band(works, {n for n in nodes if lowered[n].kernel == FEED}))
        spans.append((first, len(items) - 1))
        rings.update(run.rings)
        distances.update(run.distances)
        merged.update(run.merged)
        over.update(run.over)
    return Schedule(tuple(items), rings, tuple(spans), distances, merged, over)


def _band(works: Sequence[Work], single: Collection[int]) -> list[Work]:
    """Merge works that make consecutive rows of one node, but for those of `single` nodes."""
    banded: list[Work] = []
    for work in works:
        follows = banded and (banded[-1].node, banded[-1].end) == (work.node, work.begin)
        if follows and work.node not in single:
            banded[-1] = replace(banded[-1], end=work.end)
        else:
            banded.append(work)
    return banded


def roll(works: Sequence[Work]) -> list[Work | Repeat]:
    """Compress runs of the same nodes at steadily advancing rows into loops."""
    rolled: list[Work | Repeat] = []
    position = 0
    while position < len(works):
        count, length = _longest_loop(works, position)
        if count:
            body = tuple(works[position : position + length])
            following = works[position + length : position + 2 * length]
            advance = tuple(b.begin - a.begin for a, b in zip(body, following, strict=True))
            rolled.append(Repeat(count, body, advance))
        else:
            rolled.append(works[position])
        position += max(count, 1) * length
    return rolled


def _longest_loop(works: Sequence[Work], start: int) -> tuple[int, int]:
    """(passes, works in the body) of the loop that saves most calls; (0, 1) if there is none."""
    best, saved = (0, 1), 0
    for length in range(1, min(LONGEST_BODY, (len(works) - start) // FEWEST_PASSES) + 1):
        count = _passes(works, start, length)
        if count >= FEWEST_PASSES and (count - 1) * length > saved:
            best, saved = (count, length), (count - 1) * length
    return best


def _passes(works: Sequence[Work], start: int, length: int) -> int:
    """How often the `length` works from `start` on are repeated, each advancing steadily."""
    same = start + length
    while same < len(works) and _continues(works, same, start, length):
        same += 1
    return (same - start) // length


def _continues(works: Sequence[Work], number: int, start: int, length: int) -> bool:
    """True if a work follows from the one a pass before it, and that from the one before that."""
    now, before = works[number], works[number - length]
    if now.node != before.node or now.end - now.begin != before.end - before.begin:
        return False
    if number - 2 * length < start:
        return True
    return now.begin - before.begin == before.begin - works[number - 2 * length].begin
