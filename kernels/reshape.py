"""reshape: the same elements under another shape.

A schedule lets the output share its input's bytes; this copy is for where it can't, such as a model
whose input is also its reshaped output. (TFLite reshape.cc.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Lowered
from .operation import Operation
from .strided_slice import COPY, lower_copy, same_dtype


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """x in its own order."""
    x = arrays[0]
    assert x is not None
    return [x.reshape(graph.output(node).shape).copy()]


def lower(graph: Graph, node: Node) -> Lowered:
    """One contiguous copy."""
    x = graph.input(node)
    return lower_copy(graph, node, [x.elements], [x.itemsize])


OPERATION = Operation(reference, lower, (COPY,), (same_dtype,))
