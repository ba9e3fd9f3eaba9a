"""stack and unstack: tensors joined along a new axis, and cut apart again. (TFLite pack.cc.)

The bytes of both lie as those of a concatenation along that axis, or of a split.
"""

from __future__ import annotations

import math

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Address, Constant, Lowered
from . import concatenation, split
from .general_functions import one_scale
from .general_tensors import moved_dtype, stack_reference, unstack_reference
from .in_numpy import IN_NUMPY
from .operation import Operation


def lower(graph: Graph, node: Node) -> Lowered:
    """One walk over y."""
    if len(node.operands) > concatenation.MOST_INPUTS:
        return IN_NUMPY.lowered()
    tensors, y = concatenation.inputs(graph, node), graph.output(node)
    return concatenation.FLAT.lowered(**concatenation.flat_fields(tensors, y, node.attrs.axis))


def lower_unstack(graph: Graph, node: Node) -> Lowered:
    """One walk over x."""
    x, axis = graph.input(node), node.attrs.axis
    if len(node.outputs) > split.MOST_OUTPUTS or x.constant:
        return IN_NUMPY.lowered()
    inner = math.prod(x.shape[axis + 1 :]) * x.itemsize
    return split.FLAT.lowered(
        x=Address(x.index),
        blocks=math.prod(x.shape[:axis]),
        count=len(node.outputs),
        chunks=Constant(np.full(len(node.outputs), inner, np.int32)),
        **split.places(node),
    )


STACK = Operation(stack_reference, lower, (concatenation.FLAT, IN_NUMPY), (moved_dtype, one_scale))
UNSTACK = Operation(unstack_reference, lower_unstack, (split.FLAT, IN_NUMPY), (moved_dtype,))
