"""logistic and tanh. (TFLite reference/logistic.h, reference/integer_ops/logistic.h and tanh.h.)"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..runtime.graph import Graph, Node, Tensor
from ..runtime.lowering import ELEMENT, Constant, Lowered
from . import transcendental
from .elementwise import ROWS, all_of, int16_is_symmetric, is_quantized, unary_rows
from .exponential import exp, power_table
from .lookup import LOOKUP_S8, Arrays, Int64Array, lower_lookup, operand, table_s8
from .operation import Operation, layout
from .plain import in_float64, with_plain
from .scales import checked_log2

LOGISTIC_S16 = layout("logistic_s16", f"{ROWS} x y multiplier shift table")
LOGISTIC_F32 = layout("logistic_f32", f"{ROWS} x y powers")
TANH_S16 = layout("tanh_s16", f"{ROWS} x y multiplier shift table")
TANH_F32 = layout("tanh_f32", f"{ROWS} x y powers")

# TFLite's table of sigmoid(i / 24) in Q0.16 (common.h `sigmoid_table_uint16`) is the rounded
# function, but for these entries, which are one more.
_ROUNDED_UP = (
    4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41,
    43, 44, 45, 46, 49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255,
)  # fmt: skip


def sigmoid_table() -> NDArray[np.int32]:
    """sigmoid(i / 24) * 65536 for i = 0 .. 255, as TFLite has it."""
    table = np.round(65536.0 / (1.0 + np.exp(np.arange(256) / -24.0))).astype(np.int32)
    table[list(_ROUNDED_UP)] += 1
    return table


def logistic_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """1 / (1 + exp(-x))."""
    q, x, y = operand(graph, node, arrays)
    if x.dtype == "float32":
        return [_logistic_f32(q)]
    if x.dtype == "int16":
        return [_logistic_s16(q, *_table_scaling(x, (0,)))]
    return [table_s8(_sigmoid, x, y)[q.astype(np.int64) + 128]]


def tanh_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """tanh(x)."""
    q, x, y = operand(graph, node, arrays)
    if x.dtype == "float32":
        return [transcendental.tanh(q)]
    if x.dtype == "int16":
        return [_tanh_s16(q, *_table_scaling(x, (0, 1)))]
    return [table_s8(math.tanh, x, y)[q.astype(np.int64) + 128]]


# Above the first logistic is 1, below the second it is the exponential (TFLite's own bounds).
LOGISTIC_BOUNDS = np.float32(16.619047164916992), np.float32(-9.0)


def _logistic_f32(x: np.ndarray) -> np.ndarray:
    one, (high, low) = np.float32(1), LOGISTIC_BOUNDS
    with np.errstate(over="ignore"):
        result = one / (one + exp(-x))
    return np.where(x > high, one, np.where(x < low, exp(x), result))


def _sigmoid(x: float) -> float:
    """In float32. The exponential is rounded to it; it is held where the answer is 0 anyway."""
    exponential = np.float32(math.exp(min(-x, 80.0)))
    return float(np.float32(1) / (np.float32(1) + exponential))


def _table_scaling(x: Tensor, exact_shifts: tuple[int, ...]) -> tuple[int, int]:
    """(multiplier, right shift) from int16 input to units of 1 / (3 * 4096).

    A scale that is 2**-12 times 2**s, give or take 0.07 %, is taken as exactly that for the shifts
    in `exact_shifts`; the multiplier of any other has 15 bits and is truncated.
    """
    log2 = checked_log2(x.scale)
    if log2 is not None and log2 + 12 in exact_shifts:
        return 3 << (log2 + 12), 0
    multiplier, shift = x.scale * 4096.0 * 3.0, 0
    while multiplier <= 32767.0 / 2.0 and shift <= 30:
        multiplier, shift = multiplier * 2.0, shift + 1
    return int(multiplier), shift


def _table_position(q: np.ndarray, multiplier: int, shift: int) -> Int64Array:
    half = (1 << shift) >> 1
    return (q.astype(np.int64) * multiplier + half) >> shift


def _interpolated(position: Int64Array, bits: int) -> Int64Array:
    """The sigmoid table at |position| / 2**bits, in units of 2**-(16 + bits)."""
    table, magnitude = sigmoid_table().astype(np.int64), np.abs(position)
    index = np.minimum(magnitude >> bits, 254)
    fraction = magnitude & ((1 << bits) - 1)
    return (table[index] << bits) + fraction * (table[index + 1] - table[index])


def _logistic_s16(q: np.ndarray, multiplier: int, shift: int) -> np.ndarray:
    position = _table_position(q, multiplier, shift)
    saturated = np.abs(position) >> 9 >= 255
    value = np.where(saturated, 0x7FFF << 10, _interpolated(position, 9))
    rounded = np.where(position >= 0, value + (1 << 9), (1 << 25) - value + (1 << 9) - 1)
    return (rounded >> 10).astype(np.int16)


def _tanh_s16(q: np.ndarray, multiplier: int, shift: int) -> np.ndarray:
    position = _table_position(q, multiplier, shift)
    saturated = np.abs(position) >> 8 >= 255
    value = np.where(saturated, 0xFFFF << 8, _interpolated(position, 8)) - (1 << 23)
    rounded = np.where(position >= 0, value + (1 << 7), -value + (1 << 7) - 1)
    return (rounded >> 8).astype(np.int16)


def lower_logistic(graph: Graph, node: Node) -> Lowered:
    """A table for int8; for int16 one of 256 entries, interpolated; arithmetic for float32."""
    x = graph.input(node)
    if x.dtype == "float32":
        powers = Constant(power_table())
        return LOGISTIC_F32.lowered(ELEMENT, **unary_rows(graph, node), powers=powers)
    if x.dtype == "int8":
        return lower_lookup(graph, node, logistic_reference)
    multiplier, shift = _table_scaling(x, (0,))
    return LOGISTIC_S16.lowered(
        ELEMENT,
        **unary_rows(graph, node),
        multiplier=multiplier,
        shift=shift,
        table=Constant(sigmoid_table()),
    )


def lower_tanh(graph: Graph, node: Node) -> Lowered:
    """A table for int8; for int16 that of sigmoid, as tanh(x) is 2 * sigmoid(2 * x) - 1; arithmetic
    for float32."""
    x = graph.input(node)
    if x.dtype == "float32":
        powers = Constant(power_table())
        return TANH_F32.lowered(ELEMENT, **unary_rows(graph, node), powers=powers)
    if x.dtype == "int8":
        return lower_lookup(graph, node, tanh_reference)
    multiplier, shift = _table_scaling(x, (0, 1))
    return TANH_S16.lowered(
        ELEMENT,
        **unary_rows(graph, node),
        multiplier=multiplier,
        shift=shift,
        table=Constant(sigmoid_table()),
    )


def logistic_output_is_fixed(graph: Graph, node: Node) -> bool:
    """A logistic's output must have scale 1/256 and zero point -128 (int8), or 1/32768 and 0
    (int16)."""
    y = graph.output(node)
    if y.dtype == "float32":
        return True
    fixed = {"int8": (1 / 256, -128), "int16": (1 / 32768, 0)}
    return (y.scale, y.zero_point) == fixed.get(y.dtype)


def tanh_output_is_fixed(graph: Graph, node: Node) -> bool:
    """A tanh's output must have scale 1/128 and zero point 0 (int8), or 1/32768 and 0 (int16)."""
    y = graph.output(node)
    if y.dtype == "float32":
        return True
    fixed = {"int8": (1 / 128, 0), "int16": (1 / 32768, 0)}
    return (y.scale, y.zero_point) == fixed.get(y.dtype)


def int16_argument_in_range(graph: Graph, node: Node) -> bool:
    """An int16 input of logistic or tanh must have a scale under 2.6."""
    x = graph.input(node)
    return x.dtype != "int16" or x.scale < 2.6


LOGISTIC = with_plain(
    Operation(
        logistic_reference,
        lower_logistic,
        (LOOKUP_S8, LOGISTIC_S16, LOGISTIC_F32),
        (
            all_of("int8", "int16", "float32"),
            is_quantized,
            int16_is_symmetric,
            logistic_output_is_fixed,
            int16_argument_in_range,
        ),
    ),
    in_float64(lambda x: 1 / (1 + np.exp(-x))),
    "float32",
)
TANH = with_plain(
    Operation(
        tanh_reference,
        lower_tanh,
        (LOOKUP_S8, TANH_S16, TANH_F32),
        (
            all_of("int8", "int16", "float32"),
            is_quantized,
            int16_is_symmetric,
            tanh_output_is_fixed,
            int16_argument_in_range,
        ),
    ),
    in_float64(np.tanh),
    "int8",
    "int16",
    "float32",
)
