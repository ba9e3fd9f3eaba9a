"""Native twin of `kernels/cast.py`."""

from __future__ import annotations

import numpy as np

from ..cast import CAST, FLOAT, KINDS
from .fixedpoint import inline
from .memory import float32_at, int8_at, int16_at, int32_at, int64_at, uint8_at
from .registry import kernel

P = CAST.index
BOOL, S8, U8, S16, S32, S64 = range(len(KINDS) - 1)


@inline
def _whole(x, i, kind):  # type: ignore[no-untyped-def]
    """Number i of a whole type."""
    if kind == U8:
        return np.int64(uint8_at(x, i)[0])
    if kind == S16:
        return np.int64(int16_at(x, 2 * i)[0])
    if kind == S32:
        return np.int64(int32_at(x, 4 * i)[0])
    return int64_at(x, 8 * i)[0] if kind == S64 else np.int64(x[i])


@inline
def _cut(value, kind):  # type: ignore[no-untyped-def]
    """A float without its fraction."""
    limit = np.float32(2.0**63) if kind == S64 else np.float32(2.0**31)
    if value >= -limit and value < limit:
        return np.int64(value)
    return np.int64(-(2**63)) if kind == S64 else np.int64(-(2**31))


@inline
def _put(y, i, kind, value):  # type: ignore[no-untyped-def]
    if kind == S16:
        int16_at(y, 2 * i)[0] = np.int16(value)
    elif kind == S32:
        int32_at(y, 4 * i)[0] = np.int32(value)
    elif kind == S64:
        int64_at(y, 8 * i)[0] = value
    elif kind == FLOAT:
        float32_at(y, 4 * i)[0] = np.float32(value)
    else:
        y[i] = np.int8(value != 0) if kind == BOOL else np.int8(value)


@kernel
def cast(arena, constants, p):  # type: ignore[no-untyped-def]
    source, target = p[P.source], p[P.target]
    x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
    for row in range(p[P.rows]):
        x, y = int8_at(arena, x_rows[row]), int8_at(arena, y_rows[row])
        for i in range(p[P.count]):
            if source != FLOAT:
                _put(y, i, target, _whole(x, i, source))
            elif target == FLOAT:
                float32_at(y, 4 * i)[0] = float32_at(x, 4 * i)[0]
            elif target == BOOL:
                y[i] = np.int8(float32_at(x, 4 * i)[0] != 0)
            else:
                _put(y, i, target, _cut(float32_at(x, 4 * i)[0], target))
