"""One node by its vector kernel, compared with the NumPy reference."""

from __future__ import annotations

import numpy as np
from native_call import run_native
from one_operator import operands, read_operator
from oracle import random_inputs

from midge.kernels import table
from midge.kernels.vector import table as vector
from midge.runtime.graph import Graph, Node


def assert_vector(model: bytes, kernel: str, seed: int = 0) -> None:
    """The vector kernel is chosen for a one-operator model, and its bits are the reference's."""
    graph, node = read_operator(model)
    arrays = operands(graph, node, random_inputs(model, seed))
    assert_vector_node(graph, node, arrays, kernel)


def assert_vector_node(
    graph: Graph, node: Node, arrays: list[np.ndarray | None], kernel: str
) -> None:
    """The same for a node and one array for each of its input positions; also over its input."""
    assert vector.lower(graph, node).kernel == kernel
    (wanted,) = table.OPERATIONS[node.op].reference(graph, node, arrays)
    for overlap in (False, True):
        (actual,) = run_native(graph, node, arrays, overlap, vector.lower)
        np.testing.assert_array_equal(actual, wanted, err_msg=f"overlap={overlap}")
