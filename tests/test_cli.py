"""The command line: JSON keys, exit codes, and one sentence for every wrong input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import build_tflite as b
import numpy as np
import pytest
from test_stream import two_convolutions
from tflite_writer import ModelBuilder

from midge.tools.cli import main


@pytest.fixture
def conv(tmp_path: Path) -> str:
    path = tmp_path / "conv.tflite"
    path.write_bytes(b.conv2d())
    return str(path)


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict, str]:
    """(exit code, the JSON object, stderr)."""
    code = main([*arguments, "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out), err


@pytest.mark.parametrize(
    ("verb", "keys"),
    [
        ("inspect", "operators tensors macs parameter_bytes inputs outputs sha256"),
        ("check", "target ok refused"),
        ("plan", "arena_bytes lower_bound extra_macs segments buffers strategy"),
        ("run", "target output_sha256 outputs arena_bytes latency_ms instructions cycles"),
        ("compare", "equal inputs first_difference"),
        ("bench", "median_ms vs_median_ms ratio runs threads"),
    ],
)
def test_json_keys(capsys, conv: str, verb: str, keys: str) -> None:  # type: ignore[no-untyped-def]
    extra = ["--runs", "3"] if verb == "bench" else []
    code, result, _ = call(capsys, verb, conv, *extra)
    assert code == 0
    assert set(keys.split()) <= result.keys()


def test_every_verb_speaks_to_people(capsys, conv: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for arguments in (
        ["inspect", conv],
        ["check", conv],
        ["plan", conv, "--html", str(tmp_path / "plan.html")],
        ["run", conv],
        ["compare", conv],
        ["bench", conv, "--runs", "3"],
        ["compile", conv, "-o", str(tmp_path / "out")],
        ["doctor"],
    ):
        assert main(arguments) == 0, arguments
        assert capsys.readouterr().out.strip()
    page = (tmp_path / "plan.html").read_text()
    assert page.count("<rect class=box") == 3  # input, output, and the kernel's own buffer
    assert page.count("<circle") >= 2  # without extra arithmetic: input in the arena, and by row


@pytest.mark.parametrize("target", ["host", "cortex-m4"])
def test_compile_writes_files(capsys, conv: str, tmp_path: Path, target: str) -> None:  # type: ignore[no-untyped-def]
    out = str(tmp_path / "out")
    code, result, _ = call(capsys, "compile", conv, "--target", target, "-o", out)
    if code and "is needed and is not installed" in result["error"]:
        pytest.skip(result["error"])
    assert code == 0
    assert result["files"] and all(Path(path).is_file() for path in result["files"])
    assert len(result["model_sha256"]) == 64


def test_run_takes_and_gives_files(capsys, conv: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    x, y = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(x, np.full((1, 8, 8, 3), 7, np.int8))
    code, result, _ = call(capsys, "run", conv, "--input", str(x), "--output", str(y))
    assert code == 0
    assert np.load(y).reshape(-1).tolist() == result["outputs"][0]["values"]


def test_a_saved_program_runs_on_its_own_target(capsys, conv: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    call(capsys, "compile", conv, "-o", str(tmp_path))
    saved = str(tmp_path / "conv.midge")
    assert (
        call(capsys, "run", saved)[1]["output_sha256"]
        == call(capsys, "run", conv)[1]["output_sha256"]
    )
    code, result, _ = call(capsys, "run", saved, "--target", "reference")
    assert code == 1
    assert "made for target host, not reference; say --target host" in result["error"]


def unknown_custom() -> bytes:
    model = ModelBuilder()
    x, y = model.tensor((1, 4), "int8", 0.1, 0), model.tensor((1, 4), "int8", 0.1, 0)
    model.node("CUSTOM", [x], [y], custom_code="Frobnicate")
    return model.build([x], [y])


WRONG_MODELS = {
    "truncated": (lambda: b.conv2d()[:200], ""),
    "text": (lambda: b"This is not a model.\n" * 20, "not a"),
    "empty": (lambda: b"", ""),
    "custom": (unknown_custom, "Frobnicate"),
}


@pytest.mark.parametrize("kind", WRONG_MODELS)
@pytest.mark.parametrize("verb", ["inspect", "run", "plan"])
def test_wrong_models(capsys, tmp_path: Path, verb: str, kind: str) -> None:  # type: ignore[no-untyped-def]
    make, said = WRONG_MODELS[kind]
    path = tmp_path / "wrong.tflite"
    path.write_bytes(make())
    code, result, err = call(capsys, verb, str(path))
    assert code == 1
    assert said in result["error"]
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) <= 4


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.zeros((1, 8, 8), np.int8), "must be int8 of shape [1, 8, 8, 3], not int8 of shape"),
        (np.zeros((1, 8, 8, 3), np.float32), "must be int8 of shape [1, 8, 8, 3], not float32"),
    ],
)
def test_wrong_inputs(capsys, conv: str, tmp_path: Path, value: np.ndarray, said: str) -> None:  # type: ignore[no-untyped-def]
    np.save(tmp_path / "x.npy", value)
    code, result, _ = call(capsys, "run", conv, "--input", str(tmp_path / "x.npy"))
    assert code == 1
    assert said in result["error"]


def test_other_wrong_words(capsys, conv: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for arguments, said in (
        (["run", str(tmp_path / "none.tflite")], "no such file"),
        (["run", str(tmp_path)], ""),
        (["run", conv, "--target", "cray"], "there is no target 'cray'"),
        (["run", conv, "--input", conv], "not a NumPy .npy file"),
        (["run", conv, "--input", "none.npy"], "no such file"),
        (["plan", conv, "--ram", "10"], "--ram grants 10"),
        (["compare", conv, "--targets", "host"], "two names"),
    ):
        code, result, _ = call(capsys, *arguments)
        assert code == 1, arguments
        assert said in result["error"]


def test_wrong_usage_exits_with_2(conv: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["run"])
    assert stop.value.code == 2


def test_ram_takes_the_fastest_plan_that_fits(capsys, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "two.tflite"
    path.write_bytes(two_convolutions())
    plans = {
        name: call(capsys, "plan", str(path), "--strategy", name, "--frugal", "--verify")[1]
        for name in ("layers", "rows")
    }
    layers, rows = (plans[name]["arena_bytes"] for name in ("layers", "rows"))
    assert rows < layers < 8 * 1024
    assert plans["rows"]["segments"] == [[0, 1]] and plans["layers"]["segments"] == []
    assert all(plan["verified_bytes"] > 0 for plan in plans.values())
    fed = call(capsys, "plan", str(path), "--input-by-row", "--frugal", "--verify")[1]
    assert fed["arena_bytes"] <= rows and fed["verified_bytes"] > 0
    frugal = {
        name: call(capsys, "plan", str(path), "--strategy", name, "--frugal")[1]["arena_bytes"]
        for name in ("layers", "rows")
    }
    least = frugal["layers"]
    assert rows < least <= layers
    for ram, strategy in (("8K", "layers"), (str(least), "layers"), (str(least - 1), "rows")):
        assert call(capsys, "plan", str(path), "--ram", ram)[1]["strategy"] == strategy
    strips = call(capsys, "plan", str(path), "--ram", str(frugal["rows"] - 1), "--verify")[1]
    assert strips["strategy"] == "strips" and strips["arena_bytes"] < frugal["rows"]
    assert strips["extra_macs"] > 0 and strips["parts"]
    code, result, _ = call(
        capsys, "plan", str(path), "--ram", str(frugal["rows"] - 1), "--max-extra-macs", "0"
    )
    assert code == 1
    assert result["error"].startswith(
        f"the arena needs {least:,} bytes layer by layer or {frugal['rows']:,} bytes with row "
        f"streaming, --ram grants {frugal['rows'] - 1:,}; its largest buffer is "
    )


def test_input_by_row_has_the_same_answer(capsys, conv: str) -> None:  # type: ignore[no-untyped-def]
    whole, fed = (
        call(capsys, "run", conv, *extra)[1]["output_sha256"] for extra in ([], ["--input-by-row"])
    )
    assert whole == fed


def test_check_lists_every_refused_node(capsys, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "custom.tflite"
    path.write_bytes(unknown_custom())
    code, result, _ = call(capsys, "check", str(path), "--target", "host")
    assert code == 1
    assert result["ok"] is False
    assert [r["node"] for r in result["refused"]] == [0]
    assert result["refused"][0].keys() == {"node", "operator", "why", "remedy"}


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("grpc", ["split", "run", "digits"]),
        ("grpc", ["serve", "digits"]),
        ("grpc", ["run", "digits", "--target", "split"]),
        ("amaranth", ["run", "digits", "--target", "fpga-sim"]),
        ("amaranth", ["hw", "report"]),
    ],
)
def test_a_missing_package_is_named(package: str, arguments: list[str]) -> None:
    script = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"from midge.tools.cli import main; sys.exit(main({arguments!r}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"needs the Python package '{package}', which is not installed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_runtime_that_cannot_run_a_model_is_named(capsys, conv: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("ai_edge_litert")
    (tmp_path / "bad.tflite").write_bytes(b"no model")
    words = ("--vs", "litert", "--vs-model", str(tmp_path / "bad.tflite"), "--runs", "1")
    code, result, _ = call(capsys, "bench", conv, *words)
    assert code == 1
    assert "litert can't run" in result["error"]


def test_threads_are_measured_against_one(capsys, conv: str) -> None:  # type: ignore[no-untyped-def]
    words = ("--vs", "one-thread", "--threads", "2", "--runs", "3")
    code, result, _ = call(capsys, "bench", conv, *words)
    assert (code, result["threads"], result["vs"]) == (0, 2, "one-thread")
