"""One operator three ways on stated inputs, and other people's golden answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from native_call import run_native
from oracle import tflite_reference

from midge.kernels import table
from midge.runtime.graph import DTYPES, Graph, Node
from midge.runtime.importers.tflite import read_tflite

BOUNDARY = {  # quantized numbers where rounding and saturation go wrong first
    "int8": [-128, -127, -1, 0, 1, 126, 127],
    "uint8": [0, 1, 127, 128, 129, 254, 255],
    "int16": [-32768, -32767, -129, -128, -1, 0, 1, 127, 128, 32766, 32767],
    "int32": [-(1 << 31), -(1 << 31) + 1, -1, 0, 1, (1 << 31) - 1],
    "float32": [-np.inf, -3.4e38, -6.0, -0.0, 0.0, 1e-45, 0.49999997, 0.5, 6.0, 3.4e38, np.inf],
}


def draw_values(rng: np.random.Generator, shape: Sequence[int], dtype: str) -> np.ndarray:
    """Random numbers over the whole range of a dtype, every tenth a boundary value."""
    if dtype == "float32":
        values = (rng.normal(size=shape) * 4).astype(np.float32)
    else:
        limits = np.iinfo(dtype)
        values = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    boundary = rng.choice(np.array(BOUNDARY[dtype], DTYPES[dtype]), size=shape)
    return np.where(rng.random(shape) < 0.1, boundary, values)


def single_node(model: bytes) -> tuple[Graph, Node]:
    """The graph of a one-operator model as it is in the file, and its node."""
    graph = read_tflite(model)
    assert len(graph.nodes) == 1
    return graph, graph.nodes[0]


def assert_exact(model: bytes, inputs: Sequence[np.ndarray]) -> None:
    """TFLite's reference kernels, the NumPy reference and the native kernel give the same bits,
    natively also with the output lying over the input."""
    assert_answers(model, inputs, tflite_reference(model, inputs))


def assert_answers(
    model: bytes, inputs: Sequence[np.ndarray], wanted: Sequence[np.ndarray]
) -> None:
    """The NumPy reference and the native kernel, in place and not, give the `wanted` bits."""
    assert_node_answers(*single_node(model), inputs, wanted)


def assert_node_answers(
    graph: Graph, node: Node, inputs: Sequence[np.ndarray], wanted: Sequence[np.ndarray]
) -> None:
    """The same for a node that the importer doesn't read."""
    assert table.refusal(graph, node, 0) is None
    arrays = _operands(graph, node, inputs)
    answers = {
        "reference": table.OPERATIONS[node.op].reference(graph, node, arrays),
        "native": run_native(graph, node, arrays),
        "native, overlapped": run_native(graph, node, arrays, overlap=True),
    }
    for name, (actual,) in answers.items():
        assert actual.dtype == wanted[0].dtype, name
        np.testing.assert_array_equal(bits(actual), bits(wanted[0]), err_msg=name)


def bits(values: np.ndarray) -> np.ndarray:
    """Floats as their bits, so that -0.0 isn't 0.0; all NaN are one."""
    if values.dtype != np.float32:
        return values
    return np.where(np.isnan(values), np.float32(np.nan), values).view(np.int32)


def _operands(graph: Graph, node: Node, inputs: Sequence[np.ndarray]) -> list[np.ndarray | None]:
    """One array for each of the node's input positions; a tensor may be at several."""
    values: dict[int | None, np.ndarray | None] = {t.index: t.data for t in graph.tensors.values()}
    values.update(zip(graph.inputs, inputs, strict=True))
    return [values.get(index) for index in node.inputs]


def why_refused(model: bytes) -> str:
    """The sentence with which a one-operator model is refused."""
    graph, node = single_node(model)
    refused = table.refusal(graph, node, 0)
    assert refused is not None
    return refused.why


def golden_case(model: Path) -> tuple[bytes, list[np.ndarray], list[np.ndarray]]:
    """A model of TFLM's seanet tests; its inputs and golden output, from the files beside it."""
    content = model.read_bytes()
    graph, _ = single_node(content)

    def values(kind: str, index: int) -> np.ndarray:
        (file,) = model.parent.glob(f"{model.stem}_{kind}_*.csv")
        tensor = graph.tensors[index]
        flat = np.array(file.read_text().replace(",", " ").split(), np.float64)
        return flat.astype(DTYPES[tensor.dtype]).reshape(tensor.shape)

    inputs = [values(f"input{i}", index) for i, index in enumerate(graph.inputs)]
    return content, inputs, [values("golden", graph.outputs[0])]
