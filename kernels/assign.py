"""assign: a state tensor takes a tensor's numbers, for the next inference to read.

inputs: state, value, then tensors that must be made first, of whatever reads the state. The output
has no elements. (TFLite assign_variable.cc.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Address, Constant, Lowered
from .operation import Operation
from .strided_slice import AXES, COPY


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The state is written in place."""
    state, value = arrays[:2]
    assert state is not None and value is not None
    state[...] = value
    return [np.zeros(0, np.int8)]


def lower(graph: Graph, node: Node) -> Lowered:
    """One contiguous copy."""
    state, value = graph.input(node, 0), graph.input(node, 1)
    counts, steps = [1] * AXES, [0] * AXES
    counts[-1], steps[-1] = value.elements, value.itemsize
    return COPY.lowered(
        x=Address(value.index),
        y=Address(state.index),
        offset=0,
        size=value.itemsize,
        axes=Constant(np.array([counts, steps], np.int32)),
    )


def is_a_state(graph: Graph, node: Node) -> bool:
    """The first operand must be a state, the second a tensor that is computed."""
    value = graph.input(node, 1)
    return graph.input(node, 0).variable and not value.constant and not value.variable


def same_numbers(graph: Graph, node: Node) -> bool:
    """State and value must have one shape, dtype, scale and zero point."""
    state, value = graph.input(node, 0), graph.input(node, 1)
    if (state.shape, state.dtype) != (value.shape, value.dtype):
        return False
    a, b = state.quantization, value.quantization
    if a is None or b is None:
        return a is b
    return (a.scale, a.zero_point) == (b.scale, b.zero_point)


OPERATION = Operation(reference, lower, (COPY,), (is_a_state, same_numbers))
