"""arg_max and arg_min: the place of the greatest or least number along an axis. (TFLite
arg_min_max.cc.)

Of equal numbers the first counts, or the last; a NaN is beyond all others.
"""

from __future__ import annotations

import math

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Address, Lowered
from .general_tensors import extreme_reference
from .in_numpy import IN_NUMPY
from .operation import Operation, layout

_SUFFIXES = {
    "int8": "s8", "bool": "s8", "int16": "s16", "int32": "s32", "float32": "f32"
}  # fmt: skip
# Of `size` numbers, `inner` apart, the one with the greatest (`least`: least) value; places are
# int64 if `wide`, else int32.
KERNELS = {
    suffix: layout(f"extreme_{suffix}", "x y outer size inner least last wide")
    for suffix in dict.fromkeys(_SUFFIXES.values())
}


def lower(graph: Graph, node: Node) -> Lowered:
    """One walk over x, where there is a kernel of this type."""
    x, y, attrs = graph.input(node), graph.output(node), node.attrs
    if x.dtype not in _SUFFIXES or y.dtype not in ("int32", "int64"):
        return IN_NUMPY.lowered()
    axis = attrs.axis % len(x.shape)
    return KERNELS[_SUFFIXES[x.dtype]].lowered(
        x=Address(x.index),
        y=Address(y.index),
        outer=math.prod(x.shape[:axis]),
        size=x.shape[axis],
        inner=math.prod(x.shape[axis + 1 :]),
        least=int(node.op == "arg_min"),
        last=int(attrs.last),
        wide=int(y.dtype == "int64"),
    )


OPERATION = Operation(extreme_reference, lower, (*KERNELS.values(), IN_NUMPY))
