"""Native twin of `kernels/split.py`."""

from __future__ import annotations

from ..split import FLAT
from .memory import copy_bytes, int8_at, int32_at
from .registry import kernel

P = FLAT.index


@kernel
def split_flat(arena, constants, p):  # type: ignore[no-untyped-def]
    chunks, x = int32_at(constants, p[P.chunks]), int8_at(arena, p[P.x])
    for block in range(p[P.blocks]):
        for i in range(p[P.count]):
            y = int8_at(arena, p[P.y0 + i] + block * chunks[i])
            copy_bytes(y, x, chunks[i])
            x = int8_at(x, chunks[i])
