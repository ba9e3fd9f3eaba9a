"""Native twins of `kernels/concatenation.py`."""

from __future__ import annotations

from ..concatenation import FLAT, ROWS
from .fixedpoint import inline
from .memory import copy_bytes, int8_at, int32_at
from .registry import kernel

PR = ROWS.index
PF = FLAT.index


@inline
def _place(y, x, count, tables, table):  # type: ignore[no-untyped-def]
    """`count` bytes of x, through the table at byte `table` of `tables` if there is one."""
    if table < 0:
        copy_bytes(y, x, count)
    else:
        answers = int8_at(tables, table + 128)
        for i in range(count):
            y[i] = answers[x[i]]


@kernel
def concatenation_rows(arena, constants, p):  # type: ignore[no-untyped-def]
    chunks, y_rows = int32_at(constants, p[PR.chunks]), int32_at(constants, p[PR.y])
    tables = int8_at(constants, p[PR.tables])
    places = int32_at(tables, 0)
    for row in range(p[PR.rows]):
        y = int8_at(arena, y_rows[row])
        for block in range(p[PR.blocks]):
            for i in range(p[PR.count]):
                x_row = int32_at(constants, p[PR.x0 + i])[row]
                if x_row >= 0:
                    x = int8_at(arena, x_row + block * chunks[i])
                    _place(y, x, chunks[i], tables, places[i])
                    y = int8_at(y, chunks[i])


@kernel
def concatenation_flat(arena, constants, p):  # type: ignore[no-untyped-def]
    chunks, y = int32_at(constants, p[PF.chunks]), int8_at(arena, p[PF.y])
    tables = int8_at(constants, p[PF.tables])
    places = int32_at(tables, 0)
    for block in range(p[PF.blocks]):
        for i in range(p[PF.count]):
            at = p[PF.x0 + i] + block * chunks[i]
            x = int8_at(constants, at) if p[PF.constant] >> i & 1 else int8_at(arena, at)
            _place(y, x, chunks[i], tables, places[i])
            y = int8_at(y, chunks[i])
