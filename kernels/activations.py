"""relu, leaky_relu, logistic, tanh and hard_swish: functions of one element.

Every int8 function is a table of 256 bytes (`lookup_s8`), filled by the reference itself when a
node is lowered. (TFLite activations.cc, reference/leaky_relu.h, reference/hard_swish.h,
reference/integer_ops/logistic.h, reference/integer_ops/tanh.h.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..runtime.graph import DTYPES, Graph, Node, Tensor
from ..runtime.lowering import ELEMENT, Constant, Cursor, Lowered
from . import transcendental
from .elementwise import ROWS, all_of, int16_is_symmetric, is_quantized, unary_rows
from .exponential import exp, power_table
from .fixedpoint import (
    is_in_floats,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    reduced_multiplier,
    rounding_divide_by_pot,
)
from .operation import Operation, Reference, layout
from .plain import in_float64, with_plain
from .scales import checked_log2, quantize_bound, round_half_away
from .through_floats import through_floats

Arrays = Sequence[np.ndarray | None]
Int64Array = NDArray[np.int64]

LOOKUP_S8 = layout("lookup_s8", f"{ROWS} x y table")
RELU_S16 = layout("relu_s16", f"{ROWS} x y multiplier shift minimum maximum")
RELU_F32 = layout("relu_f32", f"{ROWS} x y limits is_relu6")
LEAKY_RELU_S16 = layout(
    "leaky_relu_s16", f"{ROWS} x y multiplier shift negative_multiplier negative_shift"
)
LEAKY_RELU_F32 = layout("leaky_relu_f32", f"{ROWS} x y alpha")
LOGISTIC_S16 = layout("logistic_s16", f"{ROWS} x y multiplier shift table")
LOGISTIC_F32 = layout("logistic_f32", f"{ROWS} x y powers")
TANH_S16 = layout("tanh_s16", f"{ROWS} x y multiplier shift table")
TANH_F32 = layout("tanh_f32", f"{ROWS} x y powers")
HARD_SWISH_F32 = layout("hard_swish_f32", f"{ROWS} x y")


def lower_lookup(graph: Graph, node: Node, reference: Reference) -> Lowered:
    """A node of one-byte numbers and one operand that isn't constant as a table look-up.

    Entry i is the answer to the byte i - 128.
    """
    every = np.arange(-128, 128).astype(np.int8)
    operands = [graph.input(node, i) for i in range(len(node.inputs))]
    x = next(each for each in operands if not each.constant)
    given = [every.view(DTYPES[x.dtype]) if each is x else each.data for each in operands]
    (answers,) = reference(graph, node, given)
    fields = unary_rows(graph, node) | {"x": Cursor(x.index)}
    return LOOKUP_S8.lowered(ELEMENT, **fields, table=Constant(answers.reshape(-1).view(np.int8)))


def is_lookup(graph: Graph, node: Node) -> bool:
    """Whether a node of two int8 operands has a constant number for one of them."""
    y, operands = graph.output(node), [graph.input(node, 0), graph.input(node, 1)]
    numbers = [each for each in operands if each.constant and each.elements == 1]
    return (
        y.dtype == "int8"
        and len(numbers) == 1
        and all(each.shape == y.shape for each in operands if not each.constant)
    )


def _operand(graph: Graph, node: Node, arrays: Arrays) -> tuple[np.ndarray, Tensor, Tensor]:
    assert arrays[0] is not None
    return arrays[0], graph.input(node), graph.output(node)


def _centred(q: np.ndarray, tensor: Tensor) -> Int64Array:
    return q.astype(np.int64) - tensor.zero_point


def _clamped(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    kind = np.iinfo(DTYPES[tensor.dtype])
    return np.clip(values, kind.min, kind.max).astype(kind.dtype)


def _float32_ratio(x: Tensor, y: Tensor) -> float:
    """Input scale / output scale, divided in float32 as these operators do."""
    return float(np.float32(x.scale) / np.float32(y.scale))


# ---- relu --------------------------------------------------------------------------------------


@through_floats
def relu_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """x requantized, held in the real range [minimum, maximum]."""
    q, x, y = _operand(graph, node, arrays)
    if x.dtype == "float32":
        low, high = _float_limits(node)
        held = np.where(q > low, q, low) if _is_relu6(node) else np.where(q < low, low, q)
        return [np.where(held > high, high, held)]
    scaled = multiply_by_quantized_multiplier(
        _centred(q, x), *quantize_multiplier(_float32_ratio(x, y))
    )
    result = np.clip(scaled.astype(np.int64) + y.zero_point, *_relu_limits(node, y))
    return [result.astype(q.dtype)]


def _is_relu6(node: Node) -> bool:
    """TFLite's float RELU6 makes 0.0 of NaN and -0.0; its other three keep them."""
    return (node.attrs.minimum, node.attrs.maximum) == (0.0, 6.0)


