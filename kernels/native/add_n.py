"""Native twin of `kernels/add_n.py`."""

from __future__ import annotations

import numpy as np

from ..add_n import ADD_N_S8, SHIFT
from .fixedpoint import clamp, inline, multiply_by_quantized_multiplier
from .memory import int8_at
from .registry import kernel

P = ADD_N_S8.index


@inline
def scaled_sum(total, multiplier, shift, offset):  # type: ignore[no-untyped-def]
    """A sum of numbers less their zero points, in the output's scale; it wraps in 32 bits."""
    fine = np.int64(np.int32(np.int64(total) << SHIFT))
    return clamp(multiply_by_quantized_multiplier(fine, multiplier, shift) + offset, -128, 127)


@kernel
def add_n_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    y = int8_at(arena, p[P.y])
    for i in range(p[P.count]):
        total = np.int64(p[P.x_offset]) * (p[P.terms] + 1)
        for term in range(p[P.terms]):
            base = constants if (p[P.constant] >> term) & 1 else arena
            total += int8_at(base, p[P.x0 + term])[i]
        y[i] = scaled_sum(total, p[P.multiplier], p[P.shift], p[P.y_offset])
