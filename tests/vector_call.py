"""One node by its vector kernel, compared with the NumPy reference."""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np
from native_call import run_native
from one_operator import operands, read_operator
from oracle import random_inputs

from midge.kernels import table
from midge.kernels.convolution import SUFFIXES
from midge.kernels.native import processor
from midge.kernels.vector import table as vector
from midge.runtime.graph import Graph, Node
from midge.runtime.lowering import Lowered
from midge.runtime.rounding import in_floats


def assert_vector(model: bytes, kernel: str, seed: int = 0) -> None:
    """The vector kernel of the model's type is chosen for its one operator, with the reference's
    bits; every other seed by ONNX Runtime's rounding, which sums have a plain kernel for."""
    graph, node = read_operator(model)
    graph = in_floats(graph) if seed % 2 and kernel != "add_vector" else graph
    arrays = operands(graph, node, random_inputs(model, seed))
    assert_vector_node(graph, node, arrays, f"{kernel}_{SUFFIXES[graph.input(node).dtype]}")


def assert_vector_node(
    graph: Graph, node: Node, arrays: list[np.ndarray | None], kernel: str
) -> None:
    """The same for a node and one array for each of its input positions; also over its input."""
    choices = direct(graph, node).choices
    assert choices[0].kernel == kernel
    (wanted,) = table.OPERATIONS[node.op].reference(graph, node, arrays)
    for overlap, number in product((False, True), range(min(len(choices), 2))):
        (actual,) = run_native(graph, node, arrays, overlap, partial(_choice, number))
        np.testing.assert_array_equal(actual, wanted, err_msg=f"overlap={overlap}, {number}")


def _choice(number: int, graph: Graph, node: Node) -> Lowered:
    """The call with the most scratch, or the one after it."""
    return direct(graph, node).choices[number]


def direct(graph: Graph, node: Node) -> Lowered:
    """What a processor gets for which Winograd's algorithm does not pay."""
    return vector.lower(graph, node, (processor.AVX512_VNNI,))
