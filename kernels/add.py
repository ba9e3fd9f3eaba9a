"""add and sub: int8, int16, float32 and int32, with broadcasting and a fused activation.

Both quantized operands are brought to a common scale, twice the larger of theirs, with as many
fractional bits as fit into 32 (TFLite add.cc, sub.cc, reference/integer_ops/add.h). Subtraction is
addition with a negated multiplier, so both share their kernels. An operand that is rounded once is
shifted by so much less to the left instead of being shifted back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..runtime.graph import DTYPES, Graph, Node
from ..runtime.lowering import ELEMENT, Constant, Cursor, Field, Lowered, Rows, image_rows
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
    quantize_multiplier,
    rounding_divide_by_pot,
)
from .lookup import is_lookup, lower_lookup
from .operation import Operation, layout
from .plain import with_plain
from .scales import checked_log2

LEFT_SHIFT = {"int8": 20, "int16": 15}
SIGN = {"add": 1, "sub": -1}  # of the second operand

_RESCALED = (
    "a_left a_offset a_multiplier a_shift b_left b_offset b_multiplier b_shift "
    "y_offset y_multiplier y_shift minimum maximum"
)
ADD_S8 = binary_layouts("add", "s8", _RESCALED)
ADD_S16 = binary_layouts("add", "s16", _RESCALED)
ADD_F32 = binary_layouts("add", "f32", "a_sign b_sign limits")
ADD_S32 = binary_layouts("add", "s32", "a_sign b_sign minimum maximum")
ADD_POT_S16 = layout(
    "add_pot_s16", "rows count a b y a_sign b_sign a_shift b_shift minimum maximum"
)
_LAYOUTS = {"int8": ADD_S8, "int16": ADD_S16, "float32": ADD_F32, "int32": ADD_S32}


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """a + b or a - b, broadcast as NumPy does; clamped to the fused activation's range."""
    a, b = arrays[0], arrays[1]
    assert a is not None and b is not None
    kind = graph.output(node).dtype
    if kind == "float32":
        return [_float(node, a, b)]
    if kind == "int32":
        return [_int32(node, a, b)]
    if power_of_two(graph, node):
        return [_power_of_two(graph, node, a, b)]
    return [_rescaled(graph, node, a, b)]


