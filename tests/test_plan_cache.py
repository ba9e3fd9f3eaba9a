"""Programs are made once for the same model, options and machine, and read after that."""

from __future__ import annotations

import json
import os
from pathlib import Path

import build_tflite as b
import numpy as np
import pytest
from oracle import random_inputs, tflite_reference

from midge import InferenceSession, Interpreter
from midge.runtime import plan_cache, surroundings
from midge.runtime.errors import ModelError
from midge.runtime.options import Options
from midge.runtime.plan_cache import compile_cached, read_cached
from midge.runtime.program_file import graph_to_bytes, to_bytes
from midge.tools import cli

MODEL = b.conv2d()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIDGE_CACHE", str(tmp_path))
    return tmp_path / "plans"


def test_the_second_is_read_and_equal() -> None:
    made, read = compile_cached(MODEL, "cortex-m4"), compile_cached(MODEL, "cortex-m4")
    assert (made.cached, read.cached) == (False, True)
    assert to_bytes(made) == to_bytes(read)


def test_what_a_program_depends_on_is_in_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = {0: (2, 9, 7, 3)}
    asked = [
        (MODEL, "host", None, None),
        (b.conv2d(seed=1), "host", None, None),
        (MODEL, "cortex-m4", None, None),
        (MODEL, "host", Options(strategy="rows"), None),
        (MODEL, "host", None, shape),
    ]
    assert not any(compile_cached(*each).cached for each in asked)
    assert all(compile_cached(*each).cached for each in asked)
    monkeypatch.setattr(plan_cache, "surroundings", lambda *_: "another version")
    assert not any(compile_cached(*each).cached for each in asked)


def test_a_changed_source_is_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runtime" / "passes").mkdir(parents=True)
    source = tmp_path / "runtime" / "passes" / "one.py"
    monkeypatch.setattr(surroundings, "PACKAGE", str(tmp_path))
    names = []
    for text in ("one", "other"):
        source.write_text(text)
        surroundings._digest.cache_clear()
        names.append(surroundings.surroundings(("runtime",)))
    surroundings._digest.cache_clear()
    assert names[0] != names[1]


@pytest.mark.parametrize("damage", [b"", b"MIDGEPRG", b"x" * 500])
def test_a_damaged_file_is_made_again(folder: Path, damage: bytes) -> None:
    compile_cached(MODEL)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage or whole[:-1] + bytes([whole[-1] ^ 1]))
    assert not compile_cached(MODEL).cached
    assert path.read_bytes() == whole
    assert compile_cached(MODEL).cached


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MIDGE_CACHE", str(tmp_path / "file"))
    assert not any(compile_cached(MODEL).cached for _ in range(2))


def test_the_oldest_go_when_there_are_too_many(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_cached(MODEL)
    (first,) = folder.iterdir()
    os.utime(first, (1, 1))
    monkeypatch.setattr(plan_cache, "MOST_BYTES", first.stat().st_size * 3 // 2)
    compile_cached(b.conv2d(seed=1))
    (left,) = folder.iterdir()
    assert left != first


def test_a_missing_model_is_still_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such file"):
        compile_cached(tmp_path / "none.tflite")


def test_the_command_line_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.tflite").write_bytes(MODEL)
    found = []
    for _ in range(2):
        assert cli.main(["plan", str(tmp_path / "m.tflite"), "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out)["cached"])
    assert found == [False, True]


def test_an_interpreter_runs_what_was_read() -> None:
    (x,) = random_inputs(MODEL, 0)
    for _ in range(2):
        interpreter = Interpreter(model_content=MODEL)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        (wanted,) = tflite_reference(MODEL, [x])
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        assert (found == wanted).all()


def test_a_graph_that_was_read_before_is_the_same(tmp_path: Path) -> None:
    made, read = read_cached(MODEL), read_cached(MODEL)
    assert graph_to_bytes(made) == graph_to_bytes(read)
    for index, tensor in made.tensors.items():
        other = read.tensors[index]
        assert (tensor.name, tensor.shape, tensor.dtype) == (other.name, other.shape, other.dtype)
        if tensor.data is not None:
            assert other.data is not None
            assert (tensor.data == other.data).all()
    (path,) = (tmp_path / "plans").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert graph_to_bytes(read_cached(MODEL)) == graph_to_bytes(made)


def test_weights_in_another_file_are_read_each_time(tmp_path: Path) -> None:
    """The digest is that of the model file, which doesn't change with them."""
    onnx = pytest.importorskip("onnx")
    x, y = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in "xy"
    )
    for value in (1, 2):
        weights = onnx.numpy_helper.from_array(np.full((4, 4), value, np.float32), "w")
        node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
        graph = onnx.helper.make_graph([node], "m", [x], [y], [weights])
        opset = [onnx.helper.make_opsetid("", 13)]
        model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
        data = tmp_path / f"{value}.bin"
        path = tmp_path / "m.onnx"
        external = {"save_as_external_data": True, "size_threshold": 0}
        onnx.save_model(model, path, location=data.name, **external)
        path.write_bytes(path.read_bytes().replace(data.name.encode(), b"w.bin"))
        data.replace(tmp_path / "w.bin")
        for _ in range(2):
            (answer,) = InferenceSession(path).run(None, {"x": np.ones((1, 4), np.float32)})
            assert (answer == 4 * value).all()
