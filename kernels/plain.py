"""Operators on numbers that no kernel of theirs takes: whole numbers as they are, float64, ...

They run in NumPy. Quantized numbers, and those that kernels take, go the operator's own way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Lowered
from .fixedpoint import ACTIVATIONS
from .in_numpy import IN_NUMPY
from .operation import Constraint, Operation


def in_float64(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """The function in float64, rounded to its operands' own type."""

    def apply(*operands: np.ndarray) -> np.ndarray:
        wide = function(*(x.astype(np.float64) for x in operands))
        return np.asarray(wide).astype(operands[0].dtype)

    return apply


def _held(values: np.ndarray, activation: str) -> np.ndarray:
    """In a fused activation's range. -1 of an unsigned type is its greatest number, as in C."""
    low, high = ACTIVATIONS[activation]
    if low is not None and math.isfinite(low):
        values = np.maximum(values, np.array(int(low)).astype(values.dtype))
    if high is not None and math.isfinite(high):
        values = np.minimum(values, np.array(int(high)).astype(values.dtype))
    return values


def with_plain(
    operation: Operation, function: Callable[..., np.ndarray], *native: str
) -> Operation:
    """The operation, with `function` for plain numbers that are not of the `native` types; a fused
    activation holds its answers."""

    def is_plain(graph: Graph, node: Node) -> bool:
        tensors = [graph.tensors[t] for t in (*node.operands, *node.outputs)]
        kinds = {tensor.dtype for tensor in tensors}
        quantized = any(tensor.quantization is not None for tensor in tensors)
        return not quantized and len(kinds) == 1 and not kinds & set(native)

    def unless_plain(constraint: Constraint) -> Constraint:
        return wraps(constraint)(
            lambda graph, node: is_plain(graph, node) or constraint(graph, node)
        )

    @wraps(operation.reference)
    def reference(
        graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]
    ) -> list[np.ndarray]:
        if not is_plain(graph, node):
            return operation.reference(graph, node, arrays)
        with np.errstate(all="ignore"):
            answers = np.asarray(function(*arrays))
        return [_held(answers, getattr(node.attrs, "activation", "none"))]

    @wraps(operation.lower)
    def lower(graph: Graph, node: Node) -> Lowered:
        return IN_NUMPY.lowered() if is_plain(graph, node) else operation.lower(graph, node)

    constraints = tuple(unless_plain(constraint) for constraint in operation.constraints)
    return Operation(reference, lower, (*operation.layouts, IN_NUMPY), constraints)
