"""Every layer of every model, on the values that TFLite's reference kernels feed it."""

from __future__ import annotations

import numpy as np
import pytest
from native_call import run_native
from one_operator import as_int8
from oracle import random_inputs, reference_interpreter

from midge.kernels import table
from midge.runtime.errors import ModelError
from midge.runtime.graph import Graph, Node
from midge.runtime.importers.tflite import read_tflite
from midge.runtime.passes.legacy_uint8 import legacy_uint8
from midge.runtime.passes.time_as_rows import time_as_rows
from midge.tools.zoo import catalogue, find_model


def intermediate_values(model: bytes, seed: int) -> dict[int, np.ndarray]:
    """Tensor index -> its value after one inference by the oracle, all tensors preserved.

    Some are left out: TFLite lets a few operators (ADD, RESHAPE) write over their operand, even so.
    """
    interpreter = reference_interpreter(model, preserve_all_tensors=True)
    details = interpreter.get_input_details()
    for detail, value in zip(details, random_inputs(model, seed), strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    last = {}  # address -> the tensor that was written there last
    for node in read_tflite(model).nodes:
        last |= {_address(interpreter, index): index for index in node.outputs}
    inputs = [detail["index"] for detail in details]
    return {index: interpreter.get_tensor(index) for index in (*inputs, *last.values())}


def _address(interpreter, index: int) -> int:
    return interpreter.tensor(index)().__array_interface__["data"][0]


def rewritten(model: bytes) -> tuple[Graph, dict[int, int]]:
    """The graph in int8, time as rows; for each stand-in of a border tensor, the file's index."""
    graph = time_as_rows(legacy_uint8(read_tflite(model)))
    known = read_tflite(model).tensors
    twins = {}
    for node in (node for node in graph.nodes if node.op == "quantize"):
        source, target = node.inputs[0], node.outputs[0]
        twins |= {target: source} if target not in known else {}
        twins |= {source: target} if source not in known else {}
    return graph, twins


@pytest.mark.parametrize("name", catalogue())
def test_layers(name):
    try:
        model = find_model(name).read_bytes()
    except ModelError as error:
        pytest.skip(str(error))
    graph, twins = rewritten(model)
    values = intermediate_values(model, seed=5)
    checked = 0
    for number, node in enumerate(graph.nodes):
        border = set(node.operands) & set(twins) and node.op == "quantize"
        if not border:
            _check(graph, node, number, values, twins)
            checked += 1
    print(f"{name}: {checked} of {len(graph.nodes)} layers")
    assert checked


def _check(
    graph: Graph, node: Node, number: int, values: dict[int, np.ndarray], twins: dict[int, int]
) -> None:
    """Compare one layer, reference and native, with what the oracle made of the same operands."""

    def value(index: int) -> np.ndarray | None:
        tensor = graph.tensors[index]
        if tensor.variable:  # as before the first inference; a kernel may write into it
            return np.full(
                tensor.shape, tensor.zero_point if tensor.quantization else 0, tensor.dtype
            )
        given = values.get(twins.get(index, index)) if tensor.data is None else tensor.data
        if given is not None and tensor.dtype != "uint8":
            given = as_int8(given)
        return None if given is None else given.reshape(tensor.shape)

    def inputs() -> list[np.ndarray | None]:
        return [None if index is None else value(index) for index in node.inputs]

    label = f"node {number} {node.op} {node.name}"
    assert table.refusal(graph, node, number) is None
    reference = table.OPERATIONS[node.op].reference(graph, node, inputs())
    wanted = [value(index) for index in node.outputs]
    if any(v is None for v in wanted):  # the operator that reads it next is compared all the same
        wanted = reference
        values |= dict(zip(node.outputs, reference, strict=True))
    np.testing.assert_array_equal(reference, wanted, err_msg=f"reference, {label}")
    for overlap in (False, True):
        native = run_native(graph, node, inputs(), overlap)
        np.testing.assert_array_equal(native, wanted, err_msg=f"native, {label}, {overlap=}")