def _float_limits(node: Node) -> tuple[np.float32, np.float32]:
    low, high = node.attrs.minimum, node.attrs.maximum
    return (
        np.float32(-np.inf if low is None else low),
        np.float32(np.inf if high is None else high),
    )


def _relu_limits(node: Node, y: Tensor) -> tuple[int, int]:
    kind, low, high = np.iinfo(DTYPES[y.dtype]), node.attrs.minimum, node.attrs.maximum
    return (
        kind.min if low is None else max(kind.min, quantize_bound(low, y)),
        kind.max if high is None else min(kind.max, quantize_bound(high, y)),
    )


def lower_relu(graph: Graph, node: Node) -> Lowered:
    """A table for int8, arithmetic for int16 and float32."""
    x, y = graph.input(node), graph.output(node)
    if x.dtype == "int8":
        return lower_lookup(graph, node, relu_reference)
    fields = unary_rows(graph, node)
    if x.dtype == "float32":
        limits = Constant(np.array(_float_limits(node), np.float32))
        is_relu6 = int(_is_relu6(node))
        return RELU_F32.lowered(ELEMENT, **fields, limits=limits, is_relu6=is_relu6)
    multiplier, shift = quantize_multiplier(_float32_ratio(x, y))
    minimum, maximum = _relu_limits(node, y)
    return RELU_S16.lowered(
        ELEMENT, **fields, multiplier=multiplier, shift=shift, minimum=minimum, maximum=maximum
    )


# ---- leaky_relu --------------------------------------------------------------------------------


@through_floats
def leaky_relu_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """x where x >= 0, else alpha * x."""
    q, x, y = _operand(graph, node, arrays)
    if x.dtype == "float32":
        return [np.where(q > 0, q, q * np.float32(node.attrs.alpha))]
    value, (positive, negative) = _centred(q, x), _leaky_multipliers(node, x, y)
    result = np.where(
        value >= 0,
        multiply_by_quantized_multiplier(value, *positive),
        multiply_by_quantized_multiplier(value, *negative),
    )
    return [_clamped(result.astype(np.int64) + y.zero_point, y)]


def _leaky_multipliers(node: Node, x: Tensor, y: Tensor) -> tuple[tuple[int, int], ...]:
    """Multiplier and shift of values >= 0, and of those under 0; all in float32."""
    alpha = np.float32(x.scale) * np.float32(node.attrs.alpha) / np.float32(y.scale)
    return quantize_multiplier(_float32_ratio(x, y)), quantize_multiplier(float(alpha))


def lower_leaky_relu(graph: Graph, node: Node) -> Lowered:
    """A table for int8, arithmetic for int16 and float32."""
    x, y = graph.input(node), graph.output(node)
    if x.dtype == "int8":
        return lower_lookup(graph, node, leaky_relu_reference)
    fields = unary_rows(graph, node)
    if x.dtype == "float32":
        alpha = np.array([node.attrs.alpha], np.float32)
        return LEAKY_RELU_F32.lowered(ELEMENT, **fields, alpha=Constant(alpha))
    positive, negative = _leaky_multipliers(node, x, y)
    return LEAKY_RELU_S16.lowered(
        ELEMENT,
        **fields,
        multiplier=positive[0],
        shift=positive[1],
        negative_multiplier=negative[0],
        negative_shift=negative[1],
    )


