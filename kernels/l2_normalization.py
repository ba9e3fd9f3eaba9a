"""l2_normalization: each pixel's channels divided by the root of their squares' sum.

int8 by `inverse_root`, with an output of scale 1/128; float32 in order. (TFLite l2norm.cc,
reference/l2normalization.h, reference/integer_ops/l2normalization.h.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Address, Field, Lowered
from .elementwise import all_of, is_quantized
from .fixedpoint import multiply_by_quantized_multiplier
from .inverse_root import inverse_root
from .operation import Operation, layout

LEAST = np.float32(1e-6)  # of a root that divides
OUTPUT_BITS = 7  # after the point of an int8 answer

_WORDS = "x y pixels depth"
# A value is shifted to the left by `before` bits, and by `after` with its multiplier.
S8 = layout("l2_normalization_s8", f"{_WORDS} x_offset before after y_offset")
F32 = layout("l2_normalization_f32", _WORDS)


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """x / sqrt(sum(x * x)) over the last axis."""
    x = arrays[0]
    assert x is not None
    if x.dtype == np.float32:
        return [_float(x)]
    words = _shifts(node)
    centred = x.reshape(-1, x.shape[-1]).astype(np.int64) - graph.input(node).zero_point
    rows = []
    for values in centred:
        multiplier, shift = inverse_root(int((values * values).sum()))
        shifted = values << words["before"]
        rows.append(multiply_by_quantized_multiplier(shifted, multiplier, shift + words["after"]))
    y = np.stack(rows).astype(np.int64) + graph.output(node).zero_point
    return [np.clip(y, -128, 127).astype(np.int8).reshape(x.shape)]


def _float(x: np.ndarray) -> np.ndarray:
    total = np.zeros(x.shape[:-1], np.float32)
    for channel in range(x.shape[-1]):
        total = total + x[..., channel] * x[..., channel]
    return x / np.maximum(np.sqrt(total), LEAST)[..., None]


def _shifts(node: Node) -> dict[str, int]:
    """Layers that were uint8 shift before they multiply, all others after."""
    unsigned = node.attrs.unsigned
    return {"before": OUTPUT_BITS * unsigned, "after": OUTPUT_BITS * (not unsigned)}


def lower(graph: Graph, node: Node) -> Lowered:
    """Pixel after pixel."""
    x, y = graph.input(node), graph.output(node)
    fields: dict[str, Field] = {
        "x": Address(x.index),
        "y": Address(y.index),
        "pixels": math.prod(x.shape[:-1]),
        "depth": x.shape[-1],
    }
    if x.dtype == "float32":
        return F32.lowered(**fields)
    zeros = {"x_offset": -x.zero_point, "y_offset": y.zero_point}
    return S8.lowered(**fields, **zeros, **_shifts(node))


def scale_is_one_128th(graph: Graph, node: Node) -> bool:
    """A normalized int8 output must have scale 1/128 and zero point 0."""
    y = graph.output(node)
    return y.dtype != "int8" or (y.scale, y.zero_point) == (1 / 128, 0)


def few_squares(graph: Graph, node: Node) -> bool:
    """An int8 normalization must be over at most 2**14 numbers: the sum has 31 bits."""
    x = graph.input(node)
    return bool(x.shape) and (x.dtype != "int8" or x.shape[-1] <= 1 << 14)


OPERATION = Operation(
    reference,
    lower,
    (S8, F32),
    (all_of("int8", "float32"), is_quantized, scale_is_one_128th, few_squares),
)
