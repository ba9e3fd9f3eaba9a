"""Native twins of `kernels/matmul.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..matmul import F32, S8, S16
from ..operation import Layout
from .elementwise import Native, register
from .fixedpoint import (
    clamp,
    inline,
    multiply_by_quantized_multiplier,
    multiply_by_quantized_multiplier_64,
)
from .memory import float32_at, int8_at, int16_at, int32_at


def _walk(words: Layout, at: Native, load: Native, dot: Native) -> Native:
    P: Any = words.index

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        a = at(constants if p[P.a_constant] else arena, p[P.a])
        b = at(constants if p[P.b_constant] else arena, p[P.b])
        y, places, extra = at(arena, p[P.y]), int32_at(constants, p[P.places]), load(p)
        depth, a_step, b_step = p[P.depth], p[P.a_depth], p[P.b_depth]
        index = 0
        for batch in range(p[P.batches]):
            for row in range(p[P.rows]):
                a_start = places[2 * batch] + row * p[P.a_row]
                for column in range(p[P.columns]):
                    b_start = places[2 * batch + 1] + column * p[P.b_column]
                    y[index] = dot(extra, a, b, a_start, b_start, a_step, b_step, depth)
                    index += 1

    return walk


@inline
def _no_words(p):  # type: ignore[no-untyped-def]
    return (0,)


@inline
def _dot_f32(words, a, b, i, j, a_step, b_step, depth):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for k in range(depth):
        total += a[i + k * a_step] * b[j + k * b_step]
    return total


E = S8.index


@inline
def _load_s8(p):  # type: ignore[no-untyped-def]
    return p[E.a_offset], p[E.b_offset], p[E.multiplier], p[E.shift], p[E.y_offset]


@inline
def _dot_s8(words, a, b, i, j, a_step, b_step, depth):  # type: ignore[no-untyped-def]
    a_offset, b_offset, multiplier, shift, y_offset = words
    total = np.int64(0)
    for k in range(depth):
        total += (a[i + k * a_step] + a_offset) * (b[j + k * b_step] + b_offset)
    scaled = multiply_by_quantized_multiplier(np.int32(total), multiplier, shift)
    return clamp(scaled + y_offset, -128, 127)


H = S16.index


@inline
def _load_s16(p):  # type: ignore[no-untyped-def]
    return p[H.multiplier], p[H.shift]


@inline
def _dot_s16(words, a, b, i, j, a_step, b_step, depth):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for k in range(depth):
        total += np.int64(a[i + k * a_step]) * np.int64(b[j + k * b_step])
    return clamp(multiply_by_quantized_multiplier_64(total, words[0], words[1]), -32768, 32767)


register(F32, _walk(F32, float32_at, _no_words, _dot_f32))
register(S8, _walk(S8, int8_at, _load_s8, _dot_s8))
register(S16, _walk(S16, int16_at, _load_s16, _dot_s16))
