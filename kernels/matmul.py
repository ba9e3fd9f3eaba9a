"""matmul: products of two matrices that come while the model runs, and of stacks of them.

float32 sums are rounded after every product, in order. int8 and int16 by one multiplier, as
TFLite's (batch_matmul.cc, reference/batch_matmul.h): int16 sums have 64 bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..runtime.general import turned
from ..runtime.graph import DTYPES, Graph, Node, Tensor
from ..runtime.lowering import Address, Constant, Field, Lowered
from .fixedpoint import (
    multiply_by_quantized_multiplier,
    multiply_by_quantized_multiplier_64,
    quantize_multiplier,
    tensor_scale,
)
from .general_tensors import matmul_reference
from .in_numpy import IN_NUMPY
from .operation import Operation, layout

# For each of `batches` the first elements of a and b stand in `places`. Steps in elements.
_WORDS = (
    "a b y a_constant b_constant batches rows columns depth a_row a_depth b_depth b_column places"
)
F32 = layout("matmul_f32", _WORDS)
S8 = layout("matmul_s8", f"{_WORDS} a_offset b_offset multiplier shift y_offset")
S16 = layout("matmul_s16", f"{_WORDS} multiplier shift")


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """a @ b."""
    y = graph.output(node)
    if y.quantization is None:
        return matmul_reference(graph, node, arrays)
    sides = []
    for position, turn in enumerate((node.attrs.turn_a, node.attrs.turn_b)):
        values = arrays[position]
        assert values is not None
        centred = values.astype(np.int64) - graph.input(node, position).zero_point
        sides.append(centred.swapaxes(-1, -2) if turn else centred)
    sums, kind = np.matmul(*sides), np.iinfo(DTYPES[y.dtype])
    scale = (
        multiply_by_quantized_multiplier_64
        if y.dtype == "int16"
        else multiply_by_quantized_multiplier
    )
    scaled = scale(sums, *_multiplier(graph, node)).astype(np.int64)
    return [np.clip(scaled + y.zero_point, kind.min, kind.max).astype(kind.dtype)]


def _multiplier(graph: Graph, node: Node) -> tuple[int, int]:
    real = tensor_scale(graph.input(node, 0), graph.input(node, 1), graph.output(node))
    return quantize_multiplier(real)


def lower(graph: Graph, node: Node) -> Lowered:
    """One walk over y, where there is a kernel of this type."""
    y = graph.output(node)
    if y.quantization is None:
        return (F32 if y.dtype == "float32" else IN_NUMPY).lowered(
            **(_fields(graph, node) if y.dtype == "float32" else {})
        )
    multiplier, shift = _multiplier(graph, node)
    words: dict[str, Field] = {"multiplier": multiplier, "shift": shift}
    if y.dtype == "int16":
        return S16.lowered(**_fields(graph, node), **words)
    return S8.lowered(
        **_fields(graph, node),
        **words,
        a_offset=-graph.input(node, 0).zero_point,
        b_offset=-graph.input(node, 1).zero_point,
        y_offset=y.zero_point,
    )


def _fields(graph: Graph, node: Node) -> dict[str, Field]:
    a, b, attrs = graph.input(node, 0), graph.input(node, 1), node.attrs
    a_shape, b_shape = turned(a.shape, attrs.turn_a), turned(b.shape, attrs.turn_b)
    rows, depth = (1, *a_shape)[-2:]
    columns = 1 if len(b_shape) == 1 else b_shape[-1]
    batch = np.broadcast_shapes(a_shape[:-2], b_shape[:-2])
    places = [
        np.broadcast_to(
            np.arange(math.prod(shape[:-2])).reshape(shape[:-2]) * math.prod(shape[-2:]), batch
        ).reshape(-1)
        for shape in (a_shape, b_shape)
    ]
    return {
        "a": _whole(a),
        "b": _whole(b),
        "y": Address(node.outputs[0]),
        "a_constant": int(a.constant),
        "b_constant": int(b.constant),
        "batches": math.prod(batch),
        "rows": rows,
        "columns": columns,
        "depth": depth,
        "a_row": 1 if attrs.turn_a else depth,
        "a_depth": rows if attrs.turn_a else 1,
        "b_depth": 1 if attrs.turn_b else columns,
        "b_column": depth if attrs.turn_b else 1,
        "places": Constant(np.stack(places, axis=1).astype(np.int32)),
    }


def _whole(tensor: Tensor) -> Field:
    return Address(tensor.index) if tensor.data is None else Constant(tensor.data)


def all_quantized_or_none(graph: Graph, node: Node) -> bool:
    """Quantized matrices must be all int8 or all int16, with one scale each."""
    tensors = [graph.tensors[t] for t in (*node.operands, *node.outputs)]
    if all(t.quantization is None for t in tensors):
        return True
    whole = all(t.quantization is not None and not t.quantization.per_axis for t in tensors)
    return whole and {t.dtype for t in tensors} in ({"int8"}, {"int16"})


def symmetric_int16(graph: Graph, node: Node) -> bool:
    """An int16 matrix must have zero point 0."""
    tensors = [graph.tensors[t] for t in (*node.operands, *node.outputs)]
    return all(t.zero_point == 0 for t in tensors if t.dtype == "int16" and t.quantization)


def scale_in_range(graph: Graph, node: Node) -> bool:
    """The operands' scales by the output's must be under 2**30, or 2**7 in int16."""
    y = graph.output(node)
    if y.quantization is None:
        return True
    return _multiplier(graph, node)[1] <= (7 if y.dtype == "int16" else 30)


OPERATION = Operation(
    reference,
    lower,
    (F32, S8, S16, IN_NUMPY),
    (all_quantized_or_none, symmetric_int16, scale_in_range),
)
