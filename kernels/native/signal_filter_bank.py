"""Native twins of `kernels/signal_filter_bank.py`.

Numba makes a float of a signed and an unsigned number, so all are made one or the other first.
"""

from __future__ import annotations

import numpy as np

from ..signal_filter_bank import (
    FILTER_BANK,
    LN_2,
    LOG,
    OUTPUT_BITS,
    PCAN,
    SEGMENTS,
    SNR_BITS,
    SQUARE_ROOT,
    SUBTRACTION,
)
from .fixedpoint import inline
from .memory import int16_at, int32_at, int64_at, uint32_at, uint64_at
from .registry import kernel

B = FILTER_BANK.index
R = SQUARE_ROOT.index
S = SUBTRACTION.index
P = PCAN.index
G = LOG.index
SEGMENT = 65536 // SEGMENTS
SQUARE_SHIFT, LINE_SHIFT = 2 + 2 * SNR_BITS - OUTPUT_BITS, SNR_BITS - OUTPUT_BITS


@kernel
def signal_filter_bank_u32(arena, constants, p):  # type: ignore[no-untyped-def]
    x, y = uint32_at(arena, p[B.x]), int64_at(arena, p[B.y])
    weights, unweights = int16_at(constants, p[B.weights]), int16_at(constants, p[B.unweights])
    frequencies, starts = int16_at(constants, p[B.frequencies]), int16_at(constants, p[B.starts])
    widths, total = int16_at(constants, p[B.widths]), np.int64(0)
    for channel in range(p[B.channels] + 1):
        rest = np.int64(0)
        for i in range(widths[channel]):
            energy = np.int64(x[frequencies[channel] + i])
            total += energy * weights[starts[channel] + i]
            rest += energy * unweights[starts[channel] + i]
        if channel:
            y[channel - 1] = total
        total = rest


@inline
def _root(x):  # type: ignore[no-untyped-def]
    """The nearest whole root of a uint64."""
    one, two = np.uint64(1), np.uint64(2)
    root, rest = np.uint64(0), x
    bit = np.uint64(1) << np.uint64(62)
    while bit > x:
        bit >>= two
    while bit != np.uint64(0):
        if rest >= root + bit:
            rest -= root + bit
            root = (root >> one) + bit
        else:
            root >>= one
        bit >>= two
    most = np.uint64(0xFFFF) if x >> np.uint64(32) == np.uint64(0) else np.uint64(0xFFFFFFFF)
    return root + one if rest > root and root != most else root


@kernel
def signal_filter_bank_square_root_u64(arena, constants, p):  # type: ignore[no-untyped-def]
    x, y = uint64_at(arena, p[R.x]), uint32_at(arena, p[R.y])
    shift = np.uint64(int32_at(arena, p[R.bits])[0] & 31)
    for i in range(p[R.count]):
        y[i] = np.uint32(_root(x[i]) >> shift)


@kernel
def signal_filter_bank_spectral_subtraction_u32(arena, constants, p):  # type: ignore[no-untyped-def]
    x, y = uint32_at(arena, p[S.x]), uint32_at(arena, p[S.y])
    noises, state = uint32_at(arena, p[S.noise]), uint32_at(arena, p[S.state])
    bits, smoothing = np.uint64(p[S.bits]), np.uint64(p[S.smoothing_bits])
    floor = np.uint64(p[S.floor])
    for i in range(p[S.channels]):
        signal = np.uint64(np.uint32(np.uint64(x[i]) << smoothing))
        weight = np.uint64(p[S.odd] if i & 1 else p[S.even])
        kept = np.uint64(p[S.odd_noise] if i & 1 else p[S.even_noise])
        noise = np.uint64(np.uint32((signal * weight + np.uint64(state[i]) * kept) >> bits))
        below = min(noise, signal)
        state[i] = np.uint32(below if p[S.clamping] else noise)
        least = np.uint32((np.uint64(x[i]) * floor) >> bits)
        y[i] = max(np.uint32((signal - below) >> smoothing), least)
        noises[i] = state[i]


@inline
def _gain(noise, gains):  # type: ignore[no-untyped-def]
    """An int16, of int32 arithmetic that wraps."""
    if noise <= 2:
        return np.int64(gains[noise])
    bits = 0
    while noise >> bits:
        bits += 1
    first = 4 * bits - 6
    fraction = (noise << (11 - bits) if bits < 11 else noise >> (bits - 11)) & 0x3FF
    rise = np.int32(((gains[first + 2] * fraction) >> 5) + (gains[first + 1] << 5))
    rounded = np.int32(rise * fraction + (1 << 14)) >> 15
    return np.int64(np.int16(rounded + gains[first]))


@kernel
def signal_pcan_u32(arena, constants, p):  # type: ignore[no-untyped-def]
    x, y, gains = (
        uint32_at(arena, p[P.x]),
        uint32_at(arena, p[P.y]),
        int16_at(constants, p[P.gains]),
    )
    noise, shift = uint32_at(arena, p[P.noise]), np.uint64(p[P.snr_shift])
    for i in range(p[P.count]):
        gain = np.uint64(np.uint32(_gain(np.int64(noise[i]), gains)))
        ratio = np.int64(np.uint32((np.uint64(x[i]) * gain) >> shift))
        if ratio < 2 << SNR_BITS:
            y[i] = np.uint32((ratio * ratio) >> SQUARE_SHIFT)
        else:
            y[i] = np.uint32((ratio >> LINE_SHIFT) - (1 << OUTPUT_BITS))


@inline
def _log(x, scale, table):  # type: ignore[no-untyped-def]
    """The scaled logarithm of a number from 2 to 2**32 - 1."""
    whole = 0
    while x >> (whole + 1):
        whole += 1
    fraction = ((x - (np.int64(1) << whole)) << 16) >> whole
    segment = fraction // SEGMENT
    line = ((table[segment + 1] - table[segment]) * (fraction - segment * SEGMENT)) >> 16
    log2 = (whole << 16) + fraction + table[segment] + line
    natural = (LN_2 * log2 + 32768) >> 16
    return np.int64(np.uint32(scale * natural + 32768)) >> 16


@kernel
def signal_filter_bank_log_u32(arena, constants, p):  # type: ignore[no-untyped-def]
    x, y = uint32_at(arena, p[G.x]), int16_at(arena, p[G.y])
    table, scale = int16_at(constants, p[G.corrections]), p[G.scale]
    for i in range(p[G.count]):
        scaled = np.int64(np.uint32(np.int64(x[i]) << p[G.shift]))
        y[i] = np.int16(min(_log(scaled, scale, table), 32767) if scaled > 1 else 0)
