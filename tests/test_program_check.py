"""Hostile programs: whatever a word says, either it is refused or it stays inside the arena."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import build_tflite as b
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import random_inputs

from cases import OPERATORS, Case
from cases import model as model_case
from midge.kernels.host import LINE, HostBackend
from midge.runtime.errors import PlanError, ProgramError
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model
from midge.runtime.program import Call, Loop, Program, Step
from midge.runtime.program_check import check_program
from midge.runtime.program_file import from_bytes, to_bytes

DIGITS = model_case("digits")
STRATEGIES = (
    Options(exact=False),
    Options(exact=False, strategy="rows"),
    Options(exact=False, input_by_row=True),
    Options(exact=False, strategy="auto", max_extra_macs=0.5),
    Options(exact=False, flash=1 << 20),
)


@pytest.mark.parametrize("target", ["host", "cortex-m4"])
@pytest.mark.parametrize("case", OPERATORS, ids=str)
def test_honest_programs_are_taken(case: Case, target: str) -> None:
    model = case.model()
    for options in STRATEGIES:
        try:
            program = compile_model(model, target, options)
        except PlanError:  # not every model can come by row
            continue
        check_program(program, case.name)


def test_a_kernel_by_less_scratch_is_taken_too() -> None:
    model, ram, words = b.conv2d((1, 6, 6, 64), kernel=(1, 1)), 1 << 20, set()
    while True:
        try:
            program = compile_model(model, "cortex-m4", Options(exact=False, ram=ram))
        except PlanError:
            break
        check_program(program, "conv2d")
        words |= {(c.kernel, tuple(c.args)) + (c.args.get("pixels"),) for c in program.calls()}
        ram = program.arena_bytes - 1
    assert len({kernel for kernel, *_ in words}) < len(words)  # one kernel, other numbers


def streamed() -> Program:
    return compile_model(DIGITS.model(), "host", Options(exact=False, strategy="rows"))


PROGRAM = streamed()
LOOP = next(i for i, item in enumerate(PROGRAM.items) if isinstance(item, Loop))
CALL = next(i for i, item in enumerate(PROGRAM.items) if isinstance(item, Call))


def with_item(number: int, item: Call | Loop) -> Program:
    items = list(PROGRAM.items)
    items[number] = item
    return replace(PROGRAM, items=tuple(items))


def with_word(call: Call, name: str, word: object) -> Call:
    return replace(call, args={**call.args, name: word})  # type: ignore[dict-item]


def first_call() -> Call:
    call = PROGRAM.items[CALL]
    assert isinstance(call, Call)
    return call


def loop(**changes: object) -> Loop:
    item = PROGRAM.items[LOOP]
    assert isinstance(item, Loop)
    return replace(item, **changes)  # type: ignore[arg-type]


HOSTILE: dict[str, Callable[[], Program]] = {
    "no such kernel": lambda: with_item(CALL, replace(first_call(), kernel="free")),
    "kernel of another operator": lambda: with_item(CALL, replace(first_call(), kernel="pad_s8")),
    "no such node": lambda: with_item(CALL, replace(first_call(), node=99)),
    "negative node": lambda: with_item(CALL, replace(first_call(), node=-1)),
    "too many rows": lambda: with_item(CALL, with_word(first_call(), "rows", 10_000)),
    "negative rows": lambda: with_item(CALL, with_word(first_call(), "rows", -1)),
    "a word that is none": lambda: with_item(CALL, with_word(first_call(), "rows", 1.5)),
    "cursor before the constants": lambda: with_item(CALL, with_word(first_call(), "y", -4)),
    "cursor behind them": lambda: with_item(CALL, with_word(first_call(), "y", 1 << 30)),
    "weights elsewhere": lambda: with_item(CALL, with_word(first_call(), "weights", 0)),
    "words in another order": lambda: with_item(
        CALL, replace(first_call(), args=dict(reversed(first_call().args.items())))
    ),
    "a loop for ever": lambda: with_item(LOOP, loop(count=10**15)),
    "a loop over nothing": lambda: with_item(LOOP, loop(count=10**15, body=(), steps=())),
    "a step out of the table": lambda: with_item(
        LOOP, loop(steps=(Step(0, next(iter(loop().body[0].args)), 1 << 20),))
    ),
    "a step of no call": lambda: with_item(LOOP, loop(steps=(Step(99, "y", 4),))),
    "the same item twice": lambda: replace(PROGRAM, items=(*PROGRAM.items, *PROGRAM.items)),
    "an arena of few bytes": lambda: replace(
        PROGRAM, arena_bytes=800, buffers=(), addresses=dict.fromkeys(PROGRAM.addresses, 0)
    ),
    "an arena beyond int32": lambda: replace(PROGRAM, arena_bytes=1 << 40),
    "a row table that leaves the arena": lambda: replace(
        PROGRAM, constants=PROGRAM.constants[:-4] + (1 << 30).to_bytes(4, "little")
    ),
    "an unknown target": lambda: replace(PROGRAM, target="cray"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_are_refused(name: str) -> None:
    with pytest.raises(ProgramError):
        from_bytes(to_bytes(HOSTILE[name]()), name)


def test_the_sentence_names_the_word() -> None:
    with pytest.raises(ProgramError) as raised:
        from_bytes(to_bytes(HOSTILE["weights elsewhere"]()), "m.midge")
    call = first_call()
    assert str(raised.value) == (
        f"m.midge: its calls are not those of its graph ({call.kernel} of node {call.node}: "
        "weights is 0); compile the model again"
    )


@given(st.data())
def test_any_word_is_refused_or_harmless(data: st.DataObject) -> None:
    """Programs with a few changed words are run if they are taken, between guards."""
    items = list(PROGRAM.items)
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(0, len(items) - 1))
        item = items[number]
        body = list(item.body) if isinstance(item, Loop) else [item]
        position = data.draw(st.integers(0, len(body) - 1))
        call = body[position]
        name = data.draw(st.sampled_from(sorted(call.args)))
        near = st.integers(-64, 64).map(lambda by, word=call.args[name]: word + by)
        word = data.draw(near | st.integers(-(2**31), 2**31 - 1))
        body[position] = with_word(call, name, word)
        items[number] = replace(item, body=tuple(body)) if isinstance(item, Loop) else body[0]
    program = replace(PROGRAM, items=tuple(items))
    try:
        check_program(program, "fuzzed")
    except ProgramError:
        return
    run_between_guards(program)


@given(st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 255)), min_size=1, max_size=8))
def test_any_constants_are_refused_or_harmless(changes: list[tuple[int, int]]) -> None:
    constants = bytearray(PROGRAM.constants)
    for at, value in changes:
        constants[at % len(constants)] = value
    program = replace(PROGRAM, constants=bytes(constants))
    try:
        check_program(program, "fuzzed")
    except ProgramError:
        return
    run_between_guards(program)


def run_between_guards(program: Program) -> None:
    executor = HostBackend().build(program)
    room = executor.arena.base
    assert room is not None
    guards = np.ones(len(room), bool)
    skipped = -room.ctypes.data % LINE
    guards[skipped : skipped + program.arena_bytes] = False
    room[guards] = 0x55
    executor.run(random_inputs(DIGITS.model(), 0))
    assert (room[guards] == 0x55).all()


def test_a_graph_with_a_node_that_is_refused_is_refused() -> None:
    program = compile_model(b.softmax(), "host")
    tensors = dict(program.graph.tensors)
    index = program.graph.inputs[0]
    tensors[index] = replace(tensors[index], quantization=None)
    with pytest.raises(ProgramError):
        check_program(replace(program, graph=replace(program.graph, tensors=tensors)), "m")
