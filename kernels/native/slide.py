"""Native twin of `kernels/slide.py`."""

from __future__ import annotations

from ..slide import SLIDE
from .memory import copy_bytes, int8_at
from .registry import kernel

P = SLIDE.index


@kernel
def slide(arena, constants, p):  # type: ignore[no-untyped-def]
    kept = int8_at(arena, p[P.state] + p[P.above_bytes])
    copy_bytes(kept, int8_at(kept, p[P.by]), p[P.kept])
    copy_bytes(int8_at(kept, p[P.kept]), int8_at(arena, p[P.below]), p[P.below_bytes])
    copy_bytes(int8_at(arena, p[P.state]), int8_at(arena, p[P.above]), p[P.above_bytes])
