"""cast: numbers as another type, by rows. (TFLite cast.cc.)

Fractions are cut off. A float beyond 32 bits becomes the least int32 (64 bits: int64), as x86-64
has it; smaller types take the lowest bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.graph import DTYPES, Graph, Node
from ..runtime.lowering import ELEMENT, Lowered
from .elementwise import ROWS, unary_rows
from .general_functions import cast_reference
from .in_numpy import IN_NUMPY
from .operation import Operation, layout

# Their numbers in `source` and `target`.
KINDS = ("bool", "int8", "uint8", "int16", "int32", "int64", "float32")
FLOAT = KINDS.index("float32")

CAST = layout("cast", f"{ROWS} x y source target")


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """x as the output's type."""
    x, kind = arrays[0], DTYPES[graph.output(node).dtype]
    assert x is not None
    if node.attrs.bits or x.dtype != np.float32 or kind.kind not in "iu" or kind == np.uint64:
        return cast_reference(graph, node, arrays)
    bits = 63 if kind.itemsize == 8 or kind == np.uint32 else 31
    limit = 2.0**bits
    with np.errstate(invalid="ignore"):
        inside = (x >= -limit) & (x < limit)
    whole = np.where(inside, np.trunc(np.where(inside, x, 0)), -limit).astype(np.int64)
    return [whole.astype(kind)]


def lower(graph: Graph, node: Node) -> Lowered:
    """By rows, where both types have a kernel."""
    x, y = graph.input(node), graph.output(node)
    if node.attrs.bits or not {x.dtype, y.dtype} <= set(KINDS):
        return IN_NUMPY.lowered()
    source, target = KINDS.index(x.dtype), KINDS.index(y.dtype)
    return CAST.lowered(ELEMENT, **unary_rows(graph, node), source=source, target=target)


OPERATION = Operation(reference, lower, (CAST, IN_NUMPY))
