"""Native twin of `kernels/lstm.py`."""

from __future__ import annotations

import numpy as np

from ..gemmlowp_int16 import INT16_MAX, INT16_MIN
from ..lstm import S8
from .fixedpoint import (
    clamp,
    inline,
    mac32,
    multiply_by_quantized_multiplier,
    rounding_divide_by_pot,
)
from .gemmlowp_int16 import logistic, tanh
from .memory import copy_bytes, int8_at, int16_at, int32_at
from .registry import kernel

P = S8.index


@inline
def _product(values, weights, bias, length):  # type: ignore[no-untyped-def]
    total = bias
    for i in range(length):
        total = mac32(total, values[i], weights[i])
    return total


@inline
def _gate(constants, p, gate, unit, x, hidden):  # type: ignore[no-untyped-def]
    """One unit of a gate before its activation, in Q3.12."""
    depth, units, row = p[P.depth], p[P.units], gate * p[P.units] + unit
    rescale = int32_at(constants, p[P.rescale] + 16 * gate)
    bias = int32_at(constants, p[P.input_bias])[row]
    weights = int8_at(constants, p[P.input_weights] + row * depth)
    total = _product(x, weights, bias, depth)
    scaled = multiply_by_quantized_multiplier(total, rescale[0], rescale[1])
    from_input = clamp(scaled, INT16_MIN, INT16_MAX)
    bias = int32_at(constants, p[P.recurrent_bias])[row]
    weights = int8_at(constants, p[P.recurrent_weights] + row * units)
    total = _product(hidden, weights, bias, units)
    scaled = multiply_by_quantized_multiplier(total, rescale[2], rescale[3])
    return clamp(from_input + scaled, INT16_MIN, INT16_MAX)


@inline
def _next_cell(constants, p, unit, x, hidden, cell):  # type: ignore[no-untyped-def]
    forget = logistic(_gate(constants, p, 0, unit, x, hidden), 3)
    candidate = tanh(_gate(constants, p, 1, unit, x, hidden), 3)
    take = INT16_MAX - forget
    if p[P.gates] == 4:
        take = logistic(_gate(constants, p, 3, unit, x, hidden), 3)
    kept = rounding_divide_by_pot(forget * cell, 15)
    added = rounding_divide_by_pot(take * candidate, 15 + p[P.cell_bits])
    changed = clamp(kept + added, INT16_MIN, INT16_MAX)
    clip = p[P.cell_clip]
    return clamp(changed, -clip, clip) if clip > 0 else changed


@kernel
def lstm_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    units, bits = p[P.units], p[P.cell_bits]
    x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
    for step in range(p[P.rows]):
        for batch in range(p[P.width]):
            hidden = int8_at(arena, p[P.hidden] + batch * units)
            cell = int16_at(arena, p[P.cell] + 2 * batch * units)
            x = int8_at(arena, x_rows[step] + batch * p[P.depth])
            y = int8_at(arena, y_rows[step] + batch * units)
            for unit in range(units):
                changed = _next_cell(constants, p, unit, x, hidden, np.int64(cell[unit]))
                cell[unit] = changed
                out = logistic(_gate(constants, p, 2, unit, x, hidden), 3)
                scaled = multiply_by_quantized_multiplier(
                    out * tanh(changed, bits), p[P.hidden_multiplier], p[P.hidden_shift]
                )
                y[unit] = clamp(scaled + p[P.hidden_zero], -128, 127)
            # The gates of every unit read the old hidden state, so it changes only now.
            copy_bytes(hidden, y, units)
