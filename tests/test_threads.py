"""Several threads give the bits of one, whoever makes which piece."""

from __future__ import annotations

import gc
import threading
import time

import build_tflite as build_model
import numpy as np
import pytest
from oracle import random_inputs

from cases import model
from midge import Interpreter
from midge.kernels import pieces as rules
from midge.kernels.host import HostExecutor
from midge.kernels.threads import DESCRIPTOR
from midge.runtime.backend import build
from midge.runtime.errors import TargetError
from midge.runtime.options import PARALLEL, Options
from midge.runtime.pipeline import compile_model

NAMES = ("kws_ref_model", "pretrainedResnet_quant", "mobilenetv2_160_035")


@pytest.fixture(autouse=True)
def pieces_of_anything(monkeypatch):
    """However small, so that the small models are shared too."""
    monkeypatch.setattr(rules, "LEAST_NS", 1)
    monkeypatch.setattr(rules, "LEAST_SHARED_NS", 0)


@pytest.mark.parametrize("threads", [2, 3, 5])
@pytest.mark.parametrize("pieces", [1, 4])
@pytest.mark.parametrize("name", NAMES[:2])
def test_same_bits(name, threads, pieces, monkeypatch):
    monkeypatch.setattr(rules, "PIECES", pieces)
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


def test_followers_take_pieces():
    content = model(NAMES[2]).model()
    program = compile_model(content, "host", PARALLEL)
    shared, inputs = build(program, 2), random_inputs(content)
    assert isinstance(shared, HostExecutor) and shared.team is not None
    follower = shared.team._descriptors[1]
    deadline = time.monotonic() + 30
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
