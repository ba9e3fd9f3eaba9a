"""Loops that ask while they run: where they end, what is refused, and how programs keep them.

Their bits are in `general_cases.py`, on every target.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import build_loops as loops
import numpy as np
import pytest
from tflite_writer import ModelBuilder

from midge.kernels import while_loop
from midge.kernels.model import Model
from midge.runtime.backend import build, find_backend
from midge.runtime.errors import (
    ExecutionError,
    MissingTool,
    PlanError,
    ProgramError,
    UnsupportedModel,
)
from midge.runtime.importers import read_model
from midge.runtime.options import Grant, Options
from midge.runtime.pipeline import compile_model
from midge.runtime.program import Call, Program
from midge.runtime.program_file import from_bytes, to_bytes
from midge.runtime.while_loop import ENDLESS, MOST_TURNS, WHILE
from midge.tools.arguments import random_inputs
from midge.tools.cli import main

ENDS, ENDLESS_MODEL = loops.counted(), loops.loop(step=0)


def inputs_of(model: bytes) -> list[np.ndarray]:
    return random_inputs(read_model(model), 1)


@pytest.mark.parametrize("target", ["reference", "host", "cortex-m4"])
def test_a_loop_without_end_is_an_error(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if target == "reference":  # so many turns of NumPy's take seconds
        monkeypatch.setattr(while_loop, "MOST_TURNS", 100)
    program = compile_model(ENDLESS_MODEL, target)
    assert [node.op for node in program.graph.nodes] == [WHILE]
    try:
        executor = build(program)
    except MissingTool as error:
        pytest.skip(str(error))
    with pytest.raises(ExecutionError) as error:
        executor.run(inputs_of(ENDLESS_MODEL))
    executor.close()
    assert str(error.value) == ENDLESS


def test_the_most_turns_are_no_error() -> None:
    """Counting to a number takes as many turns; one more is too many, and the next run is right."""
    executor = build(compile_model(loops.stepping(), "host"))
    assert executor.run([np.array([MOST_TURNS], np.int32)])[0] == MOST_TURNS
    with pytest.raises(ExecutionError):
        executor.run([np.array([MOST_TURNS + 1], np.int32)])
    assert executor.run([np.array([7], np.int32)])[0] == 7


def test_bytes_in_bytes_out_end_with_an_error_too() -> None:
    model = Model(loops.stepping())
    with pytest.raises(ExecutionError):
        model.run(np.array([MOST_TURNS + 1], np.int32))
    assert model.run(np.array([7], np.int32)) == [np.array([7], np.int32).tobytes()]


@pytest.mark.parametrize("target", ["host", "cortex-m4"])
def test_saved_programs_keep_their_parts(target: str) -> None:
    program = compile_model(ENDS, target)
    again = from_bytes(to_bytes(program))
    assert to_bytes(again) == to_bytes(program)
    (inner,) = [call for part in loop_of(again).parts for call in part.calls() if call.parts]
    assert [len(list(part.calls())) for part in inner.parts] == [1, 4]


def loop_of(program: Program) -> Call:
    (call,) = [call for call in program.calls() if call.parts]
    return call


@pytest.mark.parametrize("word", ["memory", "condition", "body", "given_1", "state_2"])
def test_a_word_of_a_loop_that_lies_is_found(word: str) -> None:
    program = compile_model(ENDS, "host")
    call = loop_of(program)
    lying = replace(call, args={**call.args, word: 1 << 20})
    items = tuple(lying if item is call else item for item in program.items)
    with pytest.raises(ProgramError, match=f"while_loop of node 1: {word} is 1048576"):
        from_bytes(to_bytes(replace(program, items=items)))


def test_a_word_inside_a_part_that_lies_is_found() -> None:
    program = compile_model(loops.shrinking(), "host")
    call = loop_of(program)
    condition, body = call.parts
    (first, *others) = body.items
    assert isinstance(first, Call)
    name = next(iter(first.args))
    changed = replace(body, items=(replace(first, args={**first.args, name: 1 << 20}), *others))
    items = tuple(
        replace(call, parts=(condition, changed)) if item is call else item
        for item in program.items
    )
    with pytest.raises(ProgramError, match="a part of it"):
        from_bytes(to_bytes(replace(program, items=items)))


@pytest.mark.parametrize(
    "options",
    [Options(input_by_row=True), Options(memories=(Grant("a", 1000), Grant("b", 1000)))],
    ids=["by row", "memories"],
)
def test_what_loops_are_not_planned_for(options: Options) -> None:
    with pytest.raises(PlanError, match="planned for whole inputs in one memory: leave out"):
        compile_model(ENDS, "cortex-m4", options)


@pytest.mark.parametrize("target", ["x86-64", "armv7", "interpreter"])
def test_targets_without_loops_say_so(target: str) -> None:
    backend, graph = find_backend(target), read_model(ENDS)
    refusal = backend.refuse(graph, graph.nodes[1])
    assert refusal is not None and refusal.operator == WHILE
    assert "does not end" in refusal.why or "no rule" in refusal.why


def looping(*body: tuple[str, tuple[int, ...]]) -> bytes:
    """As long as a number is over itself: operators of the body, each on the last one's answer."""
    model = ModelBuilder()
    part = ModelBuilder()
    x, goes_on = part.tensor((1,), "float32"), part.tensor((1,), "bool")
    part.node("GREATER", [x, x], [goes_on])
    condition = model.part(part, [x], [goes_on])
    part = ModelBuilder()
    given = last = part.tensor((1,), "float32")
    for op, shape in body:
        made = part.tensor(shape, "float32")
        part.node(op, [last, last], [made])
        last = made
    number = model.part(part, [given], [last])
    x, y = model.tensor((1,), "float32"), model.tensor((1,), "float32")
    model.node(
        "WHILE", [x], [y], options_type="WhileOptions", cond_subgraph_index=condition,
        body_subgraph_index=number,
    )  # fmt: skip
    return model.build([x], [y])


def test_states_that_grow_are_refused() -> None:
    with pytest.raises(UnsupportedModel) as error:
        read_model(looping(("CONCATENATION", (2,))))
    (refusal,) = error.value.refusals
    assert refusal.node == 0
    assert refusal.why.startswith("its state 0 is float32[1] first and float32[2] after a turn")


def test_every_operator_of_a_body_that_is_refused_is_named() -> None:
    with pytest.raises(UnsupportedModel) as error:
        read_model(looping(("HASHTABLE_FIND", (1,)), ("ADD", (1,)), ("HASHTABLE_SIZE", (1,))))
    found = [(refusal.node, refusal.operator) for refusal in error.value.refusals]
    assert found == [(0, "HASHTABLE_FIND"), (0, "HASHTABLE_SIZE")]


def test_inspect_shows_both_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, page = tmp_path / "loop.tflite", tmp_path / "loop.html"
    model.write_bytes(ENDS)
    assert main(["inspect", str(model), "--html", str(page), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    outer = found["operators"][1]["attributes"]
    inner = outer["body"][0 if outer["body"][0]["operator"] == WHILE else 1]
    assert [node["operator"] for node in inner["attributes"]["condition"]] == ["less"]
    # Of four bytes: two first counts, two steps, the modulus, and the half of the inner body.
    assert found["parameter_bytes"] == 4 * 6
    assert "while_loop" in page.read_text()
