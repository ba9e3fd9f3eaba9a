"""softmax over the last axis: int8 to int8 or int16, int16 to int16, float32.

int8 follows gemmlowp's fixed point (TFLite reference/softmax.h `Softmax`); int16 interpolates in
two tables of 513 entries (`SoftmaxInt16`, tables from common.h `gen_lut`). float32 adds one
exponential after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..runtime.graph import DTYPES, Graph, Node, Tensor
from ..runtime.lowering import ELEMENT, Constant, Cursor, Field, Lowered, Rows, image_rows
from .elementwise import is_quantized
from .exponential import exp, power_table
from .fixedpoint import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from .gemmlowp import exp_on_negative_values, one_over_one_plus_x
from .operation import Operation, layout
from .scales import round_half_away

Int32Array = NDArray[np.int32]

DIFFERENCE_BITS = 5  # integer bits of a scaled difference to the maximum: exp(-32) is nothing
SUM_BITS = 12  # integer bits of the sum of exponentials: 4095 ones fit
EXP_RANGE = 10.0  # int16: exp(-10) is nothing

SOFTMAX_S8 = layout("softmax_s8", "rows pixels depth x y exponentials")
SOFTMAX_S8_S16 = layout("softmax_s8_s16", "rows pixels depth x y exponentials")
SOFTMAX_S16 = layout(
    "softmax_s16", "rows pixels depth x y multiplier shift exponentials reciprocals"
)
SOFTMAX_F32 = layout("softmax_f32", "rows pixels depth x y beta powers")


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """exp(beta * x) / sum(exp(beta * x)) over the last axis."""
    x = arrays[0]
    assert x is not None
    kind = DTYPES[graph.output(node).dtype]
    if x.dtype == np.float32:
        return [_float(node, x)]
    if x.dtype == np.int16:
        return [_int16(graph, node, x)]
    return [_int8(graph, node, x, kind)]


# ---- int8 --------------------------------------------------------------------------------------


def exponential_table(differences: Int32Array, radius: int) -> Int32Array:
    """exp of `scaled_differences` in Q0.31; -1 where it is left out of the sum, and the answer is
    the least, because the real difference is -31 or less."""
    exponentials = exp_on_negative_values(differences, DIFFERENCE_BITS)
    return np.where(np.arange(256) <= radius, exponentials, -1).astype(np.int32)


def scaled_differences(real: float) -> tuple[Int32Array, int]:
    """-d of input units in `DIFFERENCE_BITS` integer bits, for d = 0 .. 255, and the greatest d in
    range: beyond it the differences are its own. `real` is a `difference_multiplier`."""
    multiplier, shift = quantize_multiplier(real)
    radius = math.floor(((1 << DIFFERENCE_BITS) - 1) * 2.0 ** (31 - DIFFERENCE_BITS - shift))
    used = np.minimum(np.arange(256), radius)
    return multiply_by_quantized_multiplier(-used, multiplier, shift), radius


def difference_multiplier(x: Tensor, beta: float = 1.0) -> float:
    """From input units to differences with `DIFFERENCE_BITS` integer bits."""
    real = float(np.float32(beta)) * x.scale * (1 << (31 - DIFFERENCE_BITS))
    return min(real, 2.0**31 - 1.0)


def _exponentials(graph: Graph, node: Node) -> Int32Array:
    real = difference_multiplier(graph.input(node), node.attrs.beta)
    return exponential_table(*scaled_differences(real))


def _int8(graph: Graph, node: Node, x: np.ndarray, kind: np.dtype) -> np.ndarray:
    value = x.astype(np.int64)
    exponentials = _exponentials(graph, node)[value.max(axis=-1, keepdims=True) - value]
    terms = rounding_divide_by_pot(np.maximum(exponentials, 0), SUM_BITS)
    total = terms.sum(axis=-1, keepdims=True, dtype=np.int64)
    headroom = 32 - _bit_length(total)
    reciprocal = one_over_one_plus_x((total << headroom) - (1 << 31))
    least, greatest = np.iinfo(kind).min, np.iinfo(kind).max
    scaled = saturating_rounding_doubling_high_mul(reciprocal, np.maximum(exponentials, 0))
    right = SUM_BITS - headroom + 31 - 8 * kind.itemsize
    result = _shift_right(scaled, right) + least
    return np.where(exponentials < 0, least, np.clip(result, least, greatest)).astype(kind)


def _shift_right(value: np.ndarray, right: NDArray[np.int64]) -> NDArray[np.int64]:
    """A rounding shift of numbers >= 0 that does what TFLite's x86 build does beyond 31.

    An int8 sum of 512 or more asks for a shift by 32 to 34, which C leaves undefined: the processor
    shifts by the low five bits, and the rounding adds one. Most answers then saturate.
    """
    rounded = rounding_divide_by_pot(value, np.minimum(right, 31)).astype(np.int64)
    return np.where(right > 31, (value.astype(np.int64) >> (right & 31)) + 1, rounded)


def _bit_length(value: NDArray[np.int64]) -> NDArray[np.int64]:
    """Binary digits of numbers in 1 .. 2**52."""
    return np.frexp(value.astype(np.float64))[1].astype(np.int64)


# ---- int16 -------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _table(low: float, high: float, function: Callable[[float], float]) -> Int32Array:
    """513 samples of a function on [low, high] in Q0.15; each but the last is moved by half of the
    error that interpolation would make in the middle of its interval. All in double."""
    step = (high - low) / 512
    exact = np.array([function(low + i * step) * 32768 for i in range(513)])
    middle = np.array([function(low + i * step + step / 2) * 32768 for i in range(512)])
    samples = round_half_away(exact)
    interpolated = round_half_away((exact[1:] + samples[:-1]) / 2)
    samples[:-1] -= round_half_away((interpolated - round_half_away(middle)) / 2)
    return np.clip(samples, -32768, 32767).astype(np.int32)


def _one_over_one_plus(x: float) -> float:
    return 1.0 / (1.0 + x)


def int16_tables() -> tuple[Int32Array, Int32Array]:
    """exp on [-10, 0] and 1 / (1 + x) on [0, 1], both Q0.15, 513 entries."""
    return _table(-EXP_RANGE, 0.0, math.exp), _table(0.0, 1.0, _one_over_one_plus)


def int16_scaling(graph: Graph, node: Node) -> tuple[int, int]:
    """Multiplier and shift that bring a difference of -65535 to -10.

    TFLite multiplies scale and beta in float32 (activations.cc `SoftmaxPrepare`).
    """
    product = np.float32(graph.input(node).scale) * np.float32(node.attrs.beta)
    return quantize_multiplier(float(product) / (EXP_RANGE / 65535.0))


def look_up(value: np.ndarray, table: Int32Array) -> NDArray[np.int64]:
    """The table's function at int16 numbers, by linear interpolation."""
    index, offset = 256 + (value >> 7), value & 0x7F
    base = table[index].astype(np.int64)
    return base + (((table[index + 1] - base) * offset + 64) >> 7)


