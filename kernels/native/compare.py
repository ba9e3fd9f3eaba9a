"""Native twins of `kernels/compare.py`."""

from __future__ import annotations

from typing import Any

from ..compare import LEFT_SHIFT, PLAIN, RESCALED
from .elementwise import Native, register_flat
from .fixedpoint import inline, multiply_by_quantized_multiplier
from .memory import float32_at, int8_at, int16_at, int32_at, int64_at

_AT = {"s8": int8_at, "s16": int16_at, "s32": int32_at, "s64": int64_at, "f32": float32_at}


def _load_mask(P: Any) -> Native:
    @inline
    def load(constants, p):  # type: ignore[no-untyped-def]
        return (p[P.mask],)

    return load


@inline
def _holds(mask, a, b):  # type: ignore[no-untyped-def]
    """1 if the relation of a and b is one of the mask's."""
    relation = 0 if a < b else 1 if a == b else 2 if a > b else 3
    return (mask >> relation) & 1


@inline
def _compare(words, a, b):  # type: ignore[no-untyped-def]
    return _holds(words[0], a, b)


for _suffix, _words in PLAIN.items():
    register_flat(_words, _AT[_suffix], int8_at, _load_mask, _compare)


def _load_rescaling(P: Any) -> Native:
    @inline
    def load(constants, p):  # type: ignore[no-untyped-def]
        a = p[P.a_offset], p[P.a_multiplier], p[P.a_shift]
        return p[P.mask], a, (p[P.b_offset], p[P.b_multiplier], p[P.b_shift])

    return load


@inline
def _rescaled(side, value):  # type: ignore[no-untyped-def]
    offset, multiplier, shift = side
    return multiply_by_quantized_multiplier((value + offset) << LEFT_SHIFT, multiplier, shift)


@inline
def _compare_rescaled(words, a, b):  # type: ignore[no-untyped-def]
    mask, left, right = words
    return _holds(mask, _rescaled(left, a), _rescaled(right, b))


register_flat(RESCALED, int8_at, int8_at, _load_rescaling, _compare_rescaled)
