"""What `midge tune` chooses from has the same bits, and what it keeps is taken by later plans."""

from __future__ import annotations

import json
from pathlib import Path

import build_tflite as b
import numpy as np
import pytest
from oracle import random_inputs

from cases import model
from midge.kernels.tuning import DEFAULT, NAMES, candidates, forced, layer_key
from midge.runtime import plan_cache, ready, tuned
from midge.runtime.backend import build
from midge.runtime.errors import ProgramError
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model
from midge.tools import cli
from midge.tools.verbs import tune

MODEL = b.conv2d()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of plans for each test; kernels stay where they are."""
    for module in (plan_cache, ready, tuned):
        monkeypatch.setattr(module, "plans_folder", lambda: str(tmp_path / "plans"))
    return tmp_path


def compiled(content: bytes | Path, name: str):  # type: ignore[no-untyped-def]
    with forced(name):
        return compile_model(content, "host", Options(exact=False))


@pytest.mark.parametrize("name", ["kws_ref_model", "pretrainedResnet_quant"])
def test_candidates_have_the_same_bits(name: str) -> None:
    content = model(name).model()
    inputs, usual = random_inputs(content), compiled(content, DEFAULT)
    wanted, differ = build(usual).run(inputs), 0
    for other in NAMES[1:]:
        program = compiled(content, other)
        differ += [c.kernel for c in program.calls()] != [c.kernel for c in usual.calls()]
        for one, two in zip(build(program).run(inputs), wanted, strict=True):
            np.testing.assert_array_equal(one, two)
    assert differ >= 1
    found = [candidates(usual.graph, node) for node in usual.graph.nodes]
    assert {"tight", "plain"} <= {name for names in found for name in names}


def test_choices_are_taken_and_are_part_of_a_plans_name() -> None:
    usual = compile_model(MODEL, "host")
    key = layer_key(usual.graph, usual.graph.nodes[0])
    entries = {plan_cache.entry(MODEL, "host", Options(), {}), ready.entry(MODEL, 1, {})}
    assert Path(tuned.keep_choices({key: "plain"})) == Path(tuned.tuned_path())
    entries |= {plan_cache.entry(MODEL, "host", Options(), {}), ready.entry(MODEL, 1, {})}
    assert len(entries) == 4
    chosen = compile_model(MODEL, "host")
    assert [call.kernel for call in chosen.calls()] == ["conv2d_s8"]
    assert [call.kernel for call in usual.calls()] != ["conv2d_s8"]


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"a": 1}', b"\xff\xfe"])
def test_a_damaged_file_is_named(content: bytes, folder: Path) -> None:
    Path(tuned.tuned_path()).write_bytes(content)
    with pytest.raises(ProgramError, match="the file is damaged; remove it"):
        compile_model(MODEL, "host")
    compile_model(MODEL, "cortex-m4")


def test_an_unknown_kernel_is_the_default() -> None:
    usual = compile_model(MODEL, "host")
    tuned.keep_choices({layer_key(usual.graph, usual.graph.nodes[0]): "of another version"})
    assert [c.kernel for c in compile_model(MODEL, "host").calls()] == [
        c.kernel for c in usual.calls()
    ]


def test_the_verb_keeps_what_was_faster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.tflite").write_bytes(MODEL)
    tuned.keep_choices({"another layer": "tight"})

    def measured(executors, rounds, quiet):  # type: ignore[no-untyped-def]
        graph = executors[DEFAULT].program.graph
        key = layer_key(graph, graph.nodes[0])
        return {name: {key: 1.0 if name == "plain" else 2.0} for name in executors}

    monkeypatch.setattr(tune, "_measured", measured)
    for medians, kept in (((1.0, 2.0), 1), ((2.0, 1.0), 0)):
        monkeypatch.setattr(tune, "_compare", lambda *_, found=medians: found)
        assert cli.main(["tune", str(tmp_path / "m.tflite"), "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert [each["kernel"] for each in answer["changed"]] == ["plain"] * kept
        assert answer["ratio"] == (0.5 if kept else 1.0)
        choices = json.loads(Path(answer["file"]).read_text())
        assert choices.pop("another layer") == "tight"
        assert list(choices.values()) == ["plain"] * kept