def _int16(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    exponential, reciprocal = int16_tables()
    value = x.astype(np.int64)
    difference = value - value.max(axis=-1, keepdims=True)
    scaled = multiply_by_quantized_multiplier(difference, *int16_scaling(graph, node))
    exponentials = look_up(np.clip(scaled.astype(np.int64) + 32767, -32768, 32767), exponential)
    total = exponentials.sum(axis=-1, keepdims=True)
    headroom = 32 - _bit_length(total)  # the leading one moves to bit 16, then out
    shifted = ((total << (headroom - 1)) + (1 << 13)) >> 14
    position = np.clip(shifted - (1 << 15) - (1 << 16), -32768, 32767)
    right = 31 - headroom
    product = exponentials * look_up(position, reciprocal)
    result = (product + (np.int64(1) << (right - 1))) >> right
    return np.clip(result, 0, 32767).astype(np.int16)


# ---- float32 -----------------------------------------------------------------------------------


def _float(node: Node, x: np.ndarray) -> np.ndarray:
    """The greatest starts from the least finite number and passes over NaN, as in TFLite."""
    greatest = np.fmax(np.fmax.reduce(x, axis=-1, keepdims=True), np.finfo(np.float32).min)
    with np.errstate(invalid="ignore", over="ignore"):
        exponentials = exp((x - greatest) * np.float32(node.attrs.beta))
        total = np.zeros_like(greatest)
        for i in range(x.shape[-1]):  # one after the other: NumPy's own sum would add pairwise
            total = total + exponentials[..., i : i + 1]
        return exponentials / total


# ---- lowering ----------------------------------------------------------------------------------


def pixel_rows(graph: Graph, node: Node) -> dict[str, Field]:
    depth = graph.input(node).shape[-1]
    return {
        "rows": Rows(),
        "pixels": image_rows(graph.output(node).shape)[2] // depth,
        "depth": depth,
        "x": Cursor(graph.input(node).index),
        "y": Cursor(graph.output(node).index),
    }


def lower(graph: Graph, node: Node) -> Lowered:
    """Rows of pixels; in place, as an element is written after its pixel's sum is known."""
    fields = pixel_rows(graph, node)
    if graph.input(node).dtype == "float32":
        beta = Constant(np.array([node.attrs.beta], np.float32))
        return SOFTMAX_F32.lowered(ELEMENT, **fields, beta=beta, powers=Constant(power_table()))
    if graph.input(node).dtype == "int16":
        exponential, reciprocal = int16_tables()
        multiplier, shift = int16_scaling(graph, node)
        return SOFTMAX_S16.lowered(
            ELEMENT,
            **fields,
            multiplier=multiplier,
            shift=shift,
            exponentials=Constant(exponential),
            reciprocals=Constant(reciprocal),
        )
    words = SOFTMAX_S8 if graph.output(node).dtype == "int8" else SOFTMAX_S8_S16
    table = Constant(_exponentials(graph, node))
    return words.lowered(ELEMENT, **fields, exponentials=table)


# ---- constraints -------------------------------------------------------------------------------


def dtypes_fit(graph: Graph, node: Node) -> bool:
    """Softmax must be int8 to int8, int8 to int16, int16 to int16 or float32 to float32."""
    pair = graph.input(node).dtype, graph.output(node).dtype
    return pair in (
        ("int8", "int8"),
        ("int8", "int16"),
        ("int16", "int16"),
        ("float32", "float32"),
    )


def depth_fits(graph: Graph, node: Node) -> bool:
    """A softmax must be over at least one number, in int8 over at most 4095, in int16 65535."""
    shape, limits = graph.input(node).shape, {"int8": 4095, "int16": 65535}
    return len(shape) > 0 and 1 <= shape[-1] <= limits.get(graph.input(node).dtype, 1 << 30)


def probabilities_are_scaled(graph: Graph, node: Node) -> bool:
    """A softmax's output must have scale 1/256 and zero point -128 (int8), 1/65536 and -32768
    (int8 to int16), or 1/32768 and 0 (int16)."""
    x, y = graph.input(node), graph.output(node)
    if x.dtype == "float32":
        return True
    if x.dtype == "int16":
        return y.zero_point == 0 and abs(y.scale - 1 / 32768) < 1e-3 / 32768
    kind = np.iinfo(DTYPES[y.dtype])
    one = kind.max - kind.min + 1
    return y.zero_point == kind.min and abs(y.scale * one - 1) < 1e-3


def beta_in_range(graph: Graph, node: Node) -> bool:
    """beta * input scale of an int8 softmax must be more than 2**-26."""
    x = graph.input(node)
    return x.dtype != "int8" or difference_multiplier(x, node.attrs.beta) > 1.0


SOFTMAX = Operation(
    reference,
    lower,
    (SOFTMAX_S8, SOFTMAX_S8_S16, SOFTMAX_S16, SOFTMAX_F32),
    (
        dtypes_fit,
        is_quantized,
        probabilities_are_scaled,
        depth_fits,
        beta_in_range,
    ),
)
