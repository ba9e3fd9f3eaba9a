"""Rows written over the oldest row of the window that they are made of, inside a streamed segment.

A depthwise convolution needs k rows of a ring for a row of its output, and the oldest of them never
again. So where its output is kept for one row only, that row lies over the oldest: each pixel where
an input pixel was that no later window sees, which is some pixels further left. These are left free
before every row of the ring. A ring of k rows and an output of one take k rows and k gaps then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .flow import Flow, Operation, Read


@dataclass(frozen=True)
class Over:
    """Row r of a tensor lies `gap` bytes before row first + r * step of the ring of `home`."""

    home: int
    gap: int  # bytes before each row of the ring
    first: int
    step: int


def written_over(
    flow: Flow,
    begin: int,
    end: int,
    works: Sequence[tuple[int, int]],
    rings: Mapping[int, int],
    taken: set[int],
) -> dict[int, Over]:
    """The tensors of one row that can lie over their input's; those in `taken` lie elsewhere."""
    found: dict[int, Over] = {}
    times: dict[int, dict[int, int]] = {}
    for time, (position, row) in enumerate(works):
        times.setdefault(position, {})[row] = time
    for position in range(begin, end):
        operation = flow.operations[position]
        read = _window(flow, operation, rings, taken | found.keys())
        if read is None or operation.behind is None:
            continue
        gap, ring = operation.behind, rings[read.home]
        saves = operation.row_bytes > gap * ring
        if saves and _in_time(flow, position, read, ring, times):
            found[operation.home] = Over(read.home, gap, read.first, read.step)
            taken = taken | {read.home}
    return found


def _window(
    flow: Flow, operation: Operation, rings: Mapping[int, int], taken: set[int]
) -> Read | None:
    """What an operation reads, if nobody else does, and its output is there for one row."""
    if len(operation.reads) != 1 or operation.takes or rings.get(operation.home) != 1:
        return None
    (read,) = operation.reads
    readers = sum(r.home == read.home for other in flow.operations for r in other.reads)
    parts = read.place.is_part(read.row_bytes) or operation.place.is_part(operation.row_bytes)
    apart = taken.isdisjoint((read.home, operation.home))
    alone = readers == 1 and read.tensor == read.home and operation.output == operation.home
    if read.home in rings and read.step and alone and apart and not parts:
        return read
    return None


def _in_time(
    flow: Flow, position: int, read: Read, ring: int, times: Mapping[int, Mapping[int, int]]
) -> bool:
    """True if each row is read for the last time before the ring comes round to its place."""
    home = flow.operations[position].home
    last = dict(times[position])
    for reader, operation in enumerate(flow.operations):
        for r in operation.reads:
            if r.home != home:
                continue
            for row, time in times.get(reader, {}).items():
                first = r.first + row * r.step
                for number in range(first, first + r.extent) if r.step else list(last):
                    if number in last:
                        last[number] = max(last[number], time)
    made = times[read.source]
    later = ((made.get(read.first + row * read.step + ring), time) for row, time in last.items())
    return all(written is None or written > time for written, time in later)
