"""What each call costs: the parts add up to the whole that was measured without counters."""

from __future__ import annotations

import json
from pathlib import Path

import build_tflite as b
import pytest
from oracle import random_inputs

from cases import model as model_case
from midge.runtime.backend import find_backend
from midge.runtime.errors import MissingTool
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model
from midge.tools.cli import main

DIGITS = model_case("digits")


@pytest.mark.parametrize("options", [{}, {"strategy": "rows"}, {"input_by_row": True}], ids=str)
def test_instructions_of_the_calls_add_up(options: dict) -> None:  # type: ignore[type-arg]
    program = compile_model(DIGITS.model(), "cortex-m4", Options(**options))
    inputs = random_inputs(DIGITS.model(), 0)
    executor = None
    try:
        executor = find_backend("cortex-m4").build(program)
        profile = executor.profile(inputs)  # type: ignore[attr-defined]
    except MissingTool as error:
        pytest.skip(str(error))
    finally:
        if executor is not None:
            executor.close()
    assert [cost.call for cost in profile.calls] == list(program.calls())
    made = sum(cost.passes for cost in profile.calls)
    between = profile.total - sum(cost.cost for cost in profile.calls)
    # Loops step their cursors, rows are copied in, each call's ticks are right to one tick, and the
    # compiler sets parameters anew behind a hook that it could leave where they are without it.
    fed = program.inputs[0].bytes if "input_by_row" in options else 0
    assert -10 * made <= between <= 40 * made + 10 * fed
    assert profile.total > 100_000


def test_state_is_left_as_it_was() -> None:
    model = b.svdf()
    backend = find_backend("cortex-m4")
    inputs = random_inputs(model, 0)
    try:
        executor = backend.build(compile_model(model, "cortex-m4"))
        executor.profile(inputs)  # type: ignore[attr-defined]
        (after,) = executor.run(inputs)
        executor.reset()
        (fresh,) = executor.run(inputs)
        executor.close()
    except MissingTool as error:
        pytest.skip(str(error))
    assert after.tobytes() == fresh.tobytes()


def test_profile_of_the_host_and_its_trace(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    trace = tmp_path / "trace.json"
    model = tmp_path / "digits.tflite"
    model.write_bytes(DIGITS.model())
    assert main(["profile", str(model), "--json", "--trace", str(trace)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["unit"] == "ms"
    assert {"kernel", "node", "operator", "ms", "share"} <= result["calls"][0].keys()
    events = json.loads(trace.read_text())
    assert len(events) == len(result["calls"])
    assert all(event["ph"] == "X" and event["dur"] >= 0 for event in events)
    assert events[-1]["ts"] + events[-1]["dur"] == pytest.approx(
        1e3 * sum(call["ms"] for call in result["calls"])
    )
    assert main(["profile", str(model), "--strategy", "rows"]) == 0
    assert "conv2d" in capsys.readouterr().out


def test_targets_without_a_profile_say_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(b.softmax())
    assert main(["profile", str(model), "--target", "reference", "--json"]) == 1
    assert "target reference has no profile" in json.loads(capsys.readouterr().out)["error"]
