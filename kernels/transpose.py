"""transpose: axes in another order, by the strided copy. (TFLite transpose.cc.)"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Lowered
from .operation import Operation
from .strided_slice import COPY, at_most_six_axes, element_steps, lower_copy, same_dtype


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Axis i of the answer is axis `permutation[i]` of x."""
    x = arrays[0]
    assert x is not None
    return [np.ascontiguousarray(x.transpose(node.attrs.permutation))]


def lower(graph: Graph, node: Node) -> Lowered:
    """One walk over y, in steps of x."""
    x = graph.input(node)
    steps = element_steps(x.shape, x.itemsize)
    axes = node.attrs.permutation
    return lower_copy(graph, node, [x.shape[a] for a in axes], [steps[a] for a in axes])


OPERATION = Operation(reference, lower, (COPY,), (same_dtype, at_most_six_axes))
