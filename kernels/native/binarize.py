"""Native twins of `kernels/binarize.py`: a word of 32 channels at a time, in one comparison where
they lie side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..binarize import BINARIZE, DEBINARIZE, PLANES
from . import vectors as v
from .fixedpoint import inline
from .memory import INT8_POINTER, float32_at, int8_at, int32_at
from .registry import kernel

WORD = 32
FLOATS, WORDS = ir.VectorType(ir.FloatType(), WORD), ir.VectorType(v.I32, WORD)
OCTETS = ir.VectorType(v.I8, WORD)


def _below(kind: Any, limit_kind: Any, each: bool) -> Any:
    """The intrinsic for a word of 32 numbers at an address: bit i says that x[i] <= its limit;
    `each` has a limit of its own, or all have the first."""

    @intrinsic
    def below(typing_context, x, limits):  # type: ignore[no-untyped-def]
        def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            x, limits = arguments
            numbers = v.load(builder, x, v.I64(0), kind)
            if each:
                limit = v.load(builder, limits, v.I64(0), limit_kind)
            else:
                limit = v.splat(
                    builder, v.load(builder, limits, v.I64(0), limit_kind.element), limit_kind
                )
            if kind is OCTETS:
                said = builder.icmp_signed("<=", builder.sext(numbers, WORDS), limit)
            else:
                said = builder.fcmp_ordered("<=", numbers, limit)
            return builder.bitcast(said, v.I32)

        return types.int32(INT8_POINTER, INT8_POINTER), emit

    return below


def _binarize(
    words: Any, at: Any, limits_at: Any, kind: Any, limit_kind: Any
) -> Callable[..., None]:
    P = words.index
    below_each, below_one = (_below(kind, limit_kind, each) for each in (True, False))
    size = 1 if kind is OCTETS else 4

    def binarize(arena, constants, p):  # type: ignore[no-untyped-def]
        x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
        limits, step = limits_at(constants, p[P.limits]), p[P.limit_step]
        channels = p[P.channels]
        total = channels * p[P.levels]
        whole = channels // WORD if p[P.levels] == 1 else 0
        first_limit = int8_at(constants, p[P.limits])
        for row in range(p[P.rows]):
            x, y = at(arena, x_rows[row]), int32_at(arena, y_rows[row])
            numbers = int8_at(arena, x_rows[row])
            word = 0
            for pixel in range(p[P.width]):
                for begin in range(0, whole * WORD, WORD):
                    first = int8_at(numbers, size * (pixel * channels + begin))
                    if step:
                        y[word] = below_each(first, int8_at(first_limit, 4 * begin))
                    else:
                        y[word] = below_one(first, first_limit)
                    word += 1
                for begin in range(whole * WORD, total, WORD):
                    packed = np.uint32(0)
                    for i in range(min(WORD, total - begin)):
                        number = x[pixel * channels + (begin + i) % channels]
                        below = np.uint32(number <= limits[(begin + i) * step])
                        packed = np.uint32(packed | (below << np.uint32(i)))
                    y[word] = np.int32(packed)
                    word += 1

    binarize.__name__ = words.kernel
    return kernel(binarize)


binarize_f32 = _binarize(BINARIZE["float32"], float32_at, float32_at, FLOATS, FLOATS)
binarize_s8 = _binarize(BINARIZE["int8"], int8_at, int32_at, OCTETS, WORDS)

PP = PLANES.index


@kernel
def bit_planes_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[PP.x]), int32_at(constants, p[PP.y])
    channels, zero_point = p[PP.channels], p[PP.zero_point]
    for row in range(p[PP.rows]):
        x, y = int8_at(arena, x_rows[row]), int32_at(arena, y_rows[row])
        word = 0
        for pixel in range(p[PP.width]):
            for plane in range(p[PP.bits]):
                for begin in range(0, channels, 32):
                    packed = np.uint32(0)
                    for i in range(min(32, channels - begin)):
                        number = np.int64(x[pixel * channels + begin + i]) - zero_point
                        bit = np.uint32((number >> plane) & 1)
                        packed = np.uint32(packed | (bit << np.uint32(i)))
                    y[word] = np.int32(packed)
                    word += 1


def _debinarize(words: Any, at: Any, minus: Any, plus: Any) -> Callable[..., None]:
    P = words.index

    def debinarize(arena, constants, p):  # type: ignore[no-untyped-def]
        x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
        channels = p[P.channels]
        words = (channels + 31) // 32
        low, high = minus(p), plus(p)
        for row in range(p[P.rows]):
            x, y = int32_at(arena, x_rows[row]), at(arena, y_rows[row])
            for pixel in range(p[P.width]):
                for c in range(channels):
                    bit = (x[pixel * words + c // 32] >> (c % 32)) & 1
                    y[pixel * channels + c] = low if bit else high

    debinarize.__name__ = words.kernel
    return kernel(debinarize)


def _constant(value: float) -> Any:
    return inline(lambda p: np.float32(value))


def _word(position: int) -> Any:
    return inline(lambda p: p[position])


PD = DEBINARIZE["int8"].index
debinarize_f32 = _debinarize(DEBINARIZE["float32"], float32_at, _constant(-1.0), _constant(1.0))
debinarize_s8 = _debinarize(DEBINARIZE["int8"], int8_at, _word(PD.minus), _word(PD.plus))
