"""A tail as ONNX: ONNX Runtime gives midge's bits for the exact form, and near ones for QDQ."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from oracle import random_inputs
from random_networks import networks

pytest.importorskip("onnx", reason="writing ONNX needs onnx (midge[onnx])")
pytest.importorskip("onnxruntime", reason="answers are compared with ONNX Runtime")

import onnx
import onnxruntime

from cases import OPERATORS
from midge.runtime.backend import find_backend
from midge.runtime.errors import InputError, MidgeError, TargetError, UnsupportedModel
from midge.runtime.graph import Graph
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_graph, rewrite
from midge.targets.split.cut import cut_at, legal_cuts
from midge.targets.split.onnx_exact import _parts
from midge.targets.split.onnx_tail import to_onnx
from midge.tools.cli import parse_and_run
from midge.tools.split_export import compare
from midge.tools.zoo import OWN

DIGITS = str(OWN / "digits.tflite")


def both(graph: Graph, given: list[np.ndarray], form: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """(the reference's answer, ONNX Runtime's) for each output."""
    ours = find_backend("reference").build(compile_graph(graph, "reference")).run(given)
    content = to_onnx(graph, form=form).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [graph.tensors[t].name for t in graph.inputs]
    return list(zip(ours, session.run(None, dict(zip(names, given, strict=True))), strict=True))


def steps_apart(graph: Graph, given: list[np.ndarray], form: str) -> int:
    worst = 0
    for a, b in both(graph, given, form):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        worst = max(worst, int(np.abs(a.astype(np.int64) - b.astype(np.int64)).max(initial=0)))
    return worst


def whole_numbers(graph: Graph) -> bool:
    activations = [t for i, t in graph.tensors.items() if graph.is_activation(i)]
    return all(t.dtype == "int8" for t in activations)


def test_operators_have_the_same_bits() -> None:
    """Of the table that every backend runs: the int8 cases of operators that can be written."""
    compared = []
    for case in (case for case in OPERATORS if case.small and case.builtin):
        model = case.model()
        graph = rewrite(read_model(model), Options())
        if not whole_numbers(graph):
            continue
        try:
            apart = steps_apart(graph, random_inputs(model, 1), "exact")
        except UnsupportedModel:
            continue
        assert apart <= any(node.op == "softmax" for node in graph.nodes), case
        compared.append(case.name)
    assert len(compared) >= 25, compared


@settings(max_examples=25, deadline=None)
@given(networks())
def test_networks_have_the_same_bits(model: bytes) -> None:
    graph = rewrite(read_model(model), Options())
    softmax = any(node.op == "softmax" for node in graph.nodes)
    assert steps_apart(graph, random_inputs(model, 2), "exact") <= softmax


def test_tails_of_a_model() -> None:
    graph = rewrite(read_model(Path(DIGITS)), Options())
    for position in legal_cuts(graph)[:-1:3]:
        cut = cut_at(graph, position)
        for form, most in (("exact", 0), ("qdq", 1)):
            model = to_onnx(cut.tail, cut.name, form)
            found = compare(graph, cut, model.SerializeToString(), 5)
            assert found["values"] == 50
            assert found["worst"] <= most, (position, form)
            said = {p.key: p.value for p in model.metadata_props}
            assert said == {"midge_sha256": graph.sha256, "midge_cut": cut.name}


def test_sums_that_float32_does_not_hold_are_taken_in_parts() -> None:
    weights = np.full((3, 5000), 127.0)
    weights[1, ::2] = -128
    parts = _parts(weights, 255)
    assert len(parts) > 1
    np.testing.assert_array_equal(sum(part.astype(np.float64) for part in parts), weights)
    assert max(np.abs(part).sum(axis=1).max() * 255 for part in parts) <= 1 << 24


def test_the_verb_writes_a_model_and_an_mlserver_folder(tmp_path: Path) -> None:
    folder = tmp_path / "served"
    places = ["-o", str(tmp_path / "tail.onnx"), "--mlserver", str(folder)]
    made = parse_and_run(["split", "export-tail", DIGITS, "--cut", "6", *places, "--check", "2"])
    assert made["check"]["values"] == 20
    assert all(Path(path).is_file() for path in made["files"])
    onnx.checker.check_model(onnx.load(tmp_path / "tail.onnx"), full_check=True)
    settings = json.loads((folder / "model-settings.json").read_text())
    assert settings["inputs"] == made["inputs"]
    assert settings["implementation"] == "runtime.OnnxTail"
    compile((folder / "runtime.py").read_text(), "runtime.py", "exec")


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (["--cut", "6"], InputError, "-o F.onnx or --mlserver DIR"),
        (["--cut", "99", "-o", "x.onnx"], TargetError, "can be cut before node 0 to 14"),
    ],
)
def test_bad_questions(arguments: list[str], kind: type[MidgeError], said: str) -> None:
    with pytest.raises(kind, match=said):
        parse_and_run(["split", "export-tail", DIGITS, *arguments])


def test_what_can_not_be_written_is_said() -> None:
    import build_tflite as b

    graph = rewrite(read_model(b.lstm()), Options())
    with pytest.raises(UnsupportedModel, match="writing ONNX does not support"):
        to_onnx(graph)
