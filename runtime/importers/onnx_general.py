"""Readers of the ONNX operators that are functions of numbers, reductions or products of any rank.

Rules are those of https://onnx.ai/onnx/operators/ for opset 7 and newer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..attributes import Arithmetic, NoAttrs
from ..general import (
    BINARY,
    PREDICATES,
    Cast,
    Cumulate,
    Einsum,
    Extreme,
    Function,
    MatMul,
    Reduce,
    TopK,
)
from ..graph import DTYPES
from ..narrow import CARRIERS
from .onnx_building import FLAT, IMAGE, TO_NHWC, Value
from .onnx_narrow import narrowed
from .onnx_reading import Made, NodeReading, OnnxReader, aligned, axes_of, in_own_type
from .onnx_signs import where as signs_of
from .tflite_reading import Unsupported

MOST_AXES = 5  # that kernels of two operands take

# ---- functions ---------------------------------------------------------------------------------


def _parameters(node: NodeReading) -> tuple[float, ...]:
    if node.op == "Elu":
        return (float(node.attribute("alpha", 1.0)),)
    if node.op == "IsInf":
        signs = (node.attribute("detect_negative", 1), node.attribute("detect_positive", 1))
        return tuple(map(float, signs))
    return ()


def function(op: str, dtype: str | None = None) -> OnnxReader:
    """A function of one number; `dtype` is the answer's where it isn't the operand's."""

    def read(node: NodeReading) -> Made:
        value = in_own_type(node)
        made = node.emit(op, [value.index], Function(_parameters(node)), dtype=dtype)[0]
        return [Value(made, value.layout, value.image)]

    return read


def pairs(op: str) -> OnnxReader:
    """A function of two numbers, broadcast; of more than two, one after the other."""

    def read(node: NodeReading) -> Made:
        layout, (first, *others) = aligned(node)
        for other in others:
            first = pair(node, op, first, other)
        return [Value(first, layout)]

    return read


def pair(node: NodeReading, op: str, a: int, b: int) -> int:
    """A function of two tensors; those of one shape with many axes as rows of numbers."""
    shape, build = node.build.tensors[a].shape, node.build
    if len(shape) > MOST_AXES and shape == build.tensors[b].shape:
        flat = (math.prod(shape),)
        return build.reshaped(
            pair(node, op, build.reshaped(a, flat), build.reshaped(b, flat)), shape
        )
    attrs: Any = Function() if op in (*BINARY, *PREDICATES) else Arithmetic()
    return node.emit(op, [a, b], attrs, dtype="bool" if op in PREDICATES else None)[0]


def modulo(node: NodeReading) -> Made:
    return pairs("remainder" if node.attribute("fmod", 0) else "floor_modulo")(node)


def bit_shift(node: NodeReading) -> Made:
    return pairs(f"shift_{node.attribute('direction').lower()}")(node)


def mean_of(node: NodeReading) -> Made:
    (total,) = pairs("add")(node)
    share = np.asarray(1 / len(node.inputs), DTYPES[node.build.tensors[total.index].dtype])
    return [Value(pair(node, "mul", total.index, node.build.constant(share)), total.layout)]


def where(node: NodeReading) -> Made:
    signs = signs_of(node)
    if signs is not None:
        return signs
    layout, operands = aligned(node)
    kind = node.build.tensors[operands[1]].dtype
    return [Value(node.emit("select", operands, NoAttrs(), dtype=kind)[0], layout)]


def cast(node: NodeReading) -> Made:
    import onnx

    code, bits = node.attribute("to"), node.op == "BitCast"
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code))
    kind = dtype.name
    if kind in CARRIERS and not bits:
        return [narrowed(node, in_own_type(node), dtype)]
    if kind not in DTYPES or kind == "binary":
        name = onnx.TensorProto.DataType.Name(code)
        raise Unsupported(f"it makes {name} of its operand", "export it without that type")
    value = in_own_type(node)
    attrs = Cast(bits=bits)
    made = node.emit("cast", [value.index], attrs, dtype=kind)[0]
    return [Value(made, value.layout, value.image)]


