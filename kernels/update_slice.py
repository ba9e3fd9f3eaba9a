"""update_slice: x with a part of it replaced, from where indices say. (TFLite
dynamic_update_slice.cc.)

Indices are held where the part fits into x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..runtime.graph import Graph, Node, Tensor
from ..runtime.lowering import Address, Constant, Field, Lowered
from .general_functions import one_scale
from .general_tensors import moved_dtype
from .operation import Operation, layout

_NAMES = ("x", "part", "indices")

# x is `bytes`; the part lies in it in `runs` of `length` bytes. `axes` has, for each of `rank`
# axes, the greatest index, the bytes of x from one to the next, and the part's size (1 in a run).
UPDATE_SLICE = layout(
    "update_slice",
    "x part indices y x_constant part_constant indices_constant wide bytes runs length rank axes",
)


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """A copy of x, then the part over it."""
    x, part, indices = arrays
    assert x is not None and part is not None and indices is not None
    y = x.copy()
    room = np.array(x.shape, np.int64) - part.shape
    first = np.minimum(np.maximum(indices.reshape(-1), 0), room)
    y[tuple(slice(int(a), int(a) + n) for a, n in zip(first, part.shape, strict=True))] = part
    return [y]


def lower(graph: Graph, node: Node) -> Lowered:
    """Moves of bytes, whatever the dtype."""
    x, part, indices = (graph.input(node, i) for i in range(3))
    rank, inside = len(x.shape), _first_in_a_run(x.shape, part.shape)
    steps = [math.prod(x.shape[axis + 1 :]) * x.itemsize for axis in range(rank)]
    counts = [n if axis < inside else 1 for axis, n in enumerate(part.shape)]
    room = [n - own for n, own in zip(x.shape, part.shape, strict=True)]
    fields: dict[str, Field] = {}
    for name, tensor in zip(_NAMES, (x, part, indices), strict=True):
        fields |= {name: _whole(tensor), f"{name}_constant": int(tensor.constant)}
    return UPDATE_SLICE.lowered(
        **fields,
        y=Address(node.outputs[0]),
        wide=int(indices.dtype == "int64"),
        bytes=x.bytes,
        runs=math.prod(counts),
        length=math.prod(part.shape[inside:]) * x.itemsize,
        rank=rank,
        axes=Constant(np.array([room, steps, counts], np.int32)),
    )


def _first_in_a_run(shape: Sequence[int], part: Sequence[int]) -> int:
    """The first axis from which on the part is in one piece, but for where it starts."""
    axis = max(len(shape) - 1, 0)
    while axis > 0 and part[axis] == shape[axis]:
        axis -= 1
    return axis


def _whole(tensor: Tensor) -> Field:
    return Address(tensor.index) if tensor.data is None else Constant(tensor.data)


def part_of_one_type(graph: Graph, node: Node) -> bool:
    """The part and x must be of one dtype, scale and zero point."""
    x, part = graph.input(node, 0), graph.input(node, 1)
    pair = Node(node.op, node.inputs[:2], node.outputs)
    return x.dtype == part.dtype and one_scale(graph, pair)


def whole_indices(graph: Graph, node: Node) -> bool:
    """Indices must be int32 or int64. Those with which the part would not fit into x are moved to
    the nearest with which it does."""
    return graph.input(node, 2).dtype in ("int32", "int64")


OPERATION = Operation(
    reference, lower, (UPDATE_SLICE,), (moved_dtype, part_of_one_type, whole_indices)
)
