"""slide: a window over time moves on; the rows that are kept move up, new ones come below.

Rows above those that are kept, if there are any, are new too. The window is a state, and the output
is that state: consumers read it where it lies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Address, Field, Lowered
from .concatenation import all_of_one_dtype
from .operation import Operation, layout

STATE, BELOW, ABOVE = 0, 1, 2  # operand positions

# The state is `above_bytes` from `above`, `kept` bytes that lay `by` bytes further down before, and
# `below_bytes` from `below`.
SLIDE = layout("slide", "state above above_bytes kept by below below_bytes")


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The window. The state's array is updated in place."""
    state, below = arrays[STATE], arrays[BELOW]
    assert state is not None and below is not None
    above = arrays[ABOVE] if len(arrays) > ABOVE else None
    first = 0 if above is None else above.shape[1]
    last, by = first + node.attrs.kept, node.attrs.by
    state[:, first:last] = state[:, first + by : last + by].copy()
    state[:, last:] = below
    if above is not None:
        state[:, :first] = above
    return [state.copy()]


def lower(graph: Graph, node: Node) -> Lowered:
    """One call; the state is updated in place."""
    state, below, above = (graph.operand(node, i) for i in (STATE, BELOW, ABOVE))
    assert state is not None and below is not None
    row = state.bytes // state.shape[1]
    words: dict[str, Field] = {"above": 0, "above_bytes": 0}
    if above is not None:
        words = {"above": Address(above.index), "above_bytes": above.bytes}
    return SLIDE.lowered(
        **words,
        state=Address(state.index),
        kept=node.attrs.kept * row,
        by=node.attrs.by * row,
        below=Address(below.index),
        below_bytes=below.bytes,
    )


OPERATION = Operation(reference, lower, (SLIDE,), (all_of_one_dtype,))
