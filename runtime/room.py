"""Which kernel makes a node, where a faster one wants scratch: the faster, if there is room for it.

A plan is first made of the frugal calls. Then each node goes back to the first of its calls whose
scratch fits into bytes that nobody uses meanwhile. The functions below say by how many bytes the
arena of the frugal calls may grow for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .lowering import Lowered, Scratch
from .program import Buffer
from .schedule import Schedule


def none(arena_bytes: int) -> int:
    """No bytes for speed."""
    return 0


def a_few(arena_bytes: int) -> int:
    """On a microcontroller: 1,792 bytes, of a small arena a quarter, of a tiny one 260 bytes."""
    return min(1792, max(arena_bytes // 4, 260))


def more(arena_bytes: int) -> int:
    """On a microcontroller with flash to spare: 2,560 bytes, as large a part of a small arena."""
    return min(2560, max(arena_bytes // 4, 260))


def some(arena_bytes: int) -> int:
    """On a computer that was asked for few bytes: 2 KB and a twenty-fifth."""
    return 2048 + arena_bytes // 25


def plenty(arena_bytes: int) -> int:
    """More than any scratch, where time is all that counts."""
    return 1 << 40


def scratch_bytes(call: Lowered) -> int:
    """The most that a field of the call asks for."""
    return max((f.size for f in call.fields.values() if isinstance(f, Scratch)), default=0)


def frugal(lowered: Mapping[int, Lowered]) -> dict[int, Lowered]:
    """Each node by the call that takes least scratch."""
    return {node: call.choices[-1] for node, call in lowered.items()}


def calls_with_room(
    lowered: Mapping[int, Lowered], schedule: Schedule, buffers: Sequence[Buffer], arena_bytes: int
) -> dict[int, Lowered]:
    """Each node's first choice whose scratch fits between these buffers, else the most frugal."""
    spans = {item: span for span in schedule.spans for item in range(span[0], span[1] + 1)}
    calls, gaps = frugal(lowered), {}
    for item in range(len(schedule.items)):
        first, last = spans.get(item, (item, item))
        for node in {work.node for work in schedule.works(item)}:
            if lowered[node].frugal is None:
                continue
            if (first, last) not in gaps:
                alive = [b for b in buffers if b.first <= last and first <= b.last]
                gaps[first, last] = _widest_gap(alive, arena_bytes)
            room = gaps[first, last]
            fitting = (c for c in lowered[node].choices if _aligned_scratch(c) <= room)
            calls[node] = next(fitting, calls[node])
    return calls


def _aligned_scratch(call: Lowered) -> int:
    """With what its alignment may cost."""
    fields = [f for f in call.fields.values() if isinstance(f, Scratch)]
    return scratch_bytes(call) + max((f.alignment for f in fields), default=1) - 1


def _widest_gap(alive: Iterable[Buffer], arena_bytes: int) -> int:
    """Most bytes in a row that none of the buffers lies on; scratch makes way."""
    widest = end = 0
    for buffer in sorted(alive, key=lambda b: b.offset):
        if buffer.name.startswith("scratch"):
            continue
        widest = max(widest, buffer.offset - end)
        end = max(end, buffer.offset + buffer.size)
    return max(widest, arena_bytes - end)
