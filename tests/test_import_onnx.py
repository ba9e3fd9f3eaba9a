"""ONNX models: what is read agrees with ONNX Runtime and the onnx package, the rest is named."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import build_onnx as b
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from midge.runtime.backend import find_backend
from midge.runtime.errors import InputError, MidgeError, ModelError, UnsupportedModel
from midge.runtime.importers import read_model
from midge.runtime.pipeline import compile_graph
from midge.tools import onnx_page
from midge.tools.cli import parse_and_run

PASSING = 1666  # of the onnx package's node tests; this number may only rise


def run(model: bytes, inputs: list[np.ndarray], target: str = "reference") -> list[np.ndarray]:
    return find_backend(target).build(compile_graph(read_model(model), target)).run(inputs)


@pytest.mark.parametrize("make", [b.residual, b.separable])
def test_float_networks_agree_with_onnxruntime(make: Callable[[], onnx.ModelProto]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = make().SerializeToString()
    session = onnxruntime.InferenceSession(model)
    x = np.random.default_rng(3).normal(0, 1, session.get_inputs()[0].shape).astype(np.float32)
    for target in ("reference", "host"):
        np.testing.assert_allclose(run(model, [x], target)[0], session.run(None, {"x": x})[0],
                                   rtol=1e-4, atol=1e-6)  # fmt: skip


@pytest.mark.parametrize(("make", "share"), [(b.qdq_residual, 0.0), (b.qdq_separable, 0.4)])
def test_quantized_networks_have_the_numbers_of_onnxruntime(
    make: Callable[[], bytes], share: float
) -> None:
    """But for ties, which averages of four pixels often are: by one, in `share` of the answers."""
    onnxruntime = pytest.importorskip("onnxruntime")
    model = make()
    graph = read_model(model)
    kinds = Counter(node.op for node in graph.nodes)
    assert kinds["quantize"] == kinds["dequantize"] == 1, "integers from end to end"
    assert kinds["transpose"] == 1, "NCHW is turned once, at the border"
    step = next(graph.input(n).scale for n in graph.nodes if n.op == "dequantize")
    session = onnxruntime.InferenceSession(model)
    rng, steps = np.random.default_rng(7), []
    for _ in range(20):
        x = rng.normal(0, 1, session.get_inputs()[0].shape).astype(np.float32)
        ours, theirs = run(model, [x])[0], session.run(None, {"x": x})[0]
        steps.append(np.rint(np.abs(ours - theirs) / step))
    assert np.max(steps) <= 1
    assert np.mean(steps) <= share


@pytest.fixture(scope="module")
def node_tests() -> list[object]:
    return onnx_page.node_tests()


@pytest.mark.parametrize("target", ["reference", "host"])
def test_the_onnx_packages_own_node_tests(target: str, node_tests: list[object]) -> None:
    """None that runs gives a wrong answer, and none ends in anything but a sentence."""
    found = list(onnx_page.outcomes(node_tests, target))
    assert not [outcome.name for outcome in found if outcome.wrong]
    assert sum(not outcome.why for outcome in found) >= PASSING


def network(*nodes: onnx.NodeProto, shape: tuple = (1, 4), opset: int = 17) -> bytes:  # type: ignore[type-arg]
    graph = helper.make_graph(
        list(nodes), "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model.SerializeToString()


def test_every_refused_node_is_named(tmp_path: Path) -> None:
    nodes, x = [], "x"
    refused = ["Det", "NonZero", "Bernoulli", "RandomNormalLike", "Unique"]
    for i, op in enumerate((refused[0], "Relu", *refused[1:3], "Relu", *refused[3:])):
        nodes.append(helper.make_node(op, [x], [f"y{i}"]))
        x = f"y{i}"
    with pytest.raises(UnsupportedModel) as caught:
        read_model(network(*nodes))
    assert [r.operator for r in caught.value.refusals] == refused
    path = tmp_path / "five.onnx"
    path.write_bytes(network(*nodes))
    answer = parse_and_run(["check", str(path), "--target", "host"])
    assert not answer["ok"]
    assert len(answer["refused"]) == 5


def test_an_open_batch_is_bound_by_the_user() -> None:
    relu = helper.make_node("Relu", ["x"], ["y"])
    model = network(relu, shape=("batch", 4))
    assert read_model(model).tensors[0].shape == (1, 4)
    assert read_model(model, {0: (3, 4)}).tensors[0].shape == (3, 4)
    with pytest.raises(InputError, match="axis 1 of input 'x' is 4, not 5"):
        read_model(model, {0: (3, 5)})
    with pytest.raises(InputError, match="has 2 axes"):
        read_model(model, {0: (3,)})
    with pytest.raises(InputError, match="there is no input 1"):
        read_model(model, {1: (3, 4)})


def test_old_opsets_and_broken_files_get_one_sentence(tmp_path: Path) -> None:
    relu = helper.make_node("Relu", ["x"], ["y"])
    with pytest.raises(ModelError, match="it has opset 6; 7 is the least"):
        read_model(network(helper.make_node("Add", ["x", "x"], ["y"]), opset=6))
    read_model(network(relu, opset=6))  # which means what it does in opset 7
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\xff\xfe nothing")
    with pytest.raises(ModelError, match="no ONNX model"):
        read_model(path)
    with pytest.raises(ModelError, match="no such file"):
        read_model(tmp_path / "none.onnx")


def with_external(location: str) -> bytes:
    model = onnx.load_model_from_string(
        network(helper.make_node("Add", ["x", "w"], ["y"]), shape=(1, 4))
    )
    weights = numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    model.graph.initializer.append(weights)
    return model.SerializeToString()


def test_external_data_comes_from_the_models_own_folder_only(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    numbers = np.arange(4, dtype=np.float32)
    for place in (folder / "w.bin", tmp_path / "secret.bin"):
        place.write_bytes(numbers.tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    path = folder / "m.onnx"
    path.write_bytes(with_external("w.bin"))
    answer = find_backend("reference").build(compile_graph(read_model(path), "reference"))
    np.testing.assert_array_equal(answer.run([np.ones((1, 4), np.float32)])[0], [numbers + 1])
    for location in ("../secret.bin", str(tmp_path / "secret.bin"), "link.bin", ""):
        path.write_bytes(with_external(location))
        with pytest.raises(ModelError):
            read_model(path)
    path.write_bytes(with_external("missing.bin"))
    with pytest.raises(ModelError, match=r"missing\.bin"):
        read_model(path)
    with pytest.raises(ModelError, match="read it from a path"):
        read_model(with_external("w.bin"))


def test_mutated_files_end_in_a_sentence_or_a_graph() -> None:
    source, spoil = b.separable().SerializeToString(), random.Random(5)
    structure = len(source) - 400  # nodes' names and shapes lie at both ends, weights between
    for _ in range(150):
        data = bytearray(source)
        for _ in range(spoil.randint(1, 4)):
            near = spoil.choice([spoil.randrange(2000), spoil.randrange(structure, len(data))])
            data[near] = spoil.randrange(256)
        try:
            compile_graph(read_model(b"\x08" + bytes(data[1:])), "reference")
        except MidgeError as error:
            assert str(error)
