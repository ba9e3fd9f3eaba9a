"""gather and gather_nd: slices of x where indices say. (TFLite gather.cc, gather_nd.cc.)

Indices that are known beforehand are a copy by tables, and refused where they are outside. Of those
that come while the model runs, negative ones count from the end, and others that are outside take
the nearest slice that there is: a microcontroller's inference has no way to fail, and every backend
gives the same bits. (TFLite's own inference fails.)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..runtime.graph import Graph, Node, Tensor
from ..runtime.lowering import Address, Constant, Field, Lowered
from .general_tensors import (
    gather_nd_reference,
    gather_reference,
    moved_dtype,
    whole_indices,
)
from .in_numpy import IN_NUMPY
from .operation import Operation, layout
from .rearrange import COPY_BY_TABLES, lower_known
from .strided_slice import COPY

# `batch` times `outer` times, for each of `count` indices (int64 if `wide`): `bytes` of x, of whose
# axis there are `size` slices.
GATHER = layout(
    "gather", "x indices y x_constant indices_constant batch outer size count bytes wide"
)
# For each of `count` tuples of `depth` indices; `axes` has the sizes of as many axes, then the
# bytes from one index to the next.
GATHER_ND = layout(
    "gather_nd", "x indices y x_constant indices_constant count depth bytes wide axes"
)


def lower(graph: Graph, node: Node) -> Lowered:
    """By tables where all indices are known."""
    x, indices, attrs = graph.input(node, 0), graph.input(node, 1), node.attrs
    if indices.data is not None and not x.constant:
        return _lower_known(
            graph, node, gather_reference, attrs.axis, math.prod(indices.shape[attrs.batch_dims :])
        )
    axis, batch = attrs.axis, attrs.batch_dims
    return GATHER.lowered(
        **_fields(graph, node),
        batch=math.prod(x.shape[:batch]),
        outer=math.prod(x.shape[batch:axis]),
        size=x.shape[axis],
        count=math.prod(indices.shape[batch:]),
        bytes=math.prod(x.shape[axis + 1 :]) * x.itemsize,
    )


def lower_nd(graph: Graph, node: Node) -> Lowered:
    """By tables where all indices are known."""
    x, indices = graph.input(node, 0), graph.input(node, 1)
    if indices.data is not None and not x.constant:
        return _lower_known(graph, node, gather_nd_reference, 0, math.prod(indices.shape[:-1]))
    if node.attrs.batch_dims:
        return IN_NUMPY.lowered()
    depth = indices.shape[-1]
    steps = [math.prod(x.shape[axis + 1 :]) * x.itemsize for axis in range(depth)]
    return GATHER_ND.lowered(
        **_fields(graph, node),
        count=math.prod(indices.shape[:-1]),
        depth=depth,
        bytes=math.prod(x.shape[depth:]) * x.itemsize,
        axes=Constant(np.array([x.shape[:depth], steps], np.int32)),
    )


def _lower_known(
    graph: Graph, node: Node, reference: Callable[..., list[np.ndarray]], axis: int, tuples: int
) -> Lowered:
    """Indices of several axes, from `axis` on, are gone through as one."""
    x, indices = graph.input(node, 0), graph.input(node, 1)
    assert indices.data is not None
    own = np.arange(x.elements).reshape(x.shape)
    (places,) = reference(graph, node, [own, indices.data])
    return lower_known(graph, node, places.reshape(*places.shape[:axis], tuples, -1))


def _fields(graph: Graph, node: Node) -> dict[str, Field]:
    x, indices = graph.input(node, 0), graph.input(node, 1)
    return {
        "x": _whole(x),
        "indices": _whole(indices),
        "y": Address(node.outputs[0]),
        "x_constant": int(x.constant),
        "indices_constant": int(indices.constant),
        "wide": int(indices.dtype == "int64"),
    }


def _whole(tensor: Tensor) -> Field:
    return Address(tensor.index) if tensor.data is None else Constant(tensor.data)


_COPIES = (COPY_BY_TABLES, COPY, IN_NUMPY)
GATHER_OPERATION = Operation(
    gather_reference, lower, (GATHER, *_COPIES), (moved_dtype, whole_indices)
)
GATHER_ND_OPERATION = Operation(
    gather_nd_reference, lower_nd, (GATHER_ND, *_COPIES), (moved_dtype, whole_indices)
)
