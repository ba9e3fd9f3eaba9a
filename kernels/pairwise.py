"""Functions of two numbers by one flat walk: extremes, quotients, prelu, squared differences.

What has a kernel of its own (`add`, `mul`) doesn't come here. Numbers as they are, and of int8:
squared differences brought to a common scale (TFLite squared_difference.cc), prelu by two
multipliers (TFLite reference/prelu.h). Types that have no kernel run in NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Field, Lowered
from .elementwise import AXES, FLAT, is_quantized, lower_flat
from .fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
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
LEFT_SHIFT = 7  # of a squared difference's operands

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
PRELU_S8 = layout(
    "prelu_s8",
    f"{FLAT} a_offset b_offset y_offset multiplier shift negative_multiplier negative_shift",
)
SQUARED_DIFFERENCE_S8 = layout(
    "squared_difference_s8",
    f"{FLAT} a_offset a_multiplier a_shift b_offset b_multiplier b_shift "
    "y_offset y_multiplier y_shift",
)


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
    words = _words(graph, node)
    left = a.astype(np.int64) + words["a_offset"]
    right = b.astype(np.int64) + words["b_offset"]
    combine = _prelu if node.op == "prelu" else _squared_difference
    return [np.clip(combine(words, left, right) + words["y_offset"], -128, 127).astype(np.int8)]


def _prelu(words: Mapping[str, int], x: np.ndarray, slope: np.ndarray) -> np.ndarray:
    positive = multiply_by_quantized_multiplier(x, words["multiplier"], words["shift"])
    negative = multiply_by_quantized_multiplier(
        x * slope, words["negative_multiplier"], words["negative_shift"]
    )
    return np.where(x >= 0, positive, negative).astype(np.int64)


def _squared_difference(words: Mapping[str, int], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    left, right = (
        multiply_by_quantized_multiplier(
            side << LEFT_SHIFT, words[f"{name}_multiplier"], words[f"{name}_shift"]
        ).astype(np.int64)
        for name, side in (("a", a), ("b", b))
    )
    squares = (left - right) ** 2
    scaled = multiply_by_quantized_multiplier(squares, words["y_multiplier"], words["y_shift"])
    return scaled.astype(np.int64)


def _words(graph: Graph, node: Node) -> dict[str, int]:
    """The words of an int8 kernel after the walk's own."""
    a, b, y = graph.input(node, 0), graph.input(node, 1), graph.output(node)
    offsets = {"a_offset": -a.zero_point, "b_offset": -b.zero_point, "y_offset": y.zero_point}
    if node.op == "prelu":
        ratio = np.float32(a.scale) / np.float32(y.scale)
        sloped = np.float32(a.scale) * np.float32(b.scale) / np.float32(y.scale)
        multiplier, shift = quantize_multiplier(float(ratio))
        negative, negative_shift = quantize_multiplier(float(sloped))
        return {
            **offsets,
            "multiplier": multiplier,
            "shift": shift,
            "negative_multiplier": negative,
            "negative_shift": negative_shift,
        }
    common = 2.0 * max(a.scale, b.scale)
    output = common * common / ((1 << 2 * LEFT_SHIFT) * y.scale)
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
        kernel = PRELU_S8 if node.op == "prelu" else SQUARED_DIFFERENCE_S8
        return lower_flat(graph, node, kernel, words)
    op = _BOOLEAN.get(node.op, node.op)
    kernel_or_none = PLAIN.get(f"{op}_{_SUFFIXES.get(a.dtype)}")
    if kernel_or_none is None:
        return IN_NUMPY.lowered()
    return lower_flat(graph, node, kernel_or_none, {})


def int8_if_quantized(graph: Graph, node: Node) -> bool:
    """Quantized operands and output must be int8."""
    tensors = [graph.tensors[t] for t in (*node.operands, *node.outputs)]
    return plain(graph, node) or all(t.dtype == "int8" for t in tensors)


def scales_in_range(graph: Graph, node: Node) -> bool:
    """Input scale / output scale must be under 2**30, and products of scales likewise."""
    if plain(graph, node):
        return True
    shifts = [value for name, value in _words(graph, node).items() if name.endswith("shift")]
    return max(shifts) <= 30


def _layouts(op: str) -> tuple[Layout, ...]:
    return tuple(PLAIN[f"{op}_{suffix}"] for suffix in _TYPES[op])


_QUANTIZED = (one_dtype, int8_if_quantized, is_quantized, scales_in_range)

OPERATIONS: Mapping[str, Operation] = {
    **{
        op: Operation(two_reference, lower, (*_layouts(op), IN_NUMPY), (one_dtype, one_scale))
        for op in ("maximum", "minimum")
    },
    **{
        op: Operation(reference, lower, (*_layouts(op), IN_NUMPY), (not_quantized, one_dtype))
        for op in ("divide", "floor_divide", "floor_modulo")
    },
    **{
        op: Operation(
            two_reference,
            lower,
            (*_layouts(of), IN_NUMPY),
            (not_quantized, true_or_false),
        )
        for op, of in _BOOLEAN.items()
    },
    "prelu": Operation(reference, lower, (*_layouts("prelu"), PRELU_S8, IN_NUMPY), _QUANTIZED),
    "squared_difference": Operation(
        reference,
        lower,
        (*_layouts("squared_difference"), SQUARED_DIFFERENCE_S8, IN_NUMPY),
        _QUANTIZED,
    ),
}
