"""split: one tensor cut into pieces along an axis. (TFLite split.cc, split_v.cc.)"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Address, Constant, Field, Lowered
from .operation import Operation, layout
from .strided_slice import at_most_six_axes, same_dtype

MOST_OUTPUTS = 16
_OUTPUTS = tuple(f"y{i}" for i in range(MOST_OUTPUTS))

# `blocks` times: chunks[i] bytes of x go to the next place of output i, for all `count` outputs.
# Outputs beyond `count` are 0.
FLAT = layout("split_flat", f"x blocks count chunks {' '.join(_OUTPUTS)}")


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Pieces of `sizes` elements along the axis, in order."""
    x, attrs = arrays[0], node.attrs
    assert x is not None
    ends = np.cumsum(attrs.sizes)[:-1]
    return [np.ascontiguousarray(part) for part in np.split(x, ends, axis=attrs.axis)]


def lower(graph: Graph, node: Node) -> Lowered:
    """One walk over x."""
    x, axis = graph.input(node), node.attrs.axis
    inner = math.prod(x.shape[axis + 1 :]) * x.itemsize
    return FLAT.lowered(
        x=Address(x.index),
        blocks=math.prod(x.shape[:axis]),
        count=len(node.outputs),
        chunks=Constant(np.array(node.attrs.sizes, np.int32) * np.int32(inner)),
        **places(node),
    )


def places(node: Node) -> dict[str, Field]:
    """Where the pieces go."""
    found: dict[str, Field] = dict.fromkeys(_OUTPUTS, 0)
    for name, tensor in zip(_OUTPUTS, node.outputs, strict=False):
        found[name] = Address(tensor)
    return found


def few_outputs(graph: Graph, node: Node) -> bool:
    """A split must have at most 16 outputs."""
    return len(node.outputs) <= MOST_OUTPUTS


OPERATION = Operation(reference, lower, (FLAT,), (same_dtype, at_most_six_axes, few_outputs))
