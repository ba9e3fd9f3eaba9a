"""Native twins of `kernels/gather.py`."""

from __future__ import annotations

from ..gather import GATHER, GATHER_ND
from .copying import copy_run
from .fixedpoint import clamp, inline
from .memory import int8_at, int32_at, int64_at
from .registry import kernel

P = GATHER.index
N = GATHER_ND.index


@inline
def _index(indices, place, wide, size):  # type: ignore[no-untyped-def]
    """An index inside an axis of `size`."""
    value = int64_at(indices, 8 * place)[0] if wide else int32_at(indices, 4 * place)[0] + 0
    return clamp(value + size if value < 0 else value, 0, size - 1)


@kernel
def gather(arena, constants, p):  # type: ignore[no-untyped-def]
    x = int8_at(constants if p[P.x_constant] else arena, p[P.x])
    indices = int8_at(constants if p[P.indices_constant] else arena, p[P.indices])
    y, count, size, length = int8_at(arena, p[P.y]), p[P.count], p[P.size], p[P.bytes]
    at = 0
    for batch in range(p[P.batch]):
        for outer in range(p[P.outer]):
            start = (batch * p[P.outer] + outer) * size
            for i in range(count):
                place = start + _index(indices, batch * count + i, p[P.wide] != 0, size)
                copy_run(int8_at(y, at), int8_at(x, place * length), length, 1, 1)
                at += length


@kernel
def gather_nd(arena, constants, p):  # type: ignore[no-untyped-def]
    x = int8_at(constants if p[N.x_constant] else arena, p[N.x])
    indices = int8_at(constants if p[N.indices_constant] else arena, p[N.indices])
    y, depth, length = int8_at(arena, p[N.y]), p[N.depth], p[N.bytes]
    axes = int32_at(constants, p[N.axes])
    for i in range(p[N.count]):
        place = 0
        for axis in range(depth):
            index = _index(indices, i * depth + axis, p[N.wide] != 0, axes[axis])
            place += index * axes[depth + axis]
        copy_run(int8_at(y, i * length), int8_at(x, place), length, 1, 1)
