"""One operator three ways: TFLite's reference kernels, the NumPy reference, the native kernel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from native_call import run_native
from oracle import random_inputs, tflite_reference

from midge.kernels import table
from midge.runtime.graph import Graph, Node
from midge.runtime.importers.tflite import read_tflite
from midge.runtime.passes.legacy_uint8 import legacy_uint8
from midge.runtime.passes.time_as_rows import time_as_rows

SIGN = np.uint8(128)


def read_operator(model: bytes) -> tuple[Graph, Node]:
    """The graph of a one-operator model as kernels see it (int8 for uint8), and its node."""
    graph = time_as_rows(legacy_uint8(read_tflite(model)))
    nodes = [node for node in graph.nodes if node.op != "quantize"]
    nodes = [node for node in nodes if node.op != "reshape"] or nodes
    assert len(nodes) == 1, [node.op for node in graph.nodes]
    return graph, nodes[0]


def as_int8(values: np.ndarray) -> np.ndarray:
    """uint8 numbers as the int8 numbers that stand for them; others as they are."""
    return (values ^ SIGN).view(np.int8) if values.dtype == np.uint8 else values


def operands(graph: Graph, node: Node, inputs: Sequence[np.ndarray]) -> list[np.ndarray | None]:
    """One array for each of the node's input positions: the graph's inputs in order, constants."""
    given, arrays = iter(inputs), []
    for index in node.inputs:
        data = None if index is None else graph.tensors[index].data
        arrays.append(data if index is None or data is not None else as_int8(next(given)))
    return arrays


def assert_three_ways(model: bytes, seed: int = 0, overlap: bool = True) -> None:
    """The same bits from all three, natively also with the output lying over the input."""
    inputs = random_inputs(model, seed)
    wanted = [as_int8(value) for value in tflite_reference(model, inputs)]
    graph, node = read_operator(model)
    assert table.refusal(graph, node, 0) is None
    arrays = operands(graph, node, inputs)
    answers = {
        "reference": table.OPERATIONS[node.op].reference(graph, node, arrays),
        "native": run_native(graph, node, arrays),
    }
    if overlap:
        answers["native, overlapped"] = run_native(graph, node, arrays, overlap=True)
    for name, values in answers.items():
        for actual, expected in zip(values, wanted, strict=True):
            assert actual.dtype == expected.dtype, name
            np.testing.assert_array_equal(actual, expected, err_msg=name)
