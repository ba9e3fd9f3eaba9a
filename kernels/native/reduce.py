"""Native twins of `kernels/reduce.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..mean import GROUPS
from ..operation import Layout
from ..reduce import KERNELS
from .elementwise import Native, register
from .fixedpoint import inline
from .mean import first_element
from .memory import float32_at, int8_at, int16_at, int32_at
from .totals import add, add_s32, times, times_s32

_AT = {"s8": int8_at, "s16": int16_at, "s32": int32_at, "f32": float32_at}


@inline
def _max(total, value):  # type: ignore[no-untyped-def]
    return value if value > total or value != value else total  # NaN stays


@inline
def _min(total, value):  # type: ignore[no-untyped-def]
    return value if value < total or value != value else total


_COMBINE = {
    "sum_s32": add_s32,
    "sum_f32": add,
    "product_s32": times_s32,
    "product_f32": times,
    "reduce_max": _max,
    "reduce_min": _min,
}


def _walk(words: Layout, at: Native, combine: Native, start: Any) -> Native:
    P: Any = words.index
    begins = start is not None  # else with the first number
    zero = start if begins else 0

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        x, y, axes = at(arena, p[P.x]), at(arena, p[P.y]), int32_at(constants, p[P.axes])
        sizes, strides = 2 * GROUPS, 3 * GROUPS
        for index in range(axes[0] * axes[1] * axes[2]):
            first = first_element(axes, index)
            total = zero if begins else x[first]
            for i in range(axes[sizes]):
                for j in range(axes[sizes + 1]):
                    place = first + i * axes[strides] + j * axes[strides + 1]
                    for k in range(axes[sizes + 2]):
                        total = combine(total, x[place + k * axes[strides + 2]])
            y[index] = total

    return walk


_STARTS = {
    "sum_s32": np.int32(0),
    "sum_f32": np.float32(0),
    "product_s32": np.int32(1),
    "product_f32": np.float32(1),
}
for _name, _words in KERNELS.items():
    _op, _, _suffix = _name.rpartition("_")
    _function = _COMBINE.get(_name) or _COMBINE[_op]
    register(_words, _walk(_words, _AT[_suffix], _function, _STARTS.get(_name)))
