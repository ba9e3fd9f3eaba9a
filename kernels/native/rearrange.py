"""Native twin of `kernels/rearrange.py`."""

from __future__ import annotations

from ..rearrange import COPY_BY_TABLES, TABLES
from .copying import copy_run
from .memory import int8_at, int32_at
from .registry import kernel

P = COPY_BY_TABLES.index

assert TABLES == 5  # as many loops as below


@kernel
def table_copy(arena, constants, p):  # type: ignore[no-untyped-def]
    counts, count, step, size = int32_at(constants, p[P.axes]), p[P.count], p[P.step], p[P.size]
    x, at = int8_at(arena, p[P.x] + p[P.offset]), p[P.y]
    second = TABLES + counts[0]
    third = second + counts[1]
    fourth = third + counts[2]
    last = fourth + counts[3]
    for a in range(counts[0]):
        for b in range(counts[1]):
            for c in range(counts[2]):
                start = counts[TABLES + a] + counts[second + b] + counts[third + c]
                for d in range(counts[3]):
                    for e in range(counts[4]):
                        place = start + counts[fourth + d] + counts[last + e]
                        copy_run(int8_at(arena, at), int8_at(x, place), count, step, size)
                        at += count * size
