"""Row streaming: in which order a segment of nodes makes its rows, and what has to be kept.

The nodes of a segment run row by row, driven by demand: a row is made when a later node needs it.
From the order that comes out, backwards, follows exactly how many rows of each tensor must be kept
(its ring), and how far the segment's outputs must stay behind the inputs that die in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from .flow import Flow, Operation
from .over import Over, written_over
from .places import Place


@dataclass(frozen=True)
class Span:
    """Something kept inside a segment, from the `first` to the `last` work that needs it."""

    first: int
    last: int
    units: int  # rows of a ring
    unit_bytes: int
    tensor: int | None  # None for sums
    gap: int = 0  # bytes before each row

    @property
    def bytes(self) -> int:
        return self.units * (self.unit_bytes + self.gap)


@dataclass(frozen=True)
class Stream:
    """How a segment runs."""

    works: tuple[tuple[int, int], ...]  # (position, row) in order
    rings: Mapping[int, int]  # tensor -> rows kept
    distances: Mapping[tuple[int, int], int]  # (dying input, output) -> see memory.Overlap
    spans: tuple[Span, ...]  # of rings and sums
    merged: Mapping[int, int]  # tensor -> the one in whose rows its own are made, to be replaced
    over: Mapping[int, Over] = field(default_factory=dict)  # tensor -> the ring it lies over

    @cached_property
    def ring_bytes(self) -> int:
        """Most bytes of rings and sums alive at one time."""
        return most_alive([(s.first, s.last, s.bytes) for s in self.spans])


def can_stream(flow: Flow, begin: int, end: int) -> bool:
    """True if the nodes begin .. end-1 can run row by row."""
    return all(operation.streams for operation in flow.operations[begin:end])


def stream(flow: Flow, begin: int, end: int) -> Stream:
    """Run the nodes begin .. end-1 row by row, in thought."""
    works = _order(flow, begin, end)
    apart = _Keeper(flow, begin, end, {}).keep(works)
    merged = _merges(flow, begin, end, apart)
    run = _Keeper(flow, begin, end, merged).keep(works) if merged else apart
    over = written_over(flow, begin, end, works, run.rings, {*merged, *merged.values()})
    return _with_gaps(run, over) if over else run


def _with_gaps(run: Stream, over: Mapping[int, Over]) -> Stream:
    """Rings that others lie over have gaps, and last as long as those."""
    gaps = {o.home: o.gap for o in over.values()}
    known = {span.tensor: span for span in run.spans if span.tensor is not None}
    longer = {o.home: known[tensor].last for tensor, o in over.items()}
    spans = tuple(
        replace(s, gap=gaps[s.tensor], last=max(s.last, longer[s.tensor]))
        if s.tensor in gaps
        else s
        for s in run.spans
        if s.tensor not in over
    )
    rings = {tensor: rows for tensor, rows in run.rings.items() if tensor not in over}
    return replace(run, rings=rings, spans=spans, over=over)


def _merges(flow: Flow, begin: int, end: int, apart: Stream) -> dict[int, int]:
    """Tensors of which one row is kept, for an elementwise reader that can work in place."""
    reads = [read for operation in flow.operations for read in operation.reads]
    merged: dict[int, int] = {}
    for operation in reversed(flow.operations[begin:end]):
        for read in operation.reads:
            alone = sum(other.home == read.home for other in reads) == 1
            if alone and apart.rings.get(read.home) == 1 and operation.is_in_place(read):
                merged[read.home] = merged.get(operation.output, operation.output)
                break
    return merged


def _order(flow: Flow, begin: int, end: int) -> list[tuple[int, int]]:
    """Rows in the order of demand; several ends advance in proportion.

    Of what a row needs, that of the latest node is made first.
    """
    operations = flow.operations
    works: list[tuple[int, int]] = []
    made = [0] * len(operations)
    demands = [sorted(operation.reads, key=lambda read: -read.source) for operation in operations]

    def produce(position: int, row: int) -> None:
        while made[position] <= row:
            count = min(operations[position].lot, operations[position].rows - made[position])
            end = made[position] + count
            for read in demands[position]:
                if read.source >= begin:
                    high = read.first + (end - 1) * read.step + read.extent
                    all_rows = not read.step or operations[read.source].takes
                    last = operations[read.source].rows if all_rows else min(high, read.rows)
                    if made[read.source] < last:
                        produce(read.source, last - 1)
            works.extend((position, number) for number in range(made[position], end))
            made[position] = end

    inner = {read.source for op in operations[begin:end] for read in op.reads}
    ends = [p for p in range(begin, end) if p not in inner]
    while ends:
        slowest = min(ends, key=lambda p: made[p] / operations[p].rows)
        produce(slowest, made[slowest])
        ends = [p for p in ends if made[p] < operations[p].rows]
    lasting = {life.home for life in flow.lives if life.death >= end or not life.ring}
    for position in range(begin, end):
        if (
            operations[position].home in lasting or not operations[position].reads
        ):  # every row of an input comes
            produce(position, operations[position].rows - 1)
    return works


class _Keeper:
    """Walks the works backwards; `oldest` is the first byte of each buffer still needed."""

    def __init__(self, flow: Flow, begin: int, end: int, merged: Mapping[int, int]) -> None:
        self.flow, self.merged = flow, merged
        inside = [life for life in flow.lives if begin <= life.birth < end]
        self.internal = {v.home for v in inside if v.death < end and v.ring}
        self.outputs = {v.home for v in inside if v.death >= end}
        self.dying = [
            v.home for v in flow.lives if v.birth < begin <= v.death < end and not v.variable
        ]
        self.oldest: dict[int, int] = {}
        self.rings: dict[int, int] = {}
        sizes = {life.home: life.size for life in flow.lives}
        self.distances = {(i, o): -sizes[i] for i in self.dying for o in self.outputs}

    def keep(self, works: Sequence[tuple[int, int]]) -> Stream:
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        sums: dict[int, tuple[int, int, int]] = {}
        for time in range(len(works) - 1, -1, -1):
            position, row = works[time]
            operation = self.flow.operations[position]
            place = self._place(operation.output)
            target, written = place.home, operation.written(row, place)
            if target in self.internal:
                self._keep_ring(operation, target, written)
                last.setdefault(target, time)
                if written:
                    first[target] = time
            elif target in self.outputs:
                self._stay_behind(operation, target, row, written)
            for read in operation.reads:
                low, home = operation.lowest_read(read, row), self._place(read.home).home
                self.oldest[home] = min(self.oldest.get(home, low), low)
                last.setdefault(home, time)
            if operation.sums:
                sums[position] = time, sums.get(position, (time, time))[1], operation.sums
        sizes = {op.home: op.place.pitch for op in self.flow.operations}
        spans = [Span(first[t], last[t], rows, sizes[t], t) for t, rows in self.rings.items()]
        spans += [Span(begin, end, 1, size, None) for begin, end, size in sums.values()]
        return Stream(tuple(works), self.rings, self.distances, tuple(spans), self.merged)

    def _place(self, tensor: int) -> Place:
        return self.flow.places[self.merged.get(tensor, tensor)]

    def _keep_ring(self, operation: Operation, target: int, written: int) -> None:
        """From the oldest row that a later work still reads to the one just written."""
        oldest = min(self.oldest.get(target, written), written)
        rows = max((written - oldest) // operation.place.pitch, 1)
        self.rings[target] = max(self.rings.get(target, 1), rows)

    def _stay_behind(self, operation: Operation, target: int, row: int, written: int) -> None:
        """The end of what is written must not reach what this work or a later one still reads."""
        for home in self.dying:
            needed = [self.oldest[home]] if home in self.oldest else []
            reads = [read for read in operation.reads if read.home == home]
            needed += [operation.reading(read, row) for read in reads]
            if needed:
                key = home, target
                distance = written - min(needed)
                self.distances[key] = max(self.distances[key], distance)


def most_alive(spans: Sequence[tuple[int, int, int]]) -> int:
    """Most bytes alive at one time, of (first time, last time, bytes)."""
    return max(
        (
            sum(size for first, last, size in spans if first <= time <= last)
            for time in {first for first, _, _ in spans}
        ),
        default=0,
    )
