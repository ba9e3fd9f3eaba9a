"""Native look-up of int8 numbers: the twin of `kernels/lookup.py`."""

from __future__ import annotations

from ..lookup import LOOKUP_S8
from .memory import int8_at, int32_at
from .registry import kernel

LOOKUP = LOOKUP_S8.index


@kernel
def lookup_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    """Each int8 number replaced by its entry in a table of 256."""
    table = int8_at(constants, p[LOOKUP.table])
    x_rows, y_rows = int32_at(constants, p[LOOKUP.x]), int32_at(constants, p[LOOKUP.y])
    for row in range(p[LOOKUP.rows]):
        x, y = int8_at(arena, x_rows[row]), int8_at(arena, y_rows[row])
        for i in range(p[LOOKUP.count]):
            y[i] = table[x[i] + 128]
