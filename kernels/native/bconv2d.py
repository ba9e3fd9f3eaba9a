"""Native twins of `kernels/bconv2d.py`: what an output pixel sees is gathered, then each filter's
bits are compared with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...runtime.graph import BINARY
from ..bconv2d import BITS_ONE, LAYOUTS, MEAN_OF_BOTH
from .conv2d import first_tap, last_tap
from .fixedpoint import add32, clamp, inline
from .memory import float32_at, int8_at, int32_at
from .popcount import popcount
from .registry import kernel

PF, P8, PB = (LAYOUTS[dtype].index for dtype in ("float32", "int8", BINARY))


@inline
def gather(window, arena, p, P, lines, left, group, outside):  # type: ignore[no-untyped-def]
    """What one output pixel and group sees, by plane and tap; true if some of it is outside.

    Bits outside the image are those of `outside`, in a pixel's last word cut to its channels.
    """
    words, taps, planes = p[P.words], p[P.kernel_width], p[P.planes]
    per_plane = p[P.in_words] // planes
    begin = first_tap(left, p[P.dilation_width])
    end = last_tap(left, p[P.dilation_width], taps, p[P.in_width])
    last_outside = outside & p[P.tail]
    whole = True
    at = 0
    for plane in range(planes):
        for ky in range(p[P.kernel_height]):
            line = lines[ky * p[P.dilation_height]]
            for kx in range(taps):
                if line >= 0 and begin <= kx and kx < end:
                    column = left + kx * p[P.dilation_width]
                    start = column * p[P.in_words] + plane * per_plane + group * words
                    x = int32_at(arena, line + 4 * start)
                    for i in range(words):
                        window[at + i] = x[i]
                else:
                    whole = False
                    for i in range(words - 1):
                        window[at + i] = outside
                    window[at + words - 1] = last_outside
                at += words
    return not whole


@inline
def count(x, w, words, plain):  # type: ignore[no-untyped-def]
    """How many bits differ, or if `plain` are 1 in both."""
    total = np.int32(0)
    if plain:
        for i in range(words):
            total = add32(total, popcount(np.int32(x[i] & w[i])))
    else:
        for i in range(words):
            total = add32(total, popcount(np.int32(x[i] ^ w[i])))
    return total


@inline
def sum_of(window, other, weights, pairs, size, p, P, gates, o):  # type: ignore[no-untyped-def]
    """v of one filter. `other` is the window with all bits outside 1; the mean of both is taken."""
    v = 0
    for pair in range(p[P.pair_count]):
        if pair == 1 and p[P.gated] and v >= gates[o]:
            return v + p[P.closed]
        x = pairs[3 * pair] * size
        w = int32_at(weights, 4 * ((o * p[P.weight_planes] + pairs[3 * pair + 1]) * size))
        bits = count(int32_at(window, 4 * x), w, size, p[P.plain])
        if p[P.plain]:
            v -= pairs[3 * pair + 2] * bits
        else:
            bits += count(int32_at(other, 4 * x), w, size, False)
            v += pairs[3 * pair + 2] * bits
    return v


def _convolution(P: Any, name: str, put: Any) -> Callable[..., None]:
    def bconv2d(arena, constants, p):  # type: ignore[no-untyped-def]
        y_rows = int32_at(constants, p[P.y])
        weights, pairs = int8_at(constants, p[P.weights]), int32_at(constants, p[P.pairs])
        gates = int32_at(constants, p[P.gates])
        filters, group_filters = p[P.filters], p[P.group_filters]
        size = p[P.kernel_height] * p[P.kernel_width] * p[P.words]
        window = int8_at(arena, p[P.window])
        second = int8_at(window, 4 * size * p[P.planes])
        fill = np.int32(-1) if p[P.padding] == BITS_ONE else np.int32(0)
        for row in range(p[P.rows]):
            lines = int32_at(constants, p[P.x] + 4 * row * p[P.stride_height])
            for column in range(p[P.width]):
                left = column * p[P.stride_width] - p[P.pad_left]
                for first in range(0, filters, group_filters):
                    group = first // group_filters
                    bare = gather(int32_at(window, 0), arena, p, P, lines, left, group, fill)
                    other = window
                    if bare and p[P.padding] == MEAN_OF_BOTH:
                        other = second
                        ones = np.int32(-1)
                        gather(int32_at(other, 0), arena, p, P, lines, left, group, ones)
                    for o in range(first, first + group_filters):
                        v = sum_of(window, other, weights, pairs, size, p, P, gates, o)
                        put(arena, constants, p, y_rows[row], column, o, v)

    bconv2d.__name__ = name
    return kernel(bconv2d)


@inline
def affine(constants, p, P, o, v):  # type: ignore[no-untyped-def]
    """v * m + b in float32, v clamped: rounded twice, as two operations."""
    clamped = np.float32(np.int32(clamp(v, p[P.least], p[P.greatest])))
    scaled = clamped * float32_at(constants, p[P.multiplier])[o]
    return scaled + float32_at(constants, p[P.bias])[o]


@inline
def put_float(arena, constants, p, line, column, o, v):  # type: ignore[no-untyped-def]
    y = float32_at(arena, line)
    y[column * p[PF.filters] + o] = affine(constants, p, PF, o, v)


@inline
def put_int8(arena, constants, p, line, column, o, v):  # type: ignore[no-untyped-def]
    real = np.float64(affine(constants, p, P8, o, v))
    real = min(max(real, -128.0), 127.0)
    whole = np.int64(math.floor(abs(real) + 0.5))
    y = int8_at(arena, line)
    y[column * p[P8.filters] + o] = -whole if real < 0 else whole


@inline
def put_bit(arena, constants, p, line, column, o, v):  # type: ignore[no-untyped-def]
    words = (p[PB.filters] + 31) // 32
    y = int32_at(arena, line + 4 * (column * words + o // 32))
    bit = np.uint32(1) << np.uint32(o % 32)
    if o % 32 == 0:
        y[0] = np.int32(0)
    if v > int32_at(constants, p[PB.thresholds])[o]:
        y[0] = np.int32(np.uint32(y[0]) | bit)


bconv2d_f32 = _convolution(PF, "bconv2d_f32", put_float)
bconv2d_s8 = _convolution(P8, "bconv2d_s8", put_int8)
bconv2d_b1 = _convolution(PB, "bconv2d_b1", put_bit)
