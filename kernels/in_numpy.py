"""Operators with no native kernel: the host hands their calls to the NumPy reference.

Their call has no words. A backend that has no NumPy at hand refuses them.
"""

from __future__ import annotations

from ..runtime.graph import Graph, Node
from ..runtime.lowering import NUMPY_CALL, Lowered
from .operation import layout

IN_NUMPY = layout(NUMPY_CALL, "")


def lower(graph: Graph, node: Node) -> Lowered:
    """A call that reads whole operands, and shares bytes with none."""
    return IN_NUMPY.lowered()
