"""Functions of two numbers by one flat walk: extremes, quotients, prelu, squared differences.

What has a kernel of its own (`add`, `mul`) doesn't come here. Numbers as they are, and of int8:
squared differences brought to a common scale (TFLite squared_difference.cc; int16 as in TFLM's),
prelu by two multipliers (TFLite reference/prelu.h; int16 with int8 slopes as in TFLM's). Types
that have no kernel run in NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Constant, Field, Lowered
from .elementwise import AXES, FLAT, is_quantized, lower_flat
from .fixedpoint import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from .gemmlowp import one_over_one_plus_x
from .general_functions import (
    not_quantized,
    one_dtype,
    one_scale,
    true_or_false,
    two_reference,
)
from .in_numpy import IN_NUMPY
from .operation import Layout, Operation, layout

Arrays = Sequence[np.ndarray | None]
LEFT_SHIFT = {"int8": 7, "int16": 0}  # of a squared difference's operands

_SUFFIXES = {"int8": "s8", "int16": "s16", "int32": "s32", "float32": "f32", "bool": "s8"}
_TYPES = {
    "maximum": ("s8", "s16", "s32", "f32"),
    "minimum": ("s8", "s16", "s32", "f32"),
    "divide": ("s32", "f32"),
    "floor_divide": ("s8", "s32", "f32"),
    "floor_modulo": ("s8", "s32", "f32"),
    "prelu": ("f32",),
    "squared_difference": ("s32", "f32"),
}
_BOOLEAN = {"logical_and": "minimum", "logical_or": "maximum"}  # of the bytes 0 and 1

PLAIN: Mapping[str, Layout] = {
    f"{op}_{suffix}": layout(f"{op}_{suffix}", FLAT)
    for op, suffixes in _TYPES.items()
    for suffix in suffixes
}
_SLOPED = f"{FLAT} a_offset b_offset y_offset multiplier shift negative_multiplier negative_shift"
PRELU_S8 = layout("prelu_s8", _SLOPED)
PRELU_S16 = layout("prelu_s16", _SLOPED)  # of slopes that are kept as int16
_SQUARED = (
    f"{FLAT} a_offset a_multiplier a_shift b_offset b_multiplier b_shift "
    "y_offset y_multiplier y_shift"
)
SQUARED_DIFFERENCE_S8 = layout("squared_difference_s8", _SQUARED)
SQUARED_DIFFERENCE_S16 = layout("squared_difference_s16", _SQUARED)

DIVIDE_S8 = layout(
    "divide_s8",
    f"{FLAT} a_offset b_offset y_offset multiplier shift inverses places",
)


_SCALED = {
    ("divide", "int8"): DIVIDE_S8,
    ("prelu", "int8"): PRELU_S8,
    ("prelu", "int16"): PRELU_S16,
    ("squared_difference", "int8"): SQUARED_DIFFERENCE_S8,
    ("squared_difference", "int16"): SQUARED_DIFFERENCE_S16,
}


def plain(graph: Graph, node: Node) -> bool:
    """Whether a node's numbers are taken as they are."""
    tensors = (graph.tensors[t] for t in (*node.operands, *node.outputs))
    return node.op in ("maximum", "minimum") or all(t.quantization is None for t in tensors)


def reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """The function of each pair, broadcast as NumPy does."""
    a, b = arrays[0], arrays[1]
    assert a is not None and b is not None
    if node.op == "floor_divide" and a.dtype == np.float32:
        with np.errstate(all="ignore"):  # TFLite divides in double
            return [np.floor(a.astype(np.float64) / b).astype(np.float32)]
    if plain(graph, node):
        return two_reference(graph, node, arrays)
    if node.op == "divide":
        return [_divided(graph, node, a, b)]
    words = _words(graph, node)
    left = a.astype(np.int64) + words["a_offset"]
    right = b.astype(np.int64) + words["b_offset"]
    if node.op == "prelu":
        answer = _prelu(words, left, right)
    else:
        answer = _squared_difference(words, left, right, LEFT_SHIFT[str(a.dtype)])
    limits = np.iinfo(a.dtype)
    return [np.clip(answer + words["y_offset"], limits.min, limits.max).astype(a.dtype)]


