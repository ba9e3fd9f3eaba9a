"""Several threads give the bits of one, whoever makes which piece."""

from __future__ import annotations

import gc
import random
import threading
import time
from dataclasses import replace

import build_tflite as build_model
import numpy as np
import pytest
from oracle import random_inputs

from cases import OPERATORS, model
from midge import Interpreter
from midge.kernels import pieces as rules
from midge.kernels import tuning
from midge.kernels.host import HostExecutor
from midge.kernels.native.dispatch import Dispatcher
from midge.kernels.threads import DESCRIPTOR, Account
from midge.runtime.backend import build, elsewhere, find_backend
from midge.runtime.errors import TargetError
from midge.runtime.lowering import Cursor
from midge.runtime.options import PARALLEL, Options
from midge.runtime.pipeline import compile_model, lower_nodes
from midge.tools.arguments import random_inputs as values_for

NAMES = ("kws_ref_model", "pretrainedResnet_quant", "mobilenetv2_160_035")


@pytest.fixture(autouse=True)
def pieces_of_anything(monkeypatch):
    """However small, so that the small models are shared too."""
    monkeypatch.setattr(rules, "LEAST_NS", 1)
    monkeypatch.setattr(rules, "LEAST_SHARED_NS", 0)


@pytest.fixture(autouse=True)
def always_together(monkeypatch):
    """Whatever else the machine does."""
    monkeypatch.setattr(Account, "pays", lambda _: True)
    monkeypatch.setattr(Account, "enter", lambda *_: None)


