"""A loop over two graphs: its reference. Natively its parts are programs (`runtime/while_loop.py`).

Where a part has a node that runs in NumPy, the whole loop does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.backend import find_backend
from ..runtime.errors import ExecutionError
from ..runtime.graph import Graph, Node, Tensor
from ..runtime.while_loop import ENDLESS, MOST_TURNS
from .in_numpy import lower
from .operation import Operation


def reference(graph: Graph, node: Node, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Turns as long as the condition says so; `ExecutionError` where that is too often."""
    condition, body = node.attrs.parts
    states = [np.asarray(value) for value in inputs]
    for _ in range(MOST_TURNS + 1):
        (goes_on,) = _run(condition, states)
        if not goes_on.reshape(-1)[0]:
            return states
        states = _run(body, states)
    raise ExecutionError(ENDLESS)


def _run(part: Graph, states: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The answers of a graph; they share no bytes with the states or with constants."""
    evaluate = find_backend("reference").evaluate  # type: ignore[attr-defined]
    values = {i: tensor.data for i, tensor in part.tensors.items()}
    values |= dict(zip(part.inputs, states, strict=True))
    for node in part.nodes:
        operands = [None if index is None else values[index] for index in node.inputs]
        values |= zip(node.outputs, evaluate(part, node, operands), strict=True)
    return [np.array(values[index]) for index in part.outputs]


def states_stay(graph: Graph, node: Node) -> bool:
    """Shapes, types and scales of the states must be the same after each turn as before, and its
    condition and body keep no state of their own; after 65,536 turns an inference ends with an
    error, on every target."""
    ends = zip(node.operands, node.outputs, node.attrs.body.outputs, strict=True)
    tensors = graph.tensors, graph.tensors, node.attrs.body.tensors
    return all(
        len({_kind(known[index]) for known, index in zip(tensors, end, strict=True)}) == 1
        for end in ends
    )


def _kind(tensor: Tensor) -> tuple[object, ...]:
    values = tensor.quantization
    scales = (*values.scales.tolist(), *values.zero_points.tolist()) if values else ()
    return tensor.shape, tensor.dtype, scales


OPERATION = Operation(reference, lower, layouts=(), constraints=(states_stay,))