# ---- logistic and tanh -------------------------------------------------------------------------

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
    q, x, y = _operand(graph, node, arrays)
    if x.dtype == "float32":
        return [_logistic_f32(q)]
    if x.dtype == "int16":
        return [_logistic_s16(q, *_table_scaling(x, (0,)))]
    return [table_s8(_sigmoid, x, y)[q.astype(np.int64) + 128]]


def tanh_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """tanh(x)."""
    q, x, y = _operand(graph, node, arrays)
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


def table_s8(function: Callable[[float], float], x: Tensor, y: Tensor) -> np.ndarray:
    """The function of every int8 number, rounded in float32 (TFLite common.h `LUTPopulate`), ties
    away from zero or by the output's rule."""
    real = np.float32(x.scale) * np.arange(-128 - x.zero_point, 128 - x.zero_point).astype(
        np.float32
    )
    answers = np.array([function(float(value)) for value in real], np.float32)
    steps = answers * (np.float32(1) / np.float32(y.scale))
    rounded = np.rint(steps) if is_in_floats(y) else round_half_away(steps)
    return _clamped(rounded + y.zero_point, y)


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


# ---- hard_swish --------------------------------------------------------------------------------


@through_floats
def hard_swish_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """x * clamp(x + 3, 0, 6) / 6; int8 in 16-bit fixed point."""
    q, x, y = _operand(graph, node, arrays)
    if x.dtype == "float32":
        zero, three, six = np.float32(0), np.float32(3), np.float32(6)
        gate = np.where(q + three > zero, q + three, zero)
        with np.errstate(invalid="ignore"):
            return [q * np.where(gate < six, gate, six) / six]
    output, gate_scale = hard_swish_multipliers(x, y)
    value = _centred(q, x) << 7  # at most 255 * 128: 16 bits
    product = _high_mul_16(_gate(value, *gate_scale), _rounding_high_mul_16(value, output[0]))
    scaled = rounding_divide_by_pot(product, -output[1]).astype(np.int64)
    return [_clamped(scaled + y.zero_point, y)]


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


# ---- constraints -------------------------------------------------------------------------------


def scale_ratio_in_range(graph: Graph, node: Node) -> bool:
    """Input scale / output scale must be under 2**30, and so must alpha times it be."""
    x, y = graph.input(node), graph.output(node)
    if x.dtype == "float32":
        return True
    ratio = _float32_ratio(x, y)
    return max(ratio, ratio * abs(getattr(node.attrs, "alpha", 0.0))) < 1 << 30


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


def hard_swish_output_in_range(graph: Graph, node: Node) -> bool:
    """The output scale of an int8 hard_swish must be over 1/128 of the input scale."""
    x, y = graph.input(node), graph.output(node)
    return x.dtype == "float32" or hard_swish_multipliers(x, y)[0][1] <= 0


_QUANTIZED = (is_quantized, int16_is_symmetric)

RELU = Operation(
    relu_reference,
    lower_relu,
    (LOOKUP_S8, RELU_S16, RELU_F32),
    (all_of("int8", "int16", "float32"), *_QUANTIZED, scale_ratio_in_range),
)
LEAKY_RELU = Operation(
    leaky_relu_reference,
    lower_leaky_relu,
    (LOOKUP_S8, LEAKY_RELU_S16, LEAKY_RELU_F32),
    (all_of("int8", "int16", "float32"), *_QUANTIZED, scale_ratio_in_range),
)
LOGISTIC = with_plain(
    Operation(
        logistic_reference,
        lower_logistic,
        (LOOKUP_S8, LOGISTIC_S16, LOGISTIC_F32),
        (
            all_of("int8", "int16", "float32"),
            *_QUANTIZED,
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
            *_QUANTIZED,
            tanh_output_is_fixed,
            int16_argument_in_range,
        ),
    ),
    in_float64(np.tanh),
    "int8",
    "int16",
    "float32",
)
HARD_SWISH = Operation(
    hard_swish_reference,
    lower_hard_swish,
    (LOOKUP_S8, HARD_SWISH_F32),
    (all_of("int8", "float32"), *_QUANTIZED, hard_swish_output_in_range),
)