# ---- reductions --------------------------------------------------------------------------------


def reduction(op: str) -> OnnxReader:
    def read(node: NodeReading) -> Made:
        value, axes = reduced_axes(node)
        if axes is None:
            return [value]
        attrs = Reduce(axes, bool(node.attribute("keepdims", 1)))
        return [Value(node.emit(op, [value.index], attrs)[0], value.layout)]

    return read


def reduced_axes(node: NodeReading) -> tuple[Value, tuple[int, ...] | None]:
    """The operand and the axes in its layout; None where no axes mean nothing to do."""
    rank, axes = len(node.shape(0)), axes_of(node)
    if not axes and node.attribute("noop_with_empty_axes", 0):
        return in_own_type(node), None
    counted = [axis % max(rank, 1) for axis in axes or range(rank)]
    value = in_own_type(node)
    keep = node.attribute("keepdims", 1)
    if value.layout == FLAT or (value.layout == IMAGE and not keep):
        value = Value(node.build.plain(node.inputs[0]))
    if value.layout == IMAGE:
        counted = [TO_NHWC.index(axis) for axis in counted]
    return value, tuple(sorted(set(counted)))


def extreme(op: str) -> OnnxReader:
    def read(node: NodeReading) -> Made:
        x = node.build.plain(node.inputs[0])
        axis = node.attribute("axis", 0) % len(node.build.tensors[x].shape)
        keep, last = (
            bool(node.attribute(n, d)) for n, d in (("keepdims", 1), ("select_last_index", 0))
        )
        return [Value(node.emit(op, [x], Extreme(axis, keep, last), dtype="int64")[0])]

    return read


def cumulate(op: str) -> OnnxReader:
    def read(node: NodeReading) -> Made:
        x = node.build.plain(node.inputs[0])
        axis = int(node.constant(1, "axis").reshape(-1)[0]) % len(node.build.tensors[x].shape)
        flags = (bool(node.attribute(name, 0)) for name in ("exclusive", "reverse"))
        return [Value(node.emit(op, [x], Cumulate(axis, *flags))[0])]

    return read


def top_k(node: NodeReading) -> Made:
    x = node.build.plain(node.inputs[0])
    rank = len(node.build.tensors[x].shape)
    count = int(node.constant(1, "count").reshape(-1)[0])
    axis = node.attribute("axis", -1) % rank
    attrs = TopK(count, axis, bool(node.attribute("largest", 1)))
    values, places = node.emit("top_k", [x], attrs, outputs=2, dtypes=(None, "int64"))
    return [Value(values), Value(places)]


# ---- products ----------------------------------------------------------------------------------


def product(node: NodeReading, a: int, b: int, dtype: str | None = None) -> int:
    """A matrix product of two computed operands."""
    return node.emit("matmul", [a, b], MatMul(), dtype=dtype)[0]


def matmul_integer(node: NodeReading) -> Made:
    """int32 sums of products of bytes less their zero points."""
    return [Value(product(node, centred(node, 0, 2), centred(node, 1, 3)))]


def centred(node: NodeReading, place: int, zero_place: int) -> int:
    """The bytes of an operand less their zero point, in int32."""
    x = as_type(node, node.build.plain(node.inputs[place]), "int32")
    if not node.has(zero_place):
        return x
    zero = as_type(node, node.build.plain(node.inputs[zero_place]), "int32")
    shape = node.build.tensors[zero].shape
    if place == 0 and len(shape) == 1 and shape[0] > 1:
        zero = node.build.reshaped(zero, (*shape, 1))  # one for each row
    numbers, zeros = (node.build.tensors[index].data for index in (x, zero))
    if numbers is not None and zeros is not None:
        return node.build.constant(numbers - zeros)
    return pair(node, "sub", x, zero)


