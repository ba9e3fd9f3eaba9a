"""A program that one processor planned, tuned or not, runs on every other with the same bits."""

from __future__ import annotations

from functools import cache

import build_tflite as build_model
import numpy as np
import pytest
from oracle import random_inputs, tflite_reference

from cases import model
from midge.kernels import tuning
from midge.kernels.native import processor
from midge.runtime.backend import build
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model
from midge.runtime.program import Program
from midge.runtime.program_file import from_bytes, to_bytes

SETS = tuple(processor.SETS)
# Winograd's algorithm makes the first with AVX2 or NEON, and can be chosen for it elsewhere.
MODELS = {
    "conv2d": build_model.conv2d((1, 9, 10, 32), filters=20, activation="RELU"),
    "digits": model("digits").model(),
}


@pytest.fixture
def on(monkeypatch):
    """Sets the instruction set that this process believes to have."""

    def believe(name: str | None) -> None:
        monkeypatch.setenv(processor.VARIABLE, name) if name else monkeypatch.delenv(
            processor.VARIABLE, raising=False
        )
        processor.instruction_set.cache_clear()

    yield believe
    monkeypatch.undo()
    processor.instruction_set.cache_clear()


@cache
def wanted(name: str) -> list[np.ndarray]:
    return tflite_reference(MODELS[name], random_inputs(MODELS[name], 0))


def made(name: str, candidate: str, target: str = "host") -> bytes:
    with tuning.forced(candidate):
        return to_bytes(compile_model(MODELS[name], target, Options(exact=False)))


def kernels(program: Program) -> set[str]:
    return {call.kernel for call in program.calls()}


@pytest.mark.parametrize("candidate", tuning.NAMES)
@pytest.mark.parametrize("name", MODELS)
def test_a_tuned_program_runs_with_the_same_bits(name, candidate):
    program = from_bytes(made(name, candidate))
    executor = build(program)
    for actual, expected in zip(executor.run(random_inputs(MODELS[name], 0)), wanted(name)):
        np.testing.assert_array_equal(actual, expected)
    executor.close()


@pytest.mark.parametrize("there", SETS)
def test_a_program_of_another_instruction_set_runs_with_the_same_bits(on, there):
    on(there)
    content = made("conv2d", tuning.DEFAULT)
    on(None)
    program = from_bytes(content)
    executor = build(program)
    winograd = there in (processor.AVX2, processor.PORTABLE, processor.NEON)
    assert kernels(program) == {"conv2d_winograd_s8" if winograd else "conv2d_vector_s8"}
    (actual,) = executor.run(random_inputs(MODELS["conv2d"], 0))
    np.testing.assert_array_equal(actual, wanted("conv2d")[0])
    executor.close()


@pytest.mark.parametrize("here", SETS)
@pytest.mark.parametrize("candidate", ["winograd", "narrow", "plain"])
def test_every_instruction_set_takes_a_tuned_program(on, here, candidate):
    content = made("conv2d", candidate)
    on(here)
    from_bytes(content)


@pytest.mark.parametrize("target", ["x86-64", "aarch64", "split"])
def test_programs_of_other_targets_are_taken_too(on, target):
    least = {"aarch64": processor.NEON}.get(target, processor.PORTABLE)
    on(least)
    content = made("conv2d", tuning.DEFAULT, target)
    assert kernels(from_bytes(content)) == {"conv2d_winograd_s8"}
    on(processor.AVX512_VNNI)
    assert kernels(from_bytes(content)) == {"conv2d_winograd_s8"}
