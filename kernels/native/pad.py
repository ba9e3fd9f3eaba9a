"""Native twins of `kernels/pad.py`."""

from __future__ import annotations

from ..pad import FLAT, ROWS
from .copying import fill_bytes
from .fixedpoint import inline
from .memory import copy_bytes, int8_at, int32_at
from .registry import kernel

PR = ROWS.index
PF = FLAT.index


@inline
def _bordered(y, x, pattern, p):  # type: ignore[no-untyped-def]
    """One row, from its first byte to its last, so that it may lie over x."""
    before, chunk, after = p[PR.before], p[PR.chunk], p[PR.after]
    fill_bytes(y, pattern, p[PR.left])
    y = int8_at(y, p[PR.left])
    for column in range(p[PR.columns]):
        fill_bytes(y, pattern, before)
        copy_bytes(int8_at(y, before), int8_at(x, column * chunk), chunk)
        fill_bytes(int8_at(y, before + chunk), pattern, after)
        y = int8_at(y, before + chunk + after)
    fill_bytes(y, pattern, p[PR.right])


@kernel
def pad_rows(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[PR.x]), int32_at(constants, p[PR.y])
    pattern = int8_at(constants, p[PR.fill])
    pixels = p[PR.columns] * (p[PR.before] + p[PR.chunk] + p[PR.after])
    for row in range(p[PR.rows]):
        y = int8_at(arena, y_rows[row])
        if x_rows[row] < 0:
            fill_bytes(y, pattern, p[PR.left] + pixels + p[PR.right])
        else:
            _bordered(y, int8_at(arena, x_rows[row]), pattern, p)


@kernel
def pad_flat(arena, constants, p):  # type: ignore[no-untyped-def]
    sizes = int32_at(constants, p[PF.axes])
    steps = int32_at(constants, p[PF.axes] + 20)
    chunk, x, at = p[PF.chunk], int8_at(arena, p[PF.x]), 0
    fill_bytes(int8_at(arena, p[PF.y]), int8_at(constants, p[PF.fill]), p[PF.bytes])
    y = int8_at(arena, p[PF.y] + p[PF.start])
    for a in range(sizes[0]):
        for b in range(sizes[1]):
            for c in range(sizes[2]):
                for d in range(sizes[3]):
                    for e in range(sizes[4]):
                        place = a * steps[0] + b * steps[1] + c * steps[2] + d * steps[3]
                        copy_bytes(int8_at(y, place + e * steps[4]), int8_at(x, at), chunk)
                        at += chunk
