"""mul: int8, int16, float32 and int32, with broadcasting and a fused activation.

(TFLite mul.cc, reference/integer_ops/mul.h.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.graph import DTYPES, Graph, Node
from ..runtime.lowering import Constant, Field, Lowered
from .add import int32_range
from .elementwise import (
    all_of,
    at_most_five_axes,
    binary_layouts,
    int16_is_symmetric,
    is_quantized,
    lower_binary,
)
from .fixedpoint import (
    activation_range,
    float_activation_range,
    multiplier_for,
    multiply_by_quantized_multiplier,
)
from .lookup import is_lookup, lower_lookup
from .operation import Operation
from .plain import with_plain

_REQUANTIZED = "a_offset b_offset y_offset multiplier shift minimum maximum"
MUL_S8 = binary_layouts("mul", "s8", _REQUANTIZED)
MUL_S16 = binary_layouts("mul", "s16", _REQUANTIZED)
MUL_F32 = binary_layouts("mul", "f32", "limits")
MUL_S32 = binary_layouts("mul", "s32", "minimum maximum")
_LAYOUTS = {"int8": MUL_S8, "int16": MUL_S16, "float32": MUL_F32, "int32": MUL_S32}


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """a * b, broadcast as NumPy does; clamped to the fused activation's range."""
    a, b = arrays[0], arrays[1]
    assert a is not None and b is not None
    kind = graph.output(node).dtype
    if kind == "float32":
        low, high = float_activation_range(node.attrs.activation)
        with np.errstate(invalid="ignore", over="ignore"):
            product = a * b
        product = np.where(product < low, low, product)
        return [np.where(product > high, high, product)]
    if kind == "int32":
        wrapped = (a.astype(np.int64) * b.astype(np.int64)).astype(np.int32)
        return [np.clip(wrapped, *int32_range(node.attrs.activation)).astype(np.int32)]
    return [_requantized(graph, node, a, b)]


def _requantized(graph: Graph, node: Node, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    words = requantization(graph, node)
    left = a.astype(np.int64) + words["a_offset"]
    right = b.astype(np.int64) + words["b_offset"]
    scaled = multiply_by_quantized_multiplier(left * right, words["multiplier"], words["shift"])
    result = scaled.astype(np.int64) + words["y_offset"]
    kind = DTYPES[graph.output(node).dtype]
    return np.clip(result, words["minimum"], words["maximum"]).astype(kind)


def requantization(graph: Graph, node: Node) -> dict[str, int]:
    """The words `_REQUANTIZED`; the real multiplier is computed in float32."""
    a, b, y = graph.input(node, 0), graph.input(node, 1), graph.output(node)
    product = np.float32(a.scale) * np.float32(b.scale)
    multiplier, shift = multiplier_for(y, float(product / np.float32(y.scale)))
    minimum, maximum = activation_range(node.attrs.activation, y)
    return {
        "a_offset": -a.zero_point,
        "b_offset": -b.zero_point,
        "y_offset": y.zero_point,
        "multiplier": multiplier,
        "shift": shift,
        "minimum": minimum,
        "maximum": maximum,
    }


def lower(graph: Graph, node: Node) -> Lowered:
    """By rows where the operands allow it; a number times int8 is a table."""
    if is_lookup(graph, node):
        return lower_lookup(graph, node, reference)
    y = graph.output(node)
    words: dict[str, Field]
    if y.dtype == "float32":
        limits = np.array(float_activation_range(node.attrs.activation), np.float32)
        words = {"limits": Constant(limits)}
    elif y.dtype == "int32":
        minimum, maximum = int32_range(node.attrs.activation)
        words = {"minimum": minimum, "maximum": maximum}
    else:
        words = dict(requantization(graph, node))
    return lower_binary(graph, node, _LAYOUTS[y.dtype], words)


MUL = with_plain(
    Operation(
        reference,
        lower,
        tuple(words for kind in _LAYOUTS.values() for words in kind.all),
        (
            all_of("int8", "int16", "float32", "int32"),
            is_quantized,
            int16_is_symmetric,
            at_most_five_axes,
        ),
    ),
    np.multiply,
    "float32",
    "int32",
)