def _float(node: Node, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    low, high = float_activation_range(node.attrs.activation)
    with np.errstate(invalid="ignore", over="ignore"):
        total = a + b * np.float32(SIGN[node.op])
    total = np.where(total < low, low, total)
    return np.where(total > high, high, total)


def _int32(node: Node, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    low, high = int32_range(node.attrs.activation)
    total = a.astype(np.int64) + SIGN[node.op] * b.astype(np.int64)
    return np.clip(total.astype(np.int32), low, high).astype(np.int32)  # wraps, then clamps


def _rescaled(graph: Graph, node: Node, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    words, kind = rescaling(graph, node), DTYPES[graph.output(node).dtype]
    total = rescaled(words, "a", a) + rescaled(words, "b", b)
    scaled = multiply_by_quantized_multiplier(total, words["y_multiplier"], words["y_shift"])
    result = scaled.astype(np.int64) + words["y_offset"]
    return np.clip(result, words["minimum"], words["maximum"]).astype(kind)


def rescaled(words: dict[str, int], side: str, values: np.ndarray) -> NDArray[np.int64]:
    """An operand's values, brought to the common scale."""
    shifted = (values.astype(np.int64) + words[f"{side}_offset"]) << words[f"{side}_left"]
    multiplier, shift = words[f"{side}_multiplier"], words[f"{side}_shift"]
    return multiply_by_quantized_multiplier(shifted, multiplier, shift).astype(np.int64)


def _power_of_two(graph: Graph, node: Node, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    words = shifting(graph, node)
    total = sum(
        words[f"{side}_sign"] * rounding_divide_by_pot(value, words[f"{side}_shift"])
        for side, value in (("a", a), ("b", b))
    )
    return np.clip(total, words["minimum"], words["maximum"]).astype(np.int16)


def int32_range(activation: str) -> tuple[int, int]:
    """Least and greatest output of a fused activation on plain int32."""
    kind = np.iinfo(np.int32)
    low, high = (
        int(bound) if abs(bound) < 7 else None for bound in float_activation_range(activation)
    )
    return (kind.min if low is None else low), (kind.max if high is None else high)


# ---- parameters --------------------------------------------------------------------------------


def _twice_larger_scale(graph: Graph, node: Node) -> float:
    return 2.0 * max(graph.input(node, 0).scale, graph.input(node, 1).scale)


def _output_multiplier(graph: Graph, node: Node) -> float:
    y = graph.output(node)
    return _twice_larger_scale(graph, node) / ((1 << LEFT_SHIFT[y.dtype]) * y.scale)


def rescaling(graph: Graph, node: Node) -> dict[str, int]:
    """The words `_RESCALED` of a quantized node."""
    a, b, y = graph.input(node, 0), graph.input(node, 1), graph.output(node)
    common, left = _twice_larger_scale(graph, node), LEFT_SHIFT[y.dtype]
    a_multiplier, a_shift = quantize_multiplier(a.scale / common)
    b_multiplier, b_shift = quantize_multiplier(b.scale / common)
    a_once, b_once = node.attrs.rounded_once
    y_multiplier, y_shift = multiplier_for(y, _output_multiplier(graph, node))
    minimum, maximum = activation_range(node.attrs.activation, y)
    return {
        "a_left": left + a_shift if a_once else left,
        "a_offset": -a.zero_point,
        "a_multiplier": a_multiplier,
        "a_shift": 0 if a_once else a_shift,
        "b_left": left + b_shift if b_once else left,
        "b_offset": -b.zero_point,
        "b_multiplier": SIGN[node.op] * b_multiplier,
        "b_shift": 0 if b_once else b_shift,
        "y_offset": y.zero_point,
        "y_multiplier": y_multiplier,
        "y_shift": y_shift,
        "minimum": minimum,
        "maximum": maximum,
    }


def power_of_two(graph: Graph, node: Node) -> bool:
    """True for int16 nodes that TFLite adds by shifts alone: flagged so, all scales powers of two,
    all zero points 0."""
    tensors = (graph.input(node, 0), graph.input(node, 1), graph.output(node))
    return (
        tensors[2].dtype == "int16"
        and node.attrs.pot_scale
        and all(t.zero_point == 0 and checked_log2(t.scale) is not None for t in tensors)
    )


def _log2_steps(graph: Graph, node: Node) -> tuple[int, int]:
    """Powers of two by which the output's scale is larger than those of a and b."""
    a, b, y = (
        checked_log2(t.scale)
        for t in (graph.input(node, 0), graph.input(node, 1), graph.output(node))
    )
    assert a is not None and b is not None and y is not None
    return y - a, y - b


def shifting(graph: Graph, node: Node) -> dict[str, int]:
    """The words of `add_pot_s16` after its rows."""
    a_shift, b_shift = _log2_steps(graph, node)
    minimum, maximum = activation_range(node.attrs.activation, graph.output(node))
    return {
        "a_sign": 1,
        "b_sign": SIGN[node.op],
        "a_shift": a_shift,
        "b_shift": b_shift,
        "minimum": minimum,
        "maximum": maximum,
    }


def lower(graph: Graph, node: Node) -> Lowered:
    """By rows where the operands allow it; power-of-two int16 has a kernel of its own, and a number
    and int8 are a table."""
    if is_lookup(graph, node):
        return lower_lookup(graph, node, reference)
    y = graph.output(node)
    words: dict[str, Field]
    if y.dtype == "float32":
        limits = np.array(float_activation_range(node.attrs.activation), np.float32)
        words = {"a_sign": 1, "b_sign": SIGN[node.op], "limits": Constant(limits)}
    elif y.dtype == "int32":
        minimum, maximum = int32_range(node.attrs.activation)
        words = {"a_sign": 1, "b_sign": SIGN[node.op], "minimum": minimum, "maximum": maximum}
    elif power_of_two(graph, node):
        return _lower_power_of_two(graph, node)
    else:
        words = dict(rescaling(graph, node))
    return lower_binary(graph, node, _LAYOUTS[y.dtype], words)


def _lower_power_of_two(graph: Graph, node: Node) -> Lowered:
    fields: dict[str, Field] = {
        "rows": Rows(),
        "count": image_rows(graph.output(node).shape)[2],
        "a": Cursor(graph.input(node, 0).index),
        "b": Cursor(graph.input(node, 1).index),
        "y": Cursor(graph.output(node).index),
    }
    return ADD_POT_S16.lowered(ELEMENT, **fields, **shifting(graph, node))


# ---- constraints -------------------------------------------------------------------------------


def output_scale_in_range(graph: Graph, node: Node) -> bool:
    """A quantized output's scale must be more than 2**-19 (int16: 2**-14) of the larger one of the
    operands."""
    if graph.output(node).dtype not in LEFT_SHIFT or power_of_two(graph, node):
        return True
    return quantize_multiplier(_output_multiplier(graph, node))[1] <= 0


def rounds_once_within_words(graph: Graph, node: Node) -> bool:
    """Only an int8 add may round its operands once, with scales not 2**20 times smaller than the
    other, and an output's scale at which the sum fits into int16."""
    if not any(node.attrs.rounded_once):
        return True
    a, b, y = graph.input(node, 0), graph.input(node, 1), graph.output(node)
    if node.op != "add" or y.dtype != "int8":
        return False
    words = rescaling(graph, node)
    most = 256 * (a.scale + b.scale) / y.scale + 128
    return min(words["a_left"], words["b_left"]) >= 0 and most < 1 << 15


def powers_of_two_fit(graph: Graph, node: Node) -> bool:
    """An int16 node with power-of-two scales (pot_scale_int16) must have two activations of equal
    shape, neither scale larger than the output's, and one equal to it."""
    if not power_of_two(graph, node):
        return True
    a, b, steps = graph.input(node, 0), graph.input(node, 1), _log2_steps(graph, node)
    alike = a.shape == b.shape and not a.constant and not b.constant
    return alike and min(steps) == 0 and max(steps) < 16


CONSTRAINTS = (
    all_of("int8", "int16", "float32", "int32"),
    is_quantized,
    int16_is_symmetric,
    at_most_five_axes,
    output_scale_in_range,
    rounds_once_within_words,
    powers_of_two_fit,
)
_ALL_LAYOUTS = (*(words for kind in _LAYOUTS.values() for words in kind.all), ADD_POT_S16)

_OPERATION = Operation(reference, lower, _ALL_LAYOUTS, CONSTRAINTS)
ADD = with_plain(_OPERATION, np.add, "float32", "int32")
SUB = with_plain(_OPERATION, np.subtract, "float32", "int32")
