"""`midge compare --float`: what quantization costs each layer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import build_onnx as b
import numpy as np
import pytest

from midge.runtime.errors import InputError
from midge.runtime.importers import read_model
from midge.runtime.pipeline import compile_graph
from midge.tools.cli import parse_and_run
from midge.tools.quantization_error import EXACT_DB, by_what_they_add, layer_errors, pairs


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    quantized, floating = folder / "q.onnx", folder / "f.onnx"
    quantized.write_bytes(b.qdq_residual())
    floating.write_bytes(b.residual().SerializeToString())
    return quantized, floating


def samples(count: int, shape: tuple[int, ...]) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(4)
    return [[rng.uniform(-1, 1, shape).astype(np.float32)] for _ in range(count)]


def test_no_layer_is_left_out(models: tuple[Path, Path]) -> None:
    quantized, floating = (compile_graph(read_model(path), "reference") for path in models)
    layers = layer_errors(quantized, floating, samples(2, floating.inputs[0].shape))
    assert [layer.node for layer in layers] == list(range(len(quantized.graph.nodes)))
    for layer in layers:
        assert layer.sqnr_db is not None and 20 < layer.sqnr_db < EXACT_DB, layer
        assert layer.own_sqnr_db is not None and layer.own_sqnr_db > 25, layer
        assert layer.cosine is not None and 0.99 < layer.cosine <= 1


def test_a_bad_layer_stands_first(models: tuple[Path, Path]) -> None:
    """One layer's weights are made wrong: it adds most, and the ones before it are as they were."""
    quantized, floating = (compile_graph(read_model(path), "reference") for path in models)
    graph = quantized.graph
    bad = [i for i, node in enumerate(graph.nodes) if node.op == "conv2d"][2]
    weights = graph.input(graph.nodes[bad], 1)
    assert weights.data is not None
    spoilt = replace(weights, data=(weights.data // 16) * 16)
    changed = replace(
        quantized, graph=replace(graph, tensors={**graph.tensors, weights.index: spoilt})
    )
    given = samples(2, floating.inputs[0].shape)
    before, after = (layer_errors(program, floating, given) for program in (quantized, changed))
    assert next(by_what_they_add(after)).node == bad
    assert after[:bad] == before[:bad]
    assert after[bad].own_sqnr_db < before[bad].own_sqnr_db - 6


def test_the_float_model_beside_itself_is_exact(models: tuple[Path, Path]) -> None:
    program = compile_graph(read_model(models[1]), "reference")
    twins = pairs(program.graph, program.graph)
    assert all(twins[node.outputs[0]] == node.outputs[0] for node in program.graph.nodes)
    layers = layer_errors(program, program, samples(1, program.inputs[0].shape))
    assert {layer.sqnr_db for layer in layers} == {EXACT_DB}


def test_the_verb(models: tuple[Path, Path], tmp_path: Path) -> None:
    quantized, floating = map(str, models)
    page = tmp_path / "page.html"
    answer = parse_and_run(["compare", quantized, "--float", floating, "--inputs", "2",
                            "--html", str(page)])  # fmt: skip
    own = [layer["own_sqnr_db"] for layer in answer["layers"]]
    assert own == sorted(own) and answer["inputs"] == 2
    assert page.read_text().count("<tr>") == len(own) + 1
    np.save(tmp_path / "one.npy", np.zeros((1, 3, 16, 16), np.float32))
    shape = compile_graph(read_model(models[1]), "reference").inputs[0].shape
    np.save(tmp_path / "one.npy", np.zeros(shape, np.float32))
    answer = parse_and_run(["compare", quantized, "--float", floating, "--inputs", str(tmp_path)])
    assert answer["inputs"] == 1


def test_wrong_arguments_end_in_a_sentence(models: tuple[Path, Path], tmp_path: Path) -> None:
    quantized, floating = map(str, models)
    with pytest.raises(InputError, match=r"needed are \.npy files"):
        parse_and_run(["compare", quantized, "--float", floating, "--inputs", str(tmp_path)])
    with pytest.raises(InputError, match="not 'many'"):
        parse_and_run(["compare", quantized, "--inputs", "many"])
    other = tmp_path / "other.onnx"
    other.write_bytes(b.separable().SerializeToString())
    with pytest.raises(InputError, match="compare models of one network"):
        parse_and_run(["compare", quantized, "--float", str(other)])
