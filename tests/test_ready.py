"""A start from the cache: one file is mapped, and gives the bits that the model gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import build_tflite as b
import numpy as np
import pytest
from oracle import random_inputs, tflite_reference

from cases import model
from midge import InferenceSession, Interpreter, Model
from midge.runtime import ready
from midge.runtime.errors import InputError, ModelError

MODEL = b.conv2d()


@pytest.fixture(autouse=True)
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of plans for each test; kernels stay where they are."""
    monkeypatch.setattr(ready, "plans_folder", lambda: str(tmp_path / "plans"))
    return tmp_path / "plans"


def answers(content: bytes, seed: int = 0, **options: object) -> list[np.ndarray]:
    """An interpreter's, to random inputs."""
    interpreter = Interpreter(model_content=content, **options)  # type: ignore[arg-type]
    interpreter.allocate_tensors()
    for detail, value in zip(
        interpreter.get_input_details(), random_inputs(content, seed), strict=True
    ):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


MODELS = {
    "conv2d": b.conv2d(),
    "softmax": b.softmax(),
    "lstm": b.lstm(),
    "mean": b.mean(),
}


@pytest.mark.parametrize("name", MODELS)
def test_made_and_found_give_the_bits_of_the_reference(name: str, plans: Path) -> None:
    content = MODELS[name]
    inputs = random_inputs(content)
    wanted = [value.tobytes() for value in tflite_reference(content, inputs)]
    for _ in range(2):
        assert [value.tobytes() for value in answers(content)] == wanted
        assert Model(content).run(*inputs) == wanted
        session = InferenceSession(content)
        feed = {arg.name: value for arg, value in zip(session.get_inputs(), inputs, strict=True)}
        assert [value.tobytes() for value in session.run(None, feed)] == wanted
    assert len(list(plans.glob("*.ready"))) == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_several_threads_start_from_the_cache(threads: int, plans: Path) -> None:
    path = model("mobilenetv2_160_035").model()
    content = path if isinstance(path, bytes) else path.read_bytes()
    first = answers(content, num_threads=threads)
    for one, other in zip(first, answers(content, num_threads=threads), strict=True):
        np.testing.assert_array_equal(one, other)
    (file,) = plans.glob("*.ready")
    found = ready.find(content, threads, {})
    assert found is not None and found.header["threads"] == threads
    assert file.stat().st_size == len(found.memory)


@pytest.mark.parametrize("place", [0, 9, 20, 30, -1])
def test_a_damaged_file_is_made_again(plans: Path, place: int) -> None:
    wanted = Model(MODEL).run(*random_inputs(MODEL))
    (path,) = plans.glob("*.ready")
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[place] ^= 1
    for content in (bytes(damaged), whole[: len(whole) // 2], b"", b"MIDGERDY"):
        path.write_bytes(content)
        assert ready.find(MODEL, 1, {}) is None
        assert Model(MODEL).run(*random_inputs(MODEL)) == wanted
        assert path.read_bytes() == whole


def test_what_a_file_depends_on_is_in_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [
        (MODEL, 1, {}),
        (b.conv2d(seed=1), 1, {}),
        (MODEL, 2, {}),
        (MODEL, 1, {0: (2, 9, 7, 3)}),
    ]
    names = {ready.entry(*each) for each in asked}
    monkeypatch.setattr(ready, "surroundings", lambda *_: "another version")
    names |= {ready.entry(*each) for each in asked}
    assert len(names) == 8


def test_a_file_that_was_found_is_never_written_to(plans: Path) -> None:
    """The words of loops and the state are written while a model runs, in its own memory."""
    content = b.lstm()
    first = Model(content).run(*random_inputs(content))
    (path,) = plans.glob("*.ready")
    whole = path.read_bytes()
    for _ in range(2):
        found = Model(content)
        assert found.run(*random_inputs(content)) == first
        found.run(*random_inputs(content))
        found.reset()
        assert found.run(*random_inputs(content)) == first
    assert path.read_bytes() == whole


def test_wrong_bytes_are_refused() -> None:
    found = Model(MODEL)
    with pytest.raises(InputError, match=r"the model takes 1 input\(s\), 2 given"):
        found.run(b"", b"")
    with pytest.raises(InputError, match=r"takes \d+ bytes, 3 given"):
        found.run(b"abc")
    with pytest.raises(ModelError, match="there is no such file"):
        Model("none.tflite")


def test_a_warm_start_imports_little(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(MODEL)
    (tmp_path / "x.bin").write_bytes(random_inputs(MODEL)[0].tobytes())
    starts = {
        "array": "i = midge.Interpreter(path); i.allocate_tensors(); i.invoke()",
        "bytes": "midge.Model(path).run(open(sys.argv[2], 'rb').read())",
    }
    for kind, start in starts.items():
        code = (
            f"import sys, json, midge\npath = sys.argv[1]\n{start}\n"
            "print(json.dumps(sorted(sys.modules)))"
        )
        run = [sys.executable, "-c", code, tmp_path / "m.tflite", tmp_path / "x.bin"]
        subprocess.run(run, check=True, capture_output=True)  # fills the cache
        warm = set(json.loads(subprocess.run(run, check=True, capture_output=True).stdout))
        own = {name for name in warm if name.startswith("midge.")}
        assert not own & {"midge.runtime.graph", "midge.runtime.program", "midge.runtime.ops"}
        assert len(own) <= 15, own
        assert not {"numba", "llvmlite", "rich", "ortools", "tflite", "dataclasses"} & warm
        assert ("numpy" in warm) == (kind == "array")
