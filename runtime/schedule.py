"""Operator order, and which rows of which operator run when.

A schedule is a list of `Work` (some output rows of one node) and `Repeat` (a loop over works).
Layer by layer, a node is one work. Streamed, a segment of nodes runs row by row: every tensor
inside it is a ring that holds just the rows that its readers still need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from .errors import PlanError
from .graph import Graph
from .lowering import Cursor, Lowered, image_rows

LONGEST_BODY = 64  # works in a loop body that the rolling looks for


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
    """`rings` gives, for each tensor that is streamed, how many of its rows are kept."""

    items: tuple[Work | Repeat, ...]
    rings: Mapping[int, int] = field(default_factory=dict)

    def works(self, item: int) -> tuple[Work, ...]:
        entry = self.items[item]
        return entry.body if isinstance(entry, Repeat) else (entry,)


def output_rows(graph: Graph, node: int) -> tuple[int, int]:
    """(images, rows in each) that a row kernel makes for a node."""
    images, rows, _ = image_rows(graph.output(graph.nodes[node]).shape)
    return images, rows


def layer_by_layer(graph: Graph, lowered: Mapping[int, Lowered]) -> Schedule:
    """Every node whole, in the graph's order; a row kernel once for each image of a batch."""
    items: list[Work | Repeat] = []
    for node, call in lowered.items():
        if call.by_rows:
            images, rows = output_rows(graph, node)
            items.extend(Work(node, 0, rows, image) for image in range(images))
        else:
            items.append(Work(node))
    return Schedule(tuple(items))


def stream_rows(
    graph: Graph, lowered: Mapping[int, Lowered], segments: Sequence[Sequence[int]]
) -> Schedule:
    """As `layer_by_layer`, but the nodes of each segment run row by row, driven by its last one."""
    whole = layer_by_layer(graph, lowered)
    items: list[Work | Repeat] = []
    rings: dict[int, int] = {}
    streamed = {node: tuple(segment) for segment in segments for node in segment}
    done: set[int] = set()
    for item in whole.items:
        assert isinstance(item, Work)
        segment = streamed.get(item.node)
        if segment is None:
            items.append(item)
        elif segment[0] not in done:
            done.update(segment)
            works, kept = _stream_segment(graph, lowered, segment)
            items.extend(roll(works))
            rings.update(kept)
    return Schedule(tuple(items), rings)


def _stream_segment(
    graph: Graph, lowered: Mapping[int, Lowered], segment: Sequence[int]
) -> tuple[list[Work], dict[int, int]]:
    """Rows in the order of demand, and the ring size of every tensor inside the segment."""
    _check_segment(graph, lowered, segment)
    stream = _Stream(graph, lowered, segment)
    last = segment[-1]
    for row in range(output_rows(graph, last)[1]):
        stream.produce(last, row)
    return _band(stream.works), stream.rings


def _check_segment(graph: Graph, lowered: Mapping[int, Lowered], segment: Sequence[int]) -> None:
    inside = set(segment)
    for node in segment:
        name = f"{graph.nodes[node].op} {graph.nodes[node].name!r}"
        if node not in lowered or not lowered[node].by_rows or output_rows(graph, node)[0] != 1:
            raise PlanError(f"{name} can't be streamed: it needs a row kernel and a batch of 1")
        for tensor in graph.nodes[node].outputs if node != segment[-1] else ():
            if tensor in graph.outputs or not inside.issuperset(graph.consumers[tensor]):
                raise PlanError(
                    f"{name} can't be streamed: its output is read outside the segment; "
                    "end the segment there"
                )


class _Stream:
    """Simulates a segment: which rows are made when, and how many must be kept."""

    def __init__(
        self, graph: Graph, lowered: Mapping[int, Lowered], segment: Sequence[int]
    ) -> None:
        self.graph = graph
        self.segment = set(segment)
        self.internal = {graph.nodes[node].outputs[0] for node in segment[:-1]}
        self.made = dict.fromkeys(segment, 0)  # rows made so far by each node
        self.works: list[Work] = []
        self.rings: dict[int, int] = {}
        self.reads: dict[int, list[Cursor]] = {
            node: [
                f
                for f in lowered[node].fields.values()
                if isinstance(f, Cursor) and f.tensor not in graph.nodes[node].outputs
            ]
            for node in segment
        }

    def produce(self, node: int, row: int) -> None:
        """Make a node's rows up to `row`, and first what they need."""
        while self.made[node] <= row:
            for cursor in self.reads[node]:
                source = self.graph.producers.get(cursor.tensor)
                if source in self.segment:
                    rows = output_rows(self.graph, source)[1]
                    needed = cursor.first + self.made[node] * cursor.step + cursor.extent - 1
                    self.produce(source, min(needed, rows - 1))
            self.works.append(Work(node, self.made[node], self.made[node] + 1))
            self.made[node] += 1
            self._grow_ring(node)

    def _grow_ring(self, node: int) -> None:
        """The ring holds from the oldest row that a reader still needs to the row just made.

        A reader that is about to run still needs its window, which its next row determines.
        """
        tensor = self.graph.nodes[node].outputs[0]
        if tensor not in self.internal:
            return
        oldest = self.made[node]
        for reader in self.graph.consumers[tensor]:
            if self.made[reader] < output_rows(self.graph, reader)[1]:
                for cursor in self.reads[reader]:
                    if cursor.tensor == tensor:
                        oldest = min(oldest, cursor.first + self.made[reader] * cursor.step)
        kept = self.made[node] - max(oldest, 0)
        self.rings[tensor] = max(self.rings.get(tensor, 1), kept)


def _band(works: Sequence[Work]) -> list[Work]:
    """Merge works that make consecutive rows of one node."""
    banded: list[Work] = []
    for work in works:
        if banded and banded[-1].node == work.node and banded[-1].end == work.begin:
            banded[-1] = replace(banded[-1], end=work.end)
        else:
            banded.append(work)
    return banded


def roll(works: Sequence[Work]) -> list[Work | Repeat]:
    """Compress runs of the same nodes at steadily advancing rows into loops."""
    rolled: list[Work | Repeat] = []
    position = 0
    while position < len(works):
        best: Repeat | None = None
        for length in range(1, min(LONGEST_BODY, (len(works) - position) // 2) + 1):
            loop = _loop_at(works, position, length)
            if loop and (best is None or _saved(loop) > _saved(best)):
                best = loop
        rolled.append(best or works[position])
        position += best.count * len(best.body) if best else 1
    return rolled


def _saved(loop: Repeat) -> int:
    return (loop.count - 1) * len(loop.body)


def _loop_at(works: Sequence[Work], start: int, length: int) -> Repeat | None:
    body = tuple(works[start : start + length])
    following = works[start + length : start + 2 * length]
    advance = tuple(b.begin - a.begin for a, b in zip(body, following, strict=True))
    count = 1
    while True:
        passed = works[start + count * length : start + (count + 1) * length]
        expected = [
            replace(w, begin=w.begin + count * by, end=w.end + count * by)
            for w, by in zip(body, advance, strict=True)
        ]
        if list(passed) != expected:
            break
        count += 1
    return Repeat(count, body, advance) if count > 2 else None
