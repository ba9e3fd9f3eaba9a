"""Readers of products of bytes that become floats: numbers quantized by what they are at the time.

DynamicQuantizeLinear is ONNX's, the others are ONNX Runtime's own: what its dynamic quantizer and
its optimizer write. Sums are whole numbers, times the product of both scales, plus a bias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..attributes import Softmax
from ..general import Cast, Reduce
from ..graph import DTYPES
from .onnx_building import Value
from .onnx_general import as_type, centred, pair, product
from .onnx_normalizing import number, of_one
from .onnx_placing import picked
from .onnx_reading import Made, NodeReading, in_own_type
from .tflite_reading import Unsupported

LEVELS = 255.0  # steps between the least and the greatest number


@dataclass(frozen=True)
class Quantized:
    """Floats that stand for whole numbers less their zero point; a scale and that zero point."""

    steps: int
    scale: int
    zero: int


def quantized(node: NodeReading, x: int) -> Quantized:
    """Numbers in 256 steps between their least and their greatest, of which one is 0.

    Where all are 0 the scale is 1, as ONNX Runtime has it: ONNX's definition divides 0 by 0.
    """
    every = Reduce(tuple(range(len(node.build.tensors[x].shape))))
    low, high = (number(node, x, limit) for limit in (0.0, LEVELS))
    least = pair(node, "minimum", node.emit("reduce_min", [x], every)[0], low)
    most = pair(node, "maximum", node.emit("reduce_max", [x], every)[0], low)
    none = pair(node, "equal", most, least)
    step = pair(node, "divide", pair(node, "sub", most, least), high)
    kind = node.build.tensors[x].dtype
    scale = node.emit("select", [none, number(node, x, 1.0), step], None, dtype=kind)[0]
    beginning = pair(node, "sub", low, pair(node, "divide", least, scale))
    zero = of_one(node, "round", pair(node, "minimum", beginning, high))
    steps = of_one(node, "round", pair(node, "divide", x, scale))
    steps = pair(node, "maximum", steps, pair(node, "sub", low, zero))
    return Quantized(pair(node, "minimum", steps, pair(node, "sub", high, zero)), scale, zero)


def dynamic_quantize_linear(node: NodeReading) -> Made:
    value = in_own_type(node)
    made = quantized(node, value.index)
    bytes_ = pair(node, "add", made.steps, made.zero)
    y, zero = (node.emit("cast", [t], Cast(), dtype="uint8")[0] for t in (bytes_, made.zero))
    return [Value(y, value.layout, value.image), Value(made.scale), Value(zero)]


def scaled_product(node: NodeReading, a: int, b: int, scale: int, bias: int | None = None) -> int:
    """int32 sums of products, in floats times the scale of both factors, plus a bias."""
    sums = as_type(node, product(node, a, b), node.build.tensors[scale].dtype)
    y = pair(node, "mul", sums, scale)
    return y if bias is None else pair(node, "add", y, bias)


def _optional(node: NodeReading, place: int) -> int | None:
    return node.build.plain(node.inputs[place]) if node.has(place) else None


def dynamic_quantize_matmul(node: NodeReading) -> Made:
    """A float operand, quantized, by bytes."""
    x = quantized(node, node.build.plain(node.inputs[0]))
    scale = pair(node, "mul", x.scale, node.build.plain(node.inputs[2]))
    a, b = as_type(node, x.steps, "int32"), centred(node, 1, 3)
    return [Value(scaled_product(node, a, b, scale, _optional(node, 4)))]


def matmul_integer_to_float(node: NodeReading) -> Made:
    scale = _scale(node, 2, 3)
    a, b = centred(node, 0, 4), centred(node, 1, 5)
    return [Value(scaled_product(node, a, b, scale, _optional(node, 6)))]


def _scale(node: NodeReading, *places: int) -> int:
    a, b = (node.build.plain(node.inputs[place]) for place in places)
    if node.build.tensors[a].elements != 1:
        raise Unsupported("its first factor has a scale for each row", "quantize it by tensor")
    return pair(node, "mul", a, b)


# ---- attention ---------------------------------------------------------------------------------


def q_attention(node: NodeReading) -> Made:
    """Queries, keys and values of one product of bytes; then attention in floats."""
    if node.has(8) or node.attribute("do_rotary", 0):
        raise Unsupported("it goes on from past keys, or turns them", "export it without a cache")
    build, heads = node.build, int(node.attribute("num_heads"))
    a, b = centred(node, 0, 6), centred(node, 1, 7)
    made = scaled_product(node, a, b, _scale(node, 3, 4), build.plain(node.inputs[2]))
    batch, length, columns = build.tensors[made].shape
    if heads < 1 or columns % (3 * heads):
        raise ValueError(f"{columns} columns for {heads} heads")
    depth = columns // 3 // heads
    apart = build.reshaped(made, (batch, length, 3, heads, depth))
    apart = build.transposed(apart, (2, 0, 3, 1, 4))
    shape = (batch, heads, length, depth)
    query, key, values = (build.reshaped(picked(node, apart, [i], 0), shape) for i in range(3))
    scores = product(node, query, build.transposed(key, (0, 1, 3, 2)))
    factor = float(node.attribute("scale", 0.0)) or 1 / np.sqrt(depth)
    scores = pair(node, "mul", scores, number(node, scores, factor))
    scores = _masked(node, scores, batch, length)
    shares = node.emit("softmax", [scores], Softmax())[0]
    y = build.transposed(product(node, shares, values), (0, 2, 1, 3))
    return [Value(build.reshaped(y, (batch, length, heads * depth)))]


def _masked(node: NodeReading, scores: int, batch: int, length: int) -> int:
    """Scores with what is hidden by the mask, or comes later, far below the others."""
    build = node.build
    kind = build.tensors[scores].dtype
    if node.has(5):
        kept = _kept(node, build.plain(node.inputs[5]), batch, length)
        hidden = number(node, scores, float(node.attribute("mask_filter_value", -10000.0)))
        none = number(node, scores, 0.0)
        added = node.emit("select", [kept, none, hidden], None, dtype=kind)[0]
        scores = pair(node, "add", scores, added)
    if node.attribute("unidirectional", 0):
        later = build.constant(np.triu(np.ones((length, length), bool), 1))
        least = number(node, scores, float(np.finfo(DTYPES[kind]).min))
        scores = node.emit("select", [later, least, scores], None, dtype=kind)[0]
    return scores


def _kept(node: NodeReading, mask: int, batch: int, length: int) -> int:
    """Which keys a query sees: of a mask for each key or each pair, or of ends and beginnings."""
    build = node.build
    shape = build.tensors[mask].shape
    if shape in ((batch, length), (batch, length, length)):
        together = (batch, 1, *(1,) * (3 - len(shape)), *shape[1:])
        none = number(node, mask, 0)
        return pair(node, "greater", build.reshaped(mask, together), none)
    if shape not in ((batch,), (2 * batch,)):
        raise Unsupported(f"its mask has the shape {list(shape)}", "give it one for each key")
    places = build.constant(np.arange(length, dtype=DTYPES[build.tensors[mask].dtype]))
    bounds = [
        build.reshaped(picked(node, mask, range(i, i + batch), 0), (batch, 1, 1, 1))
        for i in range(0, shape[0], batch)
    ]
    kept = pair(node, "less", places, bounds[0])
    if len(bounds) == 1:
        return kept
    return pair(node, "logical_and", kept, pair(node, "greater_equal", places, bounds[1]))


READERS: Mapping[str, Callable[[NodeReading], Made]] = {
    "DynamicQuantizeLinear": dynamic_quantize_linear,
    "DynamicQuantizeMatMul": dynamic_quantize_matmul,
    "MatMulIntegerToFloat": matmul_integer_to_float,
    "QAttention": q_attention,
}
