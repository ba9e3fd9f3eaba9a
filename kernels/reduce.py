"""sum, product, reduce_max, reduce_min, reduce_all and reduce_any over any axes.

float32 sums and products are rounded after every number, in the input's order. Quantized sums are
means that are not divided (TFLite reduce.cc), by mean's kernels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..runtime.graph import DTYPES, Graph, Node
from ..runtime.lowering import Address, Constant, Field, Lowered
from .elementwise import int16_is_symmetric
from .fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from .general_functions import not_quantized, one_dtype, one_scale
from .general_tensors import reduce_reference
from .in_numpy import IN_NUMPY
from .mean import GROUPS, MEAN_S8, MEAN_S16, axis_groups, sum_fits, sum_offset
from .operation import Layout, Operation, layout

Arrays = Sequence[np.ndarray | None]
_SUFFIXES = {"int8": "s8", "bool": "s8", "int16": "s16", "int32": "s32", "float32": "f32"}
_TYPES = {
    "sum": ("s32", "f32"),
    "product": ("s32", "f32"),
    "reduce_max": ("s8", "s16", "s32", "f32"),
    "reduce_min": ("s8", "s16", "s32", "f32"),
}
_BOOLEAN = {"reduce_all": "reduce_min", "reduce_any": "reduce_max"}  # of the bytes 0 and 1
KERNELS: Mapping[str, Layout] = {
    f"{op}_{suffix}": layout(f"{op}_{suffix}", "x y axes")
    for op, suffixes in _TYPES.items()
    for suffix in suffixes
}
_SUMS = {"int8": MEAN_S8, "int16": MEAN_S16}


def sum_reference(
    graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]
) -> list[np.ndarray]:
    """The sum over `attrs.axes`."""
    x, y = arrays[0], graph.output(node)
    assert x is not None
    if y.quantization is None:
        return reduce_reference(graph, node, arrays)
    total = x.sum(axis=node.attrs.axes, dtype=np.int64) + sum_offset(graph, node)
    scaled = multiply_by_quantized_multiplier(total, *_ratio(graph, node)).astype(np.int64)
    kind = np.iinfo(DTYPES[y.dtype])
    return [np.clip(scaled + y.zero_point, kind.min, kind.max).astype(kind.dtype).reshape(y.shape)]


def _ratio(graph: Graph, node: Node) -> tuple[int, int]:
    return quantize_multiplier(graph.input(node).scale / graph.output(node).scale)


def lower(graph: Graph, node: Node) -> Lowered:
    """A walk over the whole tensor, where there is a kernel of this type."""
    x, y = graph.input(node), graph.output(node)
    if len(x.shape) > 2 * GROUPS or 0 in x.shape:
        return IN_NUMPY.lowered()
    fields: dict[str, Field] = {
        "x": Address(x.index),
        "y": Address(y.index),
        "axes": Constant(axis_groups(x.shape, node.attrs.axes)),
    }
    if node.op == "sum" and y.quantization is not None:
        multiplier, shift = _ratio(graph, node)
        return _SUMS[x.dtype].lowered(
            **fields,
            sum_offset=sum_offset(graph, node),
            multiplier=multiplier,
            shift=shift,
            y_offset=y.zero_point,
        )
    op = _BOOLEAN.get(node.op, node.op)
    kernel = KERNELS.get(f"{op}_{_SUFFIXES.get(x.dtype)}")
    return IN_NUMPY.lowered() if kernel is None else kernel.lowered(**fields)


def plain_or_quantized(graph: Graph, node: Node) -> bool:
    """A quantized sum must be of int8 or int16, with a scale in and out."""
    ends = (graph.input(node), graph.output(node))
    known = [t.quantization is not None and not t.quantization.per_axis for t in ends]
    plain = all(t.quantization is None for t in ends)
    return plain or (all(known) and ends[0].dtype in _SUMS)


def sum_in_range(graph: Graph, node: Node) -> bool:
    """A sum must be over at most 2**23 int8 or 2**15 int16 numbers, and input scale / output scale
    under 2**30."""
    if graph.output(node).quantization is None:
        return True
    return sum_fits(graph, node) and _ratio(graph, node)[1] <= 30


def bool_to_bool(graph: Graph, node: Node) -> bool:
    """Its numbers must be bool."""
    return graph.input(node).dtype == "bool"


def _layouts(op: str) -> tuple[Layout, ...]:
    kernels = tuple(KERNELS[f"{op}_{suffix}"] for suffix in _TYPES[op])
    return (*kernels, IN_NUMPY)


OPERATIONS: Mapping[str, Operation] = {
    "sum": Operation(
        sum_reference,
        lower,
        (*_layouts("sum"), MEAN_S8, MEAN_S16),
        (one_dtype, plain_or_quantized, int16_is_symmetric, sum_in_range),
    ),
    "product": Operation(reduce_reference, lower, _layouts("product"), (not_quantized, one_dtype)),
    **{
        op: Operation(reduce_reference, lower, _layouts(op), (one_dtype, one_scale))
        for op in ("reduce_max", "reduce_min")
    },
    **{
        op: Operation(reduce_reference, lower, _layouts(of), (one_dtype, bool_to_bool))
        for op, of in _BOOLEAN.items()
    },
}
