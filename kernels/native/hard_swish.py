"""Native hard_swish: the twin of `kernels/hard_swish.py`."""

from __future__ import annotations

import numpy as np

from ..hard_swish import HARD_SWISH_F32
from .elementwise import line_of_one
from .fixedpoint import inline
from .memory import float32_at, int32_at
from .registry import kernel

HARD_SWISH = HARD_SWISH_F32.index


@inline
def _hard_swish(words, x):  # type: ignore[no-untyped-def]
    zero, three, six = words
    gate = x + three
    gate = gate if gate > zero else zero
    gate = gate if gate < six else six
    return x * gate / six


_hard_swish_line = line_of_one(float32_at, _hard_swish)


@kernel
def hard_swish_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    """x * clamp(x + 3, 0, 6) / 6."""
    words = np.float32(0), np.float32(3), np.float32(6)
    x_rows, y_rows = int32_at(constants, p[HARD_SWISH.x]), int32_at(constants, p[HARD_SWISH.y])
    for row in range(p[HARD_SWISH.rows]):
        x, y = float32_at(arena, x_rows[row]), float32_at(arena, y_rows[row])
        _hard_swish_line(y, x, p[HARD_SWISH.count], words)
