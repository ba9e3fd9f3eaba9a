"""Native twin of `kernels/bmax_pool2d.py`."""

from __future__ import annotations

import numpy as np

from ..bmax_pool2d import WORDS
from .conv2d import first_tap, last_tap
from .memory import int32_at
from .registry import kernel

P = WORDS.index


@kernel
def bmax_pool2d(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
    words = p[P.channels]
    for row in range(p[P.rows]):
        y = int32_at(arena, y_rows[row])
        for column in range(p[P.width]):
            left = column * p[P.stride_width] - p[P.pad_left]
            begin, end = first_tap(left, 1), last_tap(left, 1, p[P.window_width], p[P.in_width])
            for word in range(words):
                met = np.int32(-1)
                for ky in range(p[P.window_height]):
                    line = x_rows[row * p[P.stride_height] + ky]
                    if line >= 0:
                        x = int32_at(arena, line)
                        for kx in range(begin, end):
                            met = np.int32(met & x[(left + kx) * words + word])
                y[column * words + word] = met
