"""Functions of one int8 number: each is a table of 256 bytes, filled when a node is lowered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..runtime.graph import DTYPES, Graph, Node, Tensor
from ..runtime.lowering import ELEMENT, Constant, Cursor, Lowered
from .elementwise import ROWS, unary_rows
from .fixedpoint import is_in_floats
from .operation import Reference, layout
from .scales import round_half_away

Arrays = Sequence[np.ndarray | None]
Int64Array = NDArray[np.int64]

LOOKUP_S8 = layout("lookup_s8", f"{ROWS} x y table")


def lower_lookup(graph: Graph, node: Node, reference: Reference) -> Lowered:
    """A node of one-byte numbers and one operand that isn't constant as a table look-up.

    Entry i is the answer to the byte i - 128.
    """
    every = np.arange(-128, 128).astype(np.int8)
    operands = [graph.input(node, i) for i in range(len(node.inputs))]
    x = next(each for each in operands if not each.constant)
    given = [every.view(DTYPES[x.dtype]) if each is x else each.data for each in operands]
    (answers,) = reference(graph, node, given)
    fields = unary_rows(graph, node) | {"x": Cursor(x.index)}
    return LOOKUP_S8.lowered(ELEMENT, **fields, table=Constant(answers.reshape(-1).view(np.int8)))


def is_lookup(graph: Graph, node: Node) -> bool:
    """Whether a node of two int8 operands has a constant number for one of them."""
    y, operands = graph.output(node), [graph.input(node, 0), graph.input(node, 1)]
    numbers = [each for each in operands if each.constant and each.elements == 1]
    return (
        y.dtype == "int8"
        and len(numbers) == 1
        and all(each.shape == y.shape for each in operands if not each.constant)
    )


def table_s8(function: Callable[[float], float], x: Tensor, y: Tensor) -> np.ndarray:
    """The function of every int8 number, rounded in float32 (TFLite common.h `LUTPopulate`), ties
    away from zero or by the output's rule."""
    real = np.float32(x.scale) * np.arange(-128 - x.zero_point, 128 - x.zero_point).astype(
        np.float32
    )
    answers = np.array([function(float(value)) for value in real], np.float32)
    steps = answers * (np.float32(1) / np.float32(y.scale))
    rounded = np.rint(steps) if is_in_floats(y) else round_half_away(steps)
    return clamped(rounded + y.zero_point, y)


def operand(graph: Graph, node: Node, arrays: Arrays) -> tuple[np.ndarray, Tensor, Tensor]:
    assert arrays[0] is not None
    return arrays[0], graph.input(node), graph.output(node)


def centred(q: np.ndarray, tensor: Tensor) -> Int64Array:
    return q.astype(np.int64) - tensor.zero_point


def clamped(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    kind = np.iinfo(DTYPES[tensor.dtype])
    return np.clip(values, kind.min, kind.max).astype(kind.dtype)
