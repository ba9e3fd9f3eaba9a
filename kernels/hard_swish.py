"""hard_swish. (TFLite reference/hard_swish.h.)"""

from __future__ import annotations

import numpy as np

from ..runtime.graph import Graph, Node, Tensor
from ..runtime.lowering import ELEMENT, Lowered
from .elementwise import ROWS, all_of, int16_is_symmetric, is_quantized, unary_rows
from .fixedpoint import quantize_multiplier, reduced_multiplier, rounding_divide_by_pot
from .lookup import LOOKUP_S8, Arrays, Int64Array, centred, clamped, lower_lookup, operand
from .operation import Operation, layout
from .through_floats import through_floats

HARD_SWISH_F32 = layout("hard_swish_f32", f"{ROWS} x y")


@through_floats
def hard_swish_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """x * clamp(x + 3, 0, 6) / 6; int8 in 16-bit fixed point."""
    q, x, y = operand(graph, node, arrays)
    if x.dtype == "float32":
        zero, three, six = np.float32(0), np.float32(3), np.float32(6)
        gate = np.where(q + three > zero, q + three, zero)
        with np.errstate(invalid="ignore"):
            return [q * np.where(gate < six, gate, six) / six]
    output, gate_scale = hard_swish_multipliers(x, y)
    value = centred(q, x) << 7  # at most 255 * 128: 16 bits
    product = _high_mul_16(_gate(value, *gate_scale), _rounding_high_mul_16(value, output[0]))
    scaled = rounding_divide_by_pot(product, -output[1]).astype(np.int64)
    return [clamped(scaled + y.zero_point, y)]


def hard_swish_multipliers(x: Tensor, y: Tensor) -> tuple[tuple[int, int], tuple[int, int]]:
    """(16-bit multiplier, shift) of the output, and of the gate, which has 3.0 at 2**15."""
    fine = np.float32(1 / 128) * np.float32(x.scale)
    output = quantize_multiplier(float(fine / np.float32(y.scale)))
    gate = quantize_multiplier(float(fine / np.float32(3 / 32768)))
    return (
        (int(reduced_multiplier(output[0])), output[1]),
        (int(reduced_multiplier(gate[0])), gate[1]),
    )


def _gate(value: Int64Array, multiplier: int, shift: int) -> Int64Array:
    """clamp(x + 3, 0, 6) / 6 in Q0.15. The last doubling comes after the product, so that only
    what really saturates does."""
    if shift > 0:
        value = _saturate_16(value << (shift - 1))
    value = _rounding_high_mul_16(value, multiplier)
    if shift > 0:
        value = _saturate_16(value << 1)
    elif shift < 0:
        value = rounding_divide_by_pot(value, -shift).astype(np.int64)
    return (value + (1 << 15)) >> 1


def _saturate_16(value: Int64Array) -> Int64Array:
    return np.clip(value, -(1 << 15), (1 << 15) - 1)


def _rounding_high_mul_16(a: Int64Array, b: int) -> Int64Array:
    """round(a * b / 2**15), ties upwards, for b of at most 2**15 - 1."""
    return (a * b + (1 << 14)) >> 15


def _high_mul_16(a: Int64Array, b: Int64Array) -> Int64Array:
    """a * b / 2**15, truncated towards 0."""
    product = a * b
    return np.sign(product) * (np.abs(product) >> 15)


def lower_hard_swish(graph: Graph, node: Node) -> Lowered:
    """A table for int8, arithmetic for float32."""
    if graph.input(node).dtype == "int8":
        return lower_lookup(graph, node, hard_swish_reference)
    return HARD_SWISH_F32.lowered(ELEMENT, **unary_rows(graph, node))


def hard_swish_output_in_range(graph: Graph, node: Node) -> bool:
    """The output scale of an int8 hard_swish must be over 1/128 of the input scale."""
    x, y = graph.input(node), graph.output(node)
    return x.dtype == "float32" or hard_swish_multipliers(x, y)[0][1] <= 0


HARD_SWISH = Operation(
    hard_swish_reference,
    lower_hard_swish,
    (LOOKUP_S8, HARD_SWISH_F32),
    (all_of("int8", "float32"), is_quantized, int16_is_symmetric, hard_swish_output_in_range),
)
