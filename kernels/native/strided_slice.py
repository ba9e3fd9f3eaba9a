"""Native twins of `kernels/strided_slice.py`."""

from __future__ import annotations

from ..strided_slice import COPY, ROWS
from .copying import copy_run
from .memory import int8_at, int32_at
from .registry import kernel

PR = ROWS.index
PC = COPY.index


@kernel
def strided_slice_rows(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[PR.x]), int32_at(constants, p[PR.y])
    channels, size = p[PR.channels], p[PR.size]
    for row in range(p[PR.rows]):
        x = int8_at(arena, x_rows[row * p[PR.step]] + p[PR.offset])
        y = int8_at(arena, y_rows[row])
        for column in range(p[PR.columns]):
            source = int8_at(x, column * p[PR.column_step])
            target = int8_at(y, column * channels * size)
            copy_run(target, source, channels, p[PR.channel_step], size)


@kernel
def strided_copy(arena, constants, p):  # type: ignore[no-untyped-def]
    counts = int32_at(constants, p[PC.axes])
    steps = int32_at(constants, p[PC.axes] + 24)
    size = p[PC.size]
    x, at = int8_at(arena, p[PC.x] + p[PC.offset]), p[PC.y]
    for a in range(counts[0]):
        for b in range(counts[1]):
            for c in range(counts[2]):
                for d in range(counts[3]):
                    for e in range(counts[4]):
                        place = a * steps[0] + b * steps[1] + c * steps[2]
                        place += d * steps[3] + e * steps[4]
                        source = int8_at(x, place)
                        copy_run(int8_at(arena, at), source, counts[5], steps[5], size)
                        at += counts[5] * size
