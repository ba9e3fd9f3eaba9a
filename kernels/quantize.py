"""quantize and dequantize: between float32 and integers, and between integers.

(TFLite quantize.cc, dequantize.cc, reference/quantize.h, reference/requantize.h,
reference/dequantize.h.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.graph import DTYPES, Graph, Node, Tensor
from ..runtime.lowering import ELEMENT, Constant, Field, Lowered
from .elementwise import ROWS, unary_rows
from .fixedpoint import (
    is_in_floats,
    multiplier_for,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
)
from .lookup import lower_lookup
from .operation import Layout, Operation, layout
from .scales import round_half_away

# Integer dtype -> how kernels name it.
SUFFIXES = {"int8": "s8", "uint8": "u8", "int16": "s16", "int32": "s32"}

BYTES = {"int8", "uint8"}

_FROM_FLOAT = f"{ROWS} x y scale zero_point"
_REQUANTIZE = f"{ROWS} x y x_offset multiplier shift y_offset"
# (input dtype, output dtype) of quantize; from byte to byte is a `lookup_s8`
# of activations.py.
QUANTIZE: dict[tuple[str, str], Layout] = {
    ("float32", "int8"): layout("quantize_f32_s8", _FROM_FLOAT),
    ("float32", "uint8"): layout("quantize_f32_u8", _FROM_FLOAT),
    ("float32", "int16"): layout("quantize_f32_s16", _FROM_FLOAT),
    ("int8", "int16"): layout("quantize_s8_s16", _REQUANTIZE),
    ("int8", "int32"): layout("quantize_s8_s32", _REQUANTIZE),
    ("int16", "int8"): layout("quantize_s16_s8", _REQUANTIZE),
    ("int16", "int16"): layout("quantize_s16_s16", _REQUANTIZE),
    ("int16", "int32"): layout("quantize_s16_s32", _REQUANTIZE),
    ("int32", "int8"): layout("quantize_s32_s8", _REQUANTIZE),
    ("int32", "int16"): layout("quantize_s32_s16", _REQUANTIZE),
}
# From float32 with ties to even, as ONNX has it.
TO_EVEN = layout("quantize_to_even_f32_s8", _FROM_FLOAT)
DEQUANTIZE: dict[str, Layout] = {
    dtype: layout(f"dequantize_{SUFFIXES[dtype]}_f32", f"{ROWS} x y scale zero_point")
    for dtype in ("int8", "uint8", "int16")
}


# ---- quantize ----------------------------------------------------------------------------------


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Each number in the output's quantization, rounded half away from zero (or by the output's
    rule) and clamped."""
    x, source, target = arrays[0], graph.input(node), graph.output(node)
    assert x is not None
    result = _from_float(x, target) if source.dtype == "float32" else _requantize(x, source, target)
    kind = np.iinfo(DTYPES[target.dtype])
    return [np.clip(result, kind.min, kind.max).astype(kind.dtype)]


def _from_float(x: np.ndarray, target: Tensor) -> np.ndarray:
    """x / scale in float32, rounded. TFLite leaves NaN and quotients of 2**31 and more undefined:
    here NaN is 0 and the others saturate."""
    with np.errstate(over="ignore"):
        quotient = x / np.float32(target.scale)
    bounded = np.clip(np.nan_to_num(quotient.astype(np.float64), nan=0.0), -(2.0**31), 2.0**31)
    rounded = np.rint(bounded) if is_in_floats(target) else round_half_away(bounded)
    return rounded.astype(np.int64) + target.zero_point


def requantization(source: Tensor, target: Tensor) -> tuple[int, int]:
    """Multiplier and shift from the source's units to the target's."""
    return multiplier_for(target, source.scale / target.scale)


def _requantize(x: np.ndarray, source: Tensor, target: Tensor) -> np.ndarray:
    value = (x.astype(np.int64) - source.zero_point).astype(np.int32)  # int32 input may wrap
    scaled = multiply_by_quantized_multiplier(value, *requantization(source, target))
    return scaled.astype(np.int64) + target.zero_point


def lower(graph: Graph, node: Node) -> Lowered:
    """Bytes to bytes by a table, all else by arithmetic; in place wherever elements don't grow."""
    x, y = graph.input(node), graph.output(node)
    if {x.dtype, y.dtype} <= BYTES:
        return lower_lookup(graph, node, reference)
    fields = unary_rows(graph, node)
    words = QUANTIZE[x.dtype, y.dtype]
    if x.dtype == "float32":
        words = TO_EVEN if is_in_floats(y) else words
        return words.lowered(ELEMENT, **fields, **_scale_fields(y))
    multiplier, shift = requantization(x, y)
    return words.lowered(
        ELEMENT,
        **fields,
        x_offset=-x.zero_point,
        multiplier=multiplier,
        shift=shift,
        y_offset=y.zero_point,
    )


def _scale_fields(tensor: Tensor) -> dict[str, Field]:
    scale = Constant(np.array([tensor.scale], np.float32))
    return {"scale": scale, "zero_point": tensor.zero_point}


# ---- dequantize --------------------------------------------------------------------------------


def dequantize_reference(
    graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]
) -> list[np.ndarray]:
    """scale * (q - zero point), the real number rounded once to float32."""
    x, source = arrays[0], graph.input(node)
    assert x is not None
    real = (x.astype(np.int64) - source.zero_point) * source.scale
    return [real.astype(np.float32)]


def lower_dequantize(graph: Graph, node: Node) -> Lowered:
    """By rows. The difference is exact in float32, so one float32 product is the rounded one."""
    words = DEQUANTIZE[graph.input(node).dtype]
    fields = unary_rows(graph, node) | _scale_fields(graph.input(node))
    return words.lowered(ELEMENT, **fields)


# ---- constraints -------------------------------------------------------------------------------


def quantize_dtypes_fit(graph: Graph, node: Node) -> bool:
    """quantize must be from float32 to int8, uint8 or int16, between int8, uint8 and int16, from
    int8 or int16 to int32, or from int32 to int8 or int16."""
    pair = graph.input(node).dtype, graph.output(node).dtype
    return pair in QUANTIZE or set(pair) <= BYTES


def dequantize_dtypes_fit(graph: Graph, node: Node) -> bool:
    """dequantize must be from int8, uint8 or int16 to float32."""
    return graph.input(node).dtype in DEQUANTIZE and graph.output(node).dtype == "float32"


def integers_have_one_scale(graph: Graph, node: Node) -> bool:
    """Integer operands must have one scale and one zero point."""
    return all(
        t.dtype == "float32" or (t.quantization is not None and not t.quantization.per_axis)
        for t in (graph.input(node), graph.output(node))
    )


def scale_ratio_in_range(graph: Graph, node: Node) -> bool:
    """Input scale / output scale of a requantization must be under 2**30."""
    x, y = graph.input(node), graph.output(node)
    return x.dtype == "float32" or quantize_multiplier(x.scale / y.scale)[1] <= 30


QUANTIZE_OPERATION = Operation(
    reference,
    lower,
    (*QUANTIZE.values(), TO_EVEN),
    (quantize_dtypes_fit, integers_have_one_scale, scale_ratio_in_range),
)
DEQUANTIZE_OPERATION = Operation(
    dequantize_reference,
    lower_dequantize,
    tuple(DEQUANTIZE.values()),
    (dequantize_dtypes_fit, integers_have_one_scale),
)
