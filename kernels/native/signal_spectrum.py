"""Native twins of `kernels/signal_spectrum.py`."""

from __future__ import annotations

import numpy as np

from ..signal_spectrum import AUTO_SCALE, ENERGY, WINDOW
from .fixedpoint import clamp
from .memory import int16_at, int32_at, uint32_at
from .registry import kernel

W = WINDOW.index
A = AUTO_SCALE.index
E = ENERGY.index


@kernel
def signal_window_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    weights, count, shift = int16_at(constants, p[W.weights]), p[W.count], p[W.shift]
    for row in range(p[W.rows]):
        start = 2 * row * count
        x, y = int16_at(arena, p[W.x] + start), int16_at(arena, p[W.y] + start)
        for i in range(count):
            y[i] = clamp((x[i] * weights[i]) >> shift, -32768, 32767)


@kernel
def signal_fft_auto_scale_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    x, y, count = int16_at(arena, p[A.x]), int16_at(arena, p[A.y]), p[A.count]
    greatest, bits = np.int64(0), np.int64(0)
    for i in range(count):
        if x[i] > greatest:
            greatest = np.int64(x[i])
        elif -x[i] > greatest:
            greatest = -x[i] if x[i] > -32768 else np.int64(x[i])
    while 0 < greatest << bits < 1 << 14:
        bits += 1
    for i in range(count):
        y[i] = np.int16(x[i] << bits)
    int32_at(arena, p[A.bits])[0] = bits


@kernel
def signal_energy_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    x, y = int16_at(arena, p[E.x]), uint32_at(arena, p[E.y])
    for i in range(p[E.count]):
        inside = p[E.start] <= i < p[E.end]
        square = x[2 * i] * x[2 * i] + x[2 * i + 1] * x[2 * i + 1]
        y[i] = np.uint32(square if inside else 0)
