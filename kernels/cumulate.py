"""cumulative_sum and cumulative_product along an axis, rounded after every number.

int8 is TFLM's, whose sums start at less the zero point (cumsum.cc); else as TFLite's cumsum.cc.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Address, Lowered
from .add_n import SCALING, scaled_sums, scales_fit, scaling
from .elementwise import is_quantized
from .general_functions import one_dtype
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

SUM_S8 = layout("cumulative_sum_s8", f"x y outer size inner exclusive reverse {SCALING}")


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Sums so far, in the output's scale if that is quantized."""
    x, y, values = graph.input(node), graph.output(node), arrays[0]
    assert values is not None
    if x.quantization is None:
        return cumulate_reference(graph, node, arrays)
    words = scaling(x, y)
    centred = values.astype(np.int64) + words["x_offset"]
    (sums,) = cumulate_reference(graph, node, [centred])
    return [scaled_sums(sums + words["x_offset"], words)]


def lower(graph: Graph, node: Node) -> Lowered:
    """One walk over x, where there is a kernel of this type."""
    x, attrs = graph.input(node), node.attrs
    kernel = KERNELS.get(f"{node.op}_{_SUFFIXES.get(x.dtype)}")
    words = {}
    if x.quantization is not None:
        kernel, words = SUM_S8, scaling(x, graph.output(node))
    if kernel is None:
        return IN_NUMPY.lowered()
    axis = attrs.axis % len(x.shape)
    return kernel.lowered(
        **words,
        x=Address(x.index),
        y=Address(node.outputs[0]),
        outer=math.prod(x.shape[:axis]),
        size=x.shape[axis],
        inner=math.prod(x.shape[axis + 1 :]),
        exclusive=int(attrs.exclusive),
        reverse=int(attrs.reverse),
    )


def int8_sums(graph: Graph, node: Node) -> bool:
    """Quantized numbers may be int8 in a sum, input and output with one scale each; no others."""
    x, y = graph.input(node), graph.output(node)
    if x.quantization is None and y.quantization is None:
        return True
    both = x.quantization is not None and y.quantization is not None
    return both and x.dtype == "int8" and node.op == "cumulative_sum" and is_quantized(graph, node)


def scales_in_range(graph: Graph, node: Node) -> bool:
    """Input scale / output scale must be under 2**19."""
    return graph.input(node).quantization is None or scales_fit(graph, node)


OPERATIONS: Mapping[str, Operation] = {
    op: Operation(
        reference,
        lower,
        (
            *(KERNELS[f"{op}_{suffix}"] for suffix in _SUFFIXES.values()),
            *((SUM_S8,) if op == "cumulative_sum" else ()),
            IN_NUMPY,
        ),
        (one_dtype, int8_sums, scales_in_range),
    )
    for op in ("cumulative_sum", "cumulative_product")
}