def as_type(node: NodeReading, index: int, kind: str) -> int:
    """A tensor's numbers in another type."""
    if node.build.tensors[index].dtype == kind:
        return index
    tensor = node.build.tensors[index]
    if tensor.data is not None:
        return node.build.constant(tensor.data.astype(DTYPES[kind]))
    return node.emit("cast", [index], Cast(), dtype=kind)[0]


def einsum(node: NodeReading) -> Made:
    operands = [node.build.plain(name) for name in node.inputs]
    ranks = [len(node.build.tensors[index].shape) for index in operands]
    equation = written_out(node.attribute("equation"), ranks)
    return [Value(node.emit("einsum", operands, Einsum(equation))[0])]


def written_out(equation: str, ranks: list[int]) -> str:
    """An einsum equation without dots and with its right side.

    Dots stand for the axes that have no letter, counted from the right.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(ranks):
        raise ValueError(f"its equation {equation!r} has {len(parts)} operands, it {len(ranks)}")
    if not arrow:
        letters = sorted(set(left) - set(",."))
        right = "".join(x for x in letters if left.count(x) == 1)
        right = ("..." if "..." in left else "") + right
    free = [x for x in "ZYXWVUTSRQPONMLKJIHGFEDCBA" if x not in equation]
    most = max([rank - len(part.replace("...", "")) for part, rank in zip(parts, ranks)] + [0])
    names = "".join(free[:most])

    def spell(part: str, rank: int) -> str:
        missing = rank - len(part.replace("...", ""))
        return part.replace("...", names[most - missing :] if missing > 0 else "")

    left = ",".join(spell(part, rank) for part, rank in zip(parts, ranks))
    return f"{left}->{right.replace('...', names)}"


_ONE: Mapping[str, str] = {
    "Abs": "abs", "Acos": "acos", "Acosh": "acosh", "Asin": "asin", "Asinh": "asinh",
    "Atan": "atan", "Atanh": "atanh", "BitwiseNot": "bit_not", "Ceil": "ceil", "Cos": "cos",
    "Cosh": "cosh", "Elu": "elu", "Erf": "erf", "Exp": "exp", "Floor": "floor", "Log": "log",
    "Neg": "negate", "Not": "logical_not", "Reciprocal": "reciprocal", "Round": "round",
    "Sin": "sin", "Sinh": "sinh", "Softplus": "softplus", "Sqrt": "sqrt", "Tan": "tan",
}  # fmt: skip
_PAIRS: Mapping[str, str] = {
    "And": "logical_and", "BitwiseAnd": "bit_and", "BitwiseOr": "bit_or", "BitwiseXor": "bit_xor",
    "Div": "divide", "Equal": "equal", "Greater": "greater", "GreaterOrEqual": "greater_equal",
    "Less": "less", "LessOrEqual": "less_equal", "Max": "maximum", "Min": "minimum",
    "Or": "logical_or", "PRelu": "prelu", "Pow": "power", "Sum": "add", "Xor": "logical_xor",
}  # fmt: skip
_REDUCTIONS: Mapping[str, str] = {
    "ReduceMax": "reduce_max",
    "ReduceMin": "reduce_min",
    "ReduceProd": "product",
    "ReduceSum": "sum",
}
READERS: Mapping[str, Callable[[NodeReading], Made]] = {
    **{name: function(op) for name, op in _ONE.items()},
    **{name: pairs(op) for name, op in _PAIRS.items()},
    **{name: reduction(op) for name, op in _REDUCTIONS.items()},
    "ArgMax": extreme("arg_max"),
    "ArgMin": extreme("arg_min"),
    "BitCast": cast,
    "BitShift": bit_shift,
    "Cast": cast,
    "CumProd": cumulate("cumulative_product"),
    "CumSum": cumulate("cumulative_sum"),
    "Einsum": einsum,
    "IsInf": function("is_infinite", "bool"),
    "IsNaN": function("is_nan", "bool"),
    "MatMulInteger": matmul_integer,
    "Mean": mean_of,
    "Mod": modulo,
    "TopK": top_k,
    "Where": where,
}
