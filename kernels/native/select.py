"""Native twin of `kernels/select.py`."""

from __future__ import annotations

from ..elementwise import AXES
from ..select import SELECT
from .copying import copy_run
from .memory import int8_at, int32_at
from .registry import kernel

P = SELECT.index


@kernel
def select(arena, constants, p):  # type: ignore[no-untyped-def]
    axes, size, at = int32_at(constants, p[P.axes]), p[P.size], p[P.y]
    condition = int8_at(constants if p[P.condition_constant] else arena, p[P.condition])
    a = int8_at(constants if p[P.a_constant] else arena, p[P.a])
    b = int8_at(constants if p[P.b_constant] else arena, p[P.b])
    count = 1
    for axis in range(AXES):
        count *= axes[axis]
    for index in range(count):
        rest = index
        condition_place = a_place = b_place = 0
        for axis in range(AXES - 1, -1, -1):
            place = rest % axes[axis]
            rest //= axes[axis]
            condition_place += place * axes[AXES + axis]
            a_place += place * axes[2 * AXES + axis]
            b_place += place * axes[3 * AXES + axis]
        chosen = (
            int8_at(a, a_place * size) if condition[condition_place] else int8_at(b, b_place * size)
        )
        copy_run(int8_at(arena, at), chosen, 1, size, size)
        at += size
