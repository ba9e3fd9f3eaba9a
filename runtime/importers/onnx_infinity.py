"""Sums and products that may meet an infinity keep it, as ONNX has it.

TFLite's float ADD, SUB and MUL hold their answers at the greatest finite number. Nothing shows of
that in convolutional networks; in an attention's mask -inf is a number like any other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..general import BINARY, UNARY
from ..graph import Graph, Tensor

_MAKERS = {*UNARY, *BINARY, "select", "cast"}
_BOUNDED = ("add", "sub", "mul")
_CARRIERS = {
    *_BOUNDED, "reshape", "transpose", "concatenation", "split", "strided_slice", "gather",
    "broadcast_to", "repeat", "pad", "relu", "matmul", "einsum", "sum", "reduce_max", "reduce_min",
}  # fmt: skip


def keep_infinity(graph: Graph) -> Graph:
    """The graph whose sums and products of what may be infinite have no bounds."""
    infinite = {index for index, tensor in graph.tensors.items() if _has_infinity(tensor)}
    nodes = []
    for node in graph.nodes:
        meets = not infinite.isdisjoint(node.operands)
        floats = graph.output(node).dtype == "float32"
        if floats and (node.op in _MAKERS or (meets and node.op in _CARRIERS)):
            infinite.update(node.outputs)
        if floats and meets and node.op in _BOUNDED and node.attrs.activation == "none":
            node = replace(node, attrs=replace(node.attrs, activation="unbounded"))
        nodes.append(node)
    return graph.with_nodes(nodes)


def _has_infinity(tensor: Tensor) -> bool:
    return (
        tensor.dtype == "float32" and tensor.data is not None and bool(np.isinf(tensor.data).any())
    )
