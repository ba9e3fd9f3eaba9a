"""Native twins of `kernels/cumulate.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..cumulate import KERNELS, SUM_S8
from ..operation import Layout
from .add_n import scaled_sum
from .elementwise import Native, register
from .memory import float32_at, int8_at, int32_at
from .registry import kernel
from .totals import add, add_s32, times, times_s32

_AT = {"s32": int32_at, "f32": float32_at}


_COMBINE = {
    "cumulative_sum_s32": (add_s32, np.int32(0)),
    "cumulative_sum_f32": (add, np.float32(0)),
    "cumulative_product_s32": (times_s32, np.int32(1)),
    "cumulative_product_f32": (times, np.float32(1)),
}


def _walk(words: Layout, at: Native, combine: Native, start: Any) -> Native:
    P: Any = words.index

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        x, y, size, inner = at(arena, p[P.x]), at(arena, p[P.y]), p[P.size], p[P.inner]
        exclusive, reverse = p[P.exclusive] != 0, p[P.reverse] != 0
        for outer in range(p[P.outer]):
            for i in range(inner):
                total = start
                for j in range(size):
                    place = (outer * size + (size - 1 - j if reverse else j)) * inner + i
                    after = combine(total, x[place])
                    y[place] = total if exclusive else after
                    total = after

    return walk


for _name, _words in KERNELS.items():
    register(_words, _walk(_words, _AT[_name.rpartition("_")[2]], *_COMBINE[_name]))

S = SUM_S8.index


@kernel
def cumulative_sum_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    x, y, size, inner = int8_at(arena, p[S.x]), int8_at(arena, p[S.y]), p[S.size], p[S.inner]
    exclusive, reverse, offset = p[S.exclusive] != 0, p[S.reverse] != 0, p[S.x_offset]
    for outer in range(p[S.outer]):
        for i in range(inner):
            total = np.int64(offset)
            for j in range(size):
                place = (outer * size + (size - 1 - j if reverse else j)) * inner + i
                after = total + offset + x[place]
                sums = total if exclusive else after
                y[place] = scaled_sum(sums, p[S.multiplier], p[S.shift], p[S.y_offset])
                total = after
