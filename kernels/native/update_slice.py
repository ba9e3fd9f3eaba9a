"""Native twin of `kernels/update_slice.py`."""

from __future__ import annotations

from ..update_slice import UPDATE_SLICE
from .fixedpoint import clamp
from .memory import copy_bytes, int8_at, int32_at, int64_at
from .registry import kernel

P = UPDATE_SLICE.index


@kernel
def update_slice(arena, constants, p):  # type: ignore[no-untyped-def]
    x = int8_at(constants if p[P.x_constant] else arena, p[P.x])
    part = int8_at(constants if p[P.part_constant] else arena, p[P.part])
    indices = int8_at(constants if p[P.indices_constant] else arena, p[P.indices])
    y, rank, length = int8_at(arena, p[P.y]), p[P.rank], p[P.length]
    axes = int32_at(constants, p[P.axes])
    copy_bytes(y, x, p[P.bytes])
    start = 0
    for axis in range(rank):
        wide = p[P.wide] != 0
        index = int64_at(indices, 8 * axis)[0] if wide else int32_at(indices, 4 * axis)[0] + 0
        start += clamp(index, 0, axes[axis]) * axes[rank + axis]
    for run in range(p[P.runs]):
        place, rest = start, run
        for axis in range(rank - 1, -1, -1):
            size = axes[2 * rank + axis]
            place += rest % size * axes[rank + axis]
            rest //= size
        copy_bytes(int8_at(y, place), int8_at(part, run * length), length)
