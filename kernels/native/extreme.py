"""Native twins of `kernels/extreme.py`."""

from __future__ import annotations

from typing import Any

from ..extreme import KERNELS
from ..operation import Layout
from .elementwise import Native, register
from .fixedpoint import inline
from .memory import float32_at, int8_at, int16_at, int32_at, int64_at

_AT = {"s8": int8_at, "s16": int16_at, "s32": int32_at, "f32": float32_at}


@inline
def _beyond(value, best, least, last):  # type: ignore[no-untyped-def]
    """Whether a number takes the place of the best before it."""
    if value != value or best != best:
        return value != value and (last or best == best)
    if value == best:
        return last
    return value < best if least else value > best


def _walk(words: Layout, at: Native) -> Native:
    P: Any = words.index

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        x, size, inner = at(arena, p[P.x]), p[P.size], p[P.inner]
        least, last = p[P.least] != 0, p[P.last] != 0
        for outer in range(p[P.outer]):
            for i in range(inner):
                start, place = outer * size * inner + i, 0
                best = x[start]
                for j in range(1, size):
                    value = x[start + j * inner]
                    if _beyond(value, best, least, last):
                        best, place = value, j
                if p[P.wide]:
                    int64_at(arena, p[P.y])[outer * inner + i] = place
                else:
                    int32_at(arena, p[P.y])[outer * inner + i] = place

    return walk


for _suffix, _words in KERNELS.items():
    register(_words, _walk(_words, _AT[_suffix]))
