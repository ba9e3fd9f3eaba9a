"""Faster kernels for more flash: what is spent, what that saves, and that a limit is kept."""

from __future__ import annotations

import json

import build_tflite as build
import pytest
from oracle import random_inputs

from cases import model as model_case
from midge.runtime.backend import find_backend
from midge.runtime.errors import MissingTool, PlanError
from midge.runtime.flash import CODE_BYTES, constant_bytes, spend
from midge.runtime.importers import read_model
from midge.runtime.lowering import Lowered
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model, lower_nodes, rewrite
from midge.runtime.program import Program
from midge.tools.cli import main

TARGET = "cortex-m4"
DIGITS = model_case("digits")
ROOM = 1 << 20


def chosen(model: bytes, flash: int) -> dict[int, Lowered]:
    graph = rewrite(read_model(model), Options())
    return lower_nodes(graph, find_backend(TARGET), flash)


def instructions_of(calls: dict[int, Lowered]) -> int:
    return sum(call.instructions for call in calls.values())


def test_more_flash_is_never_slower_and_never_too_much():
    model = DIGITS.model()
    own = sum(map(constant_bytes, chosen(model, 0).values()))
    last = instructions_of(chosen(model, 0))
    for flash in range(own + CODE_BYTES, own + CODE_BYTES + 80_000, 4_000):
        calls = chosen(model, flash)
        assert sum(map(constant_bytes, calls.values())) <= flash - CODE_BYTES
        assert instructions_of(calls) <= last
        last = instructions_of(calls)
    assert last < 0.9 * instructions_of(chosen(model, 0))


def test_without_flash_nothing_changes():
    graph = rewrite(read_model(DIGITS.model()), Options())
    calls = lower_nodes(graph, find_backend(TARGET))
    assert all(spend(calls, 0)[node] is call for node, call in calls.items())


def test_a_chosen_call_has_the_nodes_own_behind_it():
    for node, call in chosen(DIGITS.model(), ROOM).items():
        own = chosen(DIGITS.model(), 0)[node]
        assert [c.kernel for c in call.choices][-len(own.choices) :] == [
            c.kernel for c in own.choices
        ]


def counted(program: Program, model: bytes) -> dict[tuple[int, str], float]:
    """(node, kernel) -> instructions of one inference in QEMU."""
    try:
        executor = find_backend(TARGET).build(program)
    except MissingTool as error:
        pytest.skip(str(error))
    found: dict[tuple[int, str], float] = {}
    for cost in executor.profile(random_inputs(model, 0)).calls:
        key = cost.call.node, cost.call.kernel
        found[key] = found.get(key, 0) + cost.cost
    executor.close()
    return found


@pytest.mark.parametrize("flash", [None, ROOM], ids=["own", "flash"])
@pytest.mark.parametrize("name", ["digits", "kws_ref_model"])
def test_model_of_instructions_is_near_the_count(name: str, flash: int | None):
    """Near enough to choose by: the kernels that are compared differ by more."""
    model = model_case(name).model()
    program = compile_model(model, TARGET, Options(flash=flash))
    lowered = lower_nodes(program.graph, find_backend(TARGET))
    for (node, kernel), count in counted(program, model).items():
        ways = [how.instructions for how in lowered[node].ways if how.kernel == kernel]
        if ways[0] and count > 10_000:
            assert ways[0] == pytest.approx(count, rel=0.25), (node, kernel)


def test_too_little_flash_is_said(tmp_path, capsys):
    arguments = ["compile", "digits", "--target", TARGET, "-o", str(tmp_path), "--flash"]
    assert main([*arguments, "8K", "--json"]) == 1
    assert "of flash; take a smaller model" in json.loads(capsys.readouterr().out)["error"]
    constants = len(compile_model(DIGITS.model(), TARGET).constants)
    assert main([*arguments, str(constants + 100)]) == 1
    assert "code and constants take" in capsys.readouterr().err
    with pytest.raises(PlanError, match="the weights and tables take"):
        compile_model(build.conv2d(), TARGET, Options(flash=10))


def test_flash_makes_fewer_instructions(capsys):
    counts = []
    for more in ([], ["--flash", "512K"]):
        code = main(["run", "digits", "--target", TARGET, "--json", *more])
        answer = json.loads(capsys.readouterr().out)
        if code and "not installed" in answer["error"]:
            pytest.skip(answer["error"])
        counts.append((answer["output_sha256"], answer["instructions"]))
    assert counts[0][0] == counts[1][0] and counts[1][1] < 0.95 * counts[0][1]
