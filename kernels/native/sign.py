"""Native twin of `kernels/sign.py`."""

from __future__ import annotations

import numpy as np

from ..sign import F32
from .memory import float32_at, int32_at
from .registry import kernel

P = F32.index


@kernel
def sign_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
    for row in range(p[P.rows]):
        x, y = float32_at(arena, x_rows[row]), float32_at(arena, y_rows[row])
        for i in range(p[P.count]):
            y[i] = np.float32(x[i] > 0) - np.float32(x[i] < 0)