@pytest.mark.parametrize("threads", [2, 3, 5])
@pytest.mark.parametrize("name", NAMES[:2])
def test_same_bits(name, threads):
    content = model(name).model()
    alone = build(compile_model(content, "host"))
    shared = build(compile_model(content, "host", PARALLEL), threads)
    assert isinstance(shared, HostExecutor)
    assert shared.team is not None
    for seed in range(40):
        inputs = random_inputs(content, seed)
        if seed % 10 == 0:
            time.sleep(0.01)  # followers fall asleep
        for one, other in zip(alone.run(inputs), shared.run(inputs), strict=True):
            np.testing.assert_array_equal(one, other)
    shared.close()


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_phase_is_the_same_in_any_order_of_its_pieces(name, apart, threads):
    """No piece needs what another of its phase makes, nor writes over what it reads."""
    content, inputs = model(name).model(), random_inputs(model(name).model())
    program = compile_model(content, "host", replace(PARALLEL, apart=apart))
    phases = rules.phases_of(program, threads)
    assert len(phases) < len(program.items)
    assert [n for phase in phases for n in phase.items] == list(range(len(program.items)))
    executor = build(program)
    wanted, draw = executor.run(inputs), random.Random(0)
    for _ in range(5):
        executor.arena[:] = 77
        executor.copy_in(inputs)
        for phase in phases:
            runs = phase.pieces or [[program.items[n] for n in phase.items]]
            for run in draw.sample(runs, len(runs)):
                Dispatcher(run, executor.arena, executor._constants).run_all()
        for one, other in zip(executor.copy_out(), wanted, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("case", OPERATORS, ids=str)
def test_operators_are_the_same_in_any_order_of_their_pieces(case):
    assert_pieces(compile_model(case.model(), "host", replace(PARALLEL, exact=False)))


def test_winograds_algorithm_is_cut_between_its_tiles():
    content = build_model.conv2d((1, 18, 9, 32), filters=20)
    with tuning.forced("winograd"):
        program = compile_model(content, "host", replace(PARALLEL, exact=False))
    pieces = rules.pieces_of(program, program.items[0], 3)
    assert [(piece.kernel, piece.args["rows"]) for piece in pieces] == [
        ("conv2d_winograd_s8", rows) for rows in (8, 8, 2)
    ]
    assert_pieces(program)
    content = build_model.conv2d((1, 18, 9, 32), filters=20, dtype="float32")
    program = compile_model(content, "host", replace(PARALLEL, exact=False, winograd=True))
    pieces = rules.pieces_of(program, program.items[0], 3)
    assert [(p.kernel, p.args["rows"]) for p in pieces] == [
        ("winograd_conv2d_f32", rows) for rows in (8, 8, 2)
    ]
    assert_pieces(program)


def assert_pieces(program):
    pieces = {n: rules.pieces_of(program, i, 3, small=True) for n, i in enumerate(program.items)}
    if not any(pieces.values()):
        return
    inputs = values_for(program.graph, 0)
    executor = build(program)
    assert isinstance(executor, HostExecutor)
    wanted, draw = executor.run(inputs), random.Random(0)
    executor.reset()
    executor.copy_in(inputs)
    for number, own in pieces.items():
        for piece in draw.sample(own, len(own)):
            Dispatcher([piece], executor.arena, executor._constants).run_all()
        if not own:
            executor.run_item(number)
    for one, other in zip(executor.copy_out(), wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_vector_kernel_by_rows_is_made_in_pieces():
    """By the cursors that its own lowering states. Those that take all rows at once can't be."""
    host, known = find_backend("host"), set(rules._CURSORS)
    seen = set()
    for case in OPERATORS:
        program = compile_model(case.model(), "host", Options(exact=False))
        for number, how in lower_nodes(program.graph, host).items():
            for way in (*how.ways, *elsewhere(host, program.graph, program.graph.nodes[number])):
                if not way.by_rows or way.takes:
                    continue
                cursors = {n: f.step for n, f in way.fields.items() if isinstance(f, Cursor)}
                if way.kernel in known:
                    stated = rules._CURSORS[way.kernel]
                    steps = {n: way.fields[by] if by else 1 for n, by in stated.items()}
                    assert cursors == steps, way.kernel
                    seen.add(way.kernel)
                else:
                    assert "_vector_" not in way.kernel and "winograd" not in way.kernel
    assert len(seen) >= 25


def test_threads_run_together_while_that_pays(monkeypatch):
    monkeypatch.undo()

    def counted(alone: int, together: int, runs: int = 1000) -> int:
        account, shared = Account(), 0
        for _ in range(runs):
            both = account.pays()
            shared += both
            account.enter(both, together if both else alone)
        return shared

    assert counted(100_000, 60_000) > 990
    assert counted(100_000, 3_000_000) < 25
    assert counted(100_000, 105_000) < 500


def test_followers_take_pieces():
    content = model(NAMES[2]).model()
    program = compile_model(content, "host", PARALLEL)
    shared, inputs = build(program, 2), random_inputs(content)
    assert isinstance(shared, HostExecutor) and shared.team is not None
    follower = shared.team._descriptors[1]
    deadline = time.monotonic() + 120
    while not follower[DESCRIPTOR.end]:  # the words that it ran last
        shared.run(inputs)
        assert time.monotonic() < deadline
    shared.close()


def test_an_output_over_its_input_is_made_by_one():
    content = build_model.conv2d((1, 16, 16, 16), filters=16, kernel=(1, 1))
    plans = [Options(strategy="layers"), PARALLEL]
    programs = [compile_model(content, "host", options) for options in plans]
    counts = [len(rules.pieces_of(program, program.items[0], 2)) for program in programs]
    assert counts == [0, 2]


def test_threads_end_with_their_executor():
    content = model(NAMES[0]).model()
    before = threading.active_count()
    for _ in range(3):
        interpreter = Interpreter(model_content=_bytes(content), num_threads=3)
        interpreter.allocate_tensors()
        interpreter.invoke()
    del interpreter
    gc.collect()
    assert threading.active_count() == before


def _bytes(content):  # type: ignore[no-untyped-def]
    return content if isinstance(content, bytes) else content.read_bytes()


def test_small_programs_stay_on_one_thread(monkeypatch):
    monkeypatch.undo()
    program = compile_model(model("str_ww_ref_model").model(), "host", PARALLEL)
    executor = build(program, 2)
    assert isinstance(executor, HostExecutor) and executor.team is None
    executor.close()


def test_other_targets_run_on_one_thread():
    program = compile_model(model(NAMES[0]).model(), "reference")
    with pytest.raises(TargetError, match="target reference runs on one thread, not 2"):
        build(program, 2)
