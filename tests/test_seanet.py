"""TFLM's own golden answers: the operators of SEANet, with int16 activations.

The cases, tflite-micro's own integration tests, lie beside the repository, in
`../shared/op_tests/seanet`, or where $MIDGE_OP_TESTS says. Without them these tests are skipped.
"""

from __future__ import annotations

import os
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from native_call import run_native

from midge.kernels import table
from midge.kernels.vector import table as vector
from midge.runtime.graph import DTYPES, Graph, Tensor
from midge.runtime.importers.tflite import read_tflite

SHARED = Path(__file__).resolve().parents[2] / "shared" / "op_tests"
FOLDER = Path(os.environ.get("MIDGE_OP_TESTS", SHARED)) / "seanet"
MODELS = sorted(FOLDER.glob("*/*.tflite"))

if not MODELS:
    pytest.skip("TFLM's SEANet cases are not beside the repository", allow_module_level=True)


def read_values(model: Path, name: str, tensor: Tensor) -> np.ndarray:
    """The numbers of `<model>_<name>_<dtype>.csv`."""
    (path,) = model.parent.glob(f"{model.stem}_{name}_*.csv")
    numbers = [float(text) for text in re.split(r"[\s,]+", path.read_text()) if text]
    return np.array(numbers).astype(DTYPES[tensor.dtype]).reshape(tensor.shape)


def operands(model: Path, graph: Graph) -> list[np.ndarray | None]:
    given = {
        index: read_values(model, f"input{position}", graph.tensors[index])
        for position, index in enumerate(graph.inputs)
    }
    (node,) = graph.nodes
    return [None if i is None else given.get(i, graph.tensors[i].data) for i in node.inputs]


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_golden_answer(model):
    graph = read_tflite(model)
    (node,) = graph.nodes
    golden = read_values(model, "golden", graph.output(node))
    inputs = operands(model, graph)
    assert table.refusal(graph, node, 0) is None
    (answer,) = table.OPERATIONS[node.op].reference(graph, node, inputs)
    np.testing.assert_array_equal(answer, golden, err_msg="reference")
    for overlap, lower in product((False, True), (table.lower, vector.lower)):
        (answer,) = run_native(graph, node, inputs, overlap, lower)
        np.testing.assert_array_equal(answer, golden, err_msg=f"{lower.__module__}, {overlap=}")
