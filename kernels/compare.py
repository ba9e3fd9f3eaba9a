"""Comparisons of two numbers, broadcast, by one flat walk; int8 ones in TFLite's fixed point.

TFLite scales quantized numbers by 2**8 times their own scale before it compares them, rounded, so
that close ones may be equal (comparisons.cc, reference/comparisons.h). `mask` says which relations
hold: 1 less, 2 equal, 4 greater, 8 none, as of NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Field, Lowered
from .elementwise import AXES, FLAT, lower_flat
from .fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from .general_functions import true_or_false, two_reference
from .in_numpy import IN_NUMPY
from .operation import Operation, layout

LEFT_SHIFT = 8
MASKS = {
    "less": 1,
    "equal": 2,
    "less_equal": 3,
    "greater": 4,
    "greater_equal": 6,
    "not_equal": 13,
    "logical_xor": 13,
}
_SUFFIXES = {
    "int8": "s8",
    "bool": "s8",
    "int16": "s16",
    "int32": "s32",
    "int64": "s64",
    "float32": "f32",
}
PLAIN = {
    suffix: layout(f"compare_{suffix}", f"{FLAT} mask")
    for suffix in dict.fromkeys(_SUFFIXES.values())
}
RESCALED = layout(
    "compare_rescaled_s8",
    f"{FLAT} mask a_offset a_multiplier a_shift b_offset b_multiplier b_shift",
)


def plain(graph: Graph, node: Node) -> bool:
    """Whether numbers are compared as they are: TFLite does so with int16 ones, too."""
    tensors = [graph.tensors[t] for t in node.operands]
    return any(t.dtype != "int8" or t.quantization is None for t in tensors)


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """True where the relation holds."""
    if plain(graph, node):
        return two_reference(graph, node, arrays)
    words, sides = rescaling(graph, node), []
    for name, values in zip("ab", arrays, strict=True):
        assert values is not None
        shifted = (values.astype(np.int64) + words[f"{name}_offset"]) << LEFT_SHIFT
        multiplier, shift = words[f"{name}_multiplier"], words[f"{name}_shift"]
        sides.append(multiply_by_quantized_multiplier(shifted, multiplier, shift))
    return two_reference(graph, node, sides)


def rescaling(graph: Graph, node: Node) -> dict[str, int]:
    """The words of `RESCALED` after its mask."""
    words = {}
    for position, name in enumerate("ab"):
        tensor = graph.input(node, position)
        multiplier, shift = quantize_multiplier(tensor.scale)
        words[f"{name}_offset"] = -tensor.zero_point
        words[f"{name}_multiplier"], words[f"{name}_shift"] = multiplier, shift
    return words


def lower(graph: Graph, node: Node) -> Lowered:
    """One walk over y, where there is a kernel of this type."""
    x, y = graph.input(node), graph.output(node)
    if len(y.shape) > AXES or x.dtype not in _SUFFIXES:
        return IN_NUMPY.lowered()
    words: dict[str, Field] = {"mask": MASKS[node.op]}
    if plain(graph, node):
        return lower_flat(graph, node, PLAIN[_SUFFIXES[x.dtype]], words)
    return lower_flat(graph, node, RESCALED, words | rescaling(graph, node))


def one_scale_each(graph: Graph, node: Node) -> bool:
    """Numbers that are compared must have one scale a tensor."""
    tensors = [graph.tensors[t] for t in node.operands]
    return all(t.quantization is None or not t.quantization.per_axis for t in tensors)


def scales_below_one(graph: Graph, node: Node) -> bool:
    """The scales of int8 numbers that are compared must be under 1."""
    return plain(graph, node) or all(graph.tensors[t].scale < 1 for t in node.operands)


OPERATIONS: Mapping[str, Operation] = {
    op: Operation(
        reference,
        lower,
        (*PLAIN.values(), RESCALED, IN_NUMPY),
        (true_or_false, one_scale_each, scales_below_one),
    )
    for op in MASKS
}
