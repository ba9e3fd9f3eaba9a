"""cumulative_sum and cumulative_product along an axis, rounded after every number.

(TFLite cumsum.cc.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Address, Lowered
from .general_functions import not_quantized, one_dtype
from .general_tensors import cumulate_reference
from .in_numpy import IN_NUMPY
from .operation import Layout, Operation, layout

_SUFFIXES = {"int32": "s32", "float32": "f32"}
# `outer` times, of each of `inner` lines of `size` numbers, `inner` apart.
KERNELS: Mapping[str, Layout] = {
    f"{op}_{suffix}": layout(f"{op}_{suffix}", "x y outer size inner exclusive reverse")
    for op in ("cumulative_sum", "cumulative_product")
    for suffix in _SUFFIXES.values()
}


def lower(graph: Graph, node: Node) -> Lowered:
    """One walk over x, where there is a kernel of this type."""
    x, attrs = graph.input(node), node.attrs
    kernel = KERNELS.get(f"{node.op}_{_SUFFIXES.get(x.dtype)}")
    if kernel is None:
        return IN_NUMPY.lowered()
    axis = attrs.axis % len(x.shape)
    return kernel.lowered(
        x=Address(x.index),
        y=Address(node.outputs[0]),
        outer=math.prod(x.shape[:axis]),
        size=x.shape[axis],
        inner=math.prod(x.shape[axis + 1 :]),
        exclusive=int(attrs.exclusive),
        reverse=int(attrs.reverse),
    )


OPERATIONS: Mapping[str, Operation] = {
    op: Operation(
        cumulate_reference,
        lower,
        (*(KERNELS[f"{op}_{suffix}"] for suffix in _SUFFIXES.values()), IN_NUMPY),
        (not_quantized, one_dtype),
    )
    for op in ("cumulative_sum", "cumulative_product")
}
