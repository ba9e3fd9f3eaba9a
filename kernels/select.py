"""select: a where the condition holds, else b, by one flat walk over y. (TFLite select.cc.)"""

from __future__ import annotations

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Address, Constant, Field, Lowered
from .elementwise import AXES, broadcast_strides
from .general_functions import chosen_by_bool, select_reference
from .in_numpy import IN_NUMPY
from .operation import Operation, layout

_NAMES = ("condition", "a", "b")

# Elements of `size` bytes; `axes` has five sizes, then the strides of condition, a and b in
# elements, 0 where they are repeated.
SELECT = layout("select", "condition a b y condition_constant a_constant b_constant size axes")


def lower(graph: Graph, node: Node) -> Lowered:
    """Elements are moved as bytes, whatever their dtype."""
    y = graph.output(node)
    if len(y.shape) > AXES:
        return IN_NUMPY.lowered()
    axes = [(1,) * (AXES - len(y.shape)) + y.shape]
    fields: dict[str, Field] = {"y": Address(y.index), "size": y.itemsize}
    for position, name in enumerate(_NAMES):
        tensor = graph.input(node, position)
        fields[name] = Address(tensor.index) if tensor.data is None else Constant(tensor.data)
        fields[f"{name}_constant"] = int(tensor.constant)
        axes.append(broadcast_strides(tensor.shape))
    return SELECT.lowered(**fields, axes=Constant(np.array(axes, np.int32)))


def branches_of_one_scale(graph: Graph, node: Node) -> bool:
    """Both branches and the output must have one scale and one zero point."""
    tensors = [graph.tensors[t] for t in (*node.operands[1:], *node.outputs)]
    pairs = {None if t.quantization is None else (t.scale, t.zero_point) for t in tensors}
    return len(pairs) == 1


OPERATION = Operation(
    select_reference, lower, (SELECT, IN_NUMPY), (chosen_by_bool, branches_of_one_scale)
)