def inverses(offset: int) -> np.ndarray:
    """1 / |b + offset| of each int8 b: [256] in Q0.31 of 0.5 to 1, then [256] binary digits before
    the point. (TFLite common.h `GetReciprocal`.) 0 has none, and stands as 0."""
    size = np.abs(np.arange(-128, 128, dtype=np.int64) + offset)
    digits = np.array([max(int(n).bit_length(), 1) for n in size])
    factors = one_over_one_plus_x((size << (32 - digits)) - (1 << 31))
    return np.stack([np.where(size, factors, 0), digits - 1]).astype(np.int32)


def _divided(graph: Graph, node: Node, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b; anything by zero is zero. A quotient of less than half a step is 0, which TFLite
    leaves to how a processor shifts by 32 and more."""
    words = _words(graph, node)
    table, places = inverses(words["b_offset"])
    index = b.astype(np.int64) + 128
    left = np.where(b.astype(np.int64) + words["b_offset"] < 0, -1, 1) * (
        a.astype(np.int64) + words["a_offset"]
    )
    room = 31 - np.array(np.frexp(np.where(left < 0, -left - 0.5, left + 0.0))[1], np.int64)
    room = np.where(left == 0, 31, room)
    quotient = saturating_rounding_doubling_high_mul(left << room, table[index])
    scaled = saturating_rounding_doubling_high_mul(quotient, words["multiplier"])
    right = places[index] + room - words["shift"]
    steps = rounding_divide_by_pot(scaled, np.minimum(right, 31)).astype(np.int64)
    steps = np.where(right > 31, 0, steps)
    return np.clip(steps + words["y_offset"], -128, 127).astype(np.int8)


def _prelu(words: Mapping[str, int], x: np.ndarray, slope: np.ndarray) -> np.ndarray:
    positive = multiply_by_quantized_multiplier(x, words["multiplier"], words["shift"])
    negative = multiply_by_quantized_multiplier(
        x * slope, words["negative_multiplier"], words["negative_shift"]
    )
    return np.where(x >= 0, positive, negative).astype(np.int64)


def _squared_difference(
    words: Mapping[str, int], a: np.ndarray, b: np.ndarray, left_shift: int
) -> np.ndarray:
    left, right = (
        multiply_by_quantized_multiplier(
            side << left_shift, words[f"{name}_multiplier"], words[f"{name}_shift"]
        ).astype(np.int64)
        for name, side in (("a", a), ("b", b))
    )
    squares = (left - right) ** 2
    scaled = multiply_by_quantized_multiplier(squares, words["y_multiplier"], words["y_shift"])
    return scaled.astype(np.int64)


def _words(graph: Graph, node: Node) -> dict[str, int]:
    """The words of a quantized kernel after the walk's own."""
    a, b, y = graph.input(node, 0), graph.input(node, 1), graph.output(node)
    offsets = {"a_offset": -a.zero_point, "b_offset": -b.zero_point, "y_offset": y.zero_point}
    if node.op == "prelu":
        kind = np.dtype("float64" if a.dtype == "int16" else "float32")  # TFLM's and TFLite's
        x_scale, slope_scale, y_scale = np.array([a.scale, b.scale, y.scale], "f").astype(kind)
        ratio, sloped = x_scale / y_scale, x_scale * slope_scale / y_scale
        multiplier, shift = quantize_multiplier(float(ratio))
        negative, negative_shift = quantize_multiplier(float(sloped))
        return {
            **offsets,
            "multiplier": multiplier,
            "shift": shift,
            "negative_multiplier": negative,
            "negative_shift": negative_shift,
        }
    if node.op == "divide":
        real = np.float32(a.scale) / (np.float32(b.scale) * np.float32(y.scale))
        offsets["multiplier"], offsets["shift"] = quantize_multiplier(float(real))
        return offsets
    common = 2.0 * max(a.scale, b.scale)
    output = common * common / ((1 << 2 * LEFT_SHIFT[a.dtype]) * y.scale)
    scales = {"a": a.scale / common, "b": b.scale / common, "y": output}
    for name, scale in scales.items():
        offsets[f"{name}_multiplier"], offsets[f"{name}_shift"] = quantize_multiplier(scale)
    return offsets


def lower(graph: Graph, node: Node) -> Lowered:
    """One walk over y, where there is a kernel of this type."""
    a, y = graph.input(node), graph.output(node)
    if len(y.shape) > AXES:
        return IN_NUMPY.lowered()
    if not plain(graph, node):
        words: dict[str, Field] = dict(_words(graph, node))
        if node.op == "divide":
            table, places = inverses(_words(graph, node)["b_offset"])
            words |= {"inverses": Constant(table), "places": Constant(places)}
        slopes = graph.input(node, 1).data
        if node.op == "prelu" and a.dtype == "int16" and slopes is not None:
            words["b"] = Constant(slopes.astype(np.int16))
        return lower_flat(graph, node, _SCALED[node.op, a.dtype], words)
    op = _BOOLEAN.get(node.op, node.op)
    kernel_or_none = PLAIN.get(f"{op}_{_SUFFIXES.get(a.dtype)}")
    if kernel_or_none is None:
        return IN_NUMPY.lowered()
    return lower_flat(graph, node, kernel_or_none, {})


def int8_if_quantized(graph: Graph, node: Node) -> bool:
    """Quantized operands and output must be int8."""
    tensors = [graph.tensors[t] for t in (*node.operands, *node.outputs)]
    return plain(graph, node) or all(t.dtype == "int8" for t in tensors)


def slopes_as_known(graph: Graph, node: Node) -> bool:
    """Input, slopes and output must be of one dtype, int8 if they are quantized; or input and
    output int16 with zero points of 0, and the slopes constant and int8."""
    x, slopes, y = (graph.tensors[t] for t in (*node.operands, *node.outputs))
    if x.dtype == y.dtype == "int16" and x.quantization is not None:
        return slopes.dtype == "int8" and slopes.constant and x.zero_point == y.zero_point == 0
    return one_dtype(graph, node) and int8_if_quantized(graph, node)


def squares_if_quantized(graph: Graph, node: Node) -> bool:
    """Quantized operands and output must be int8, or int16 with zero points of 0."""
    tensors = [graph.tensors[t] for t in (*node.operands, *node.outputs)]
    if all(t.dtype == "int16" and t.quantization is not None for t in tensors):
        return all(t.zero_point == 0 for t in tensors)
    return int8_if_quantized(graph, node)


def scales_in_range(graph: Graph, node: Node) -> bool:
    """Input scale / output scale must be under 2**30, and products of scales likewise."""
    if plain(graph, node):
        return True
    shifts = [value for name, value in _words(graph, node).items() if name.endswith("shift")]
    return max(shifts) <= 30


def plain_or_scaled(graph: Graph, node: Node) -> bool:
    """All operands and the output must have one scale and one zero point each, or none have."""
    return plain(graph, node) or is_quantized(graph, node)


def quotient_fits(graph: Graph, node: Node) -> bool:
    """A quotient's scale / output scale must be under 2**23."""
    return plain(graph, node) or node.op != "divide" or _words(graph, node)["shift"] <= 23


def _layouts(op: str) -> tuple[Layout, ...]:
    return tuple(PLAIN[f"{op}_{suffix}"] for suffix in _TYPES[op])


OPERATIONS: Mapping[str, Operation] = {
    **{
        op: Operation(two_reference, lower, (*_layouts(op), IN_NUMPY), (one_dtype, one_scale))
        for op in ("maximum", "minimum")
    },
    **{
        op: Operation(reference, lower, (*_layouts(op), IN_NUMPY), (not_quantized, one_dtype))
        for op in ("floor_divide", "floor_modulo")
    },
    "divide": Operation(
        reference,
        lower,
        (*_layouts("divide"), DIVIDE_S8, IN_NUMPY),
        (one_dtype, int8_if_quantized, plain_or_scaled, scales_in_range, quotient_fits),
    ),
    **{
        op: Operation(
            two_reference,
            lower,
            (*_layouts(of), IN_NUMPY),
            (not_quantized, true_or_false),
        )
        for op, of in _BOOLEAN.items()
    },
    "prelu": Operation(
        reference,
        lower,
        (*_layouts("prelu"), PRELU_S8, PRELU_S16, IN_NUMPY),
        (slopes_as_known, is_quantized, scales_in_range),
    ),
    "squared_difference": Operation(
        reference,
        lower,
        (
            *_layouts("squared_difference"),
            SQUARED_DIFFERENCE_S8,
            SQUARED_DIFFERENCE_S16,
            IN_NUMPY,
        ),
        (one_dtype, is_quantized, squares_if_quantized, scales_in_range),
    ),
}
