"""The host and the reference executor as backends: inputs, state, tracing, items."""

from __future__ import annotations

import build_tflite as build
import numpy as np
import pytest
from oracle import random_inputs
from tflite_writer import ModelBuilder

from midge.kernels.host import HostExecutor
from midge.runtime.backend import Executor, find_backend
from midge.runtime.errors import InputError
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model

BACKENDS = ("host", "reference")


def chain() -> bytes:
    """Three convolutions, one after the other."""
    model, rng = ModelBuilder(), np.random.default_rng(3)
    x = last = model.tensor((1, 6, 5, 3), "int8", 0.05, -5)
    for _ in range(3):
        weights = model.constant(rng.integers(-127, 128, (3, 3, 3, 3)), "int8", scale=0.01)
        bias = model.constant(rng.integers(-999, 999, 3), "int32", scale=0.0005)
        y = model.tensor((1, 6, 5, 3), "int8", 0.05, -5)
        model.node("CONV_2D", [last, weights, bias], [y], padding="SAME", stride_h=1, stride_w=1)
        last = y
    return model.build([x], [last])


def executor(model: bytes, backend: str, **options: object) -> Executor:
    return find_backend(backend).build(compile_model(model, backend, Options(**options)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_trace_ends_with_the_answers_of_run(backend):
    model = chain()
    inputs, runner = random_inputs(model), executor(model, backend)
    traced = list(runner.trace(inputs))
    assert [node for node, _, _ in traced] == [0, 1, 2]
    np.testing.assert_array_equal(traced[-1][2], runner.run(inputs)[0])


def test_both_trace_the_same_values():
    model = chain()
    inputs = random_inputs(model)
    traces = [list(executor(model, backend).trace(inputs)) for backend in BACKENDS]
    for (node, tensor, value), (other, index, wanted) in zip(*traces, strict=True):
        assert (node, tensor) == (other, index)
        np.testing.assert_array_equal(value, wanted)


def test_a_streamed_program_runs_again_and_again():
    """Loops step their words; each inference must find them at their start."""
    model = chain()
    runner = executor(model, "host", segments=((0, 1, 2),))
    assert isinstance(runner, HostExecutor)
    assert runner.program.strategy == "rows"
    wanted = executor(model, "reference")
    for seed in range(3):
        inputs = random_inputs(model, seed)
        np.testing.assert_array_equal(runner.run(inputs), wanted.run(inputs))


def test_items_one_by_one_make_the_whole():
    model = chain()
    inputs, runner = random_inputs(model), executor(model, "host")
    assert isinstance(runner, HostExecutor)
    wanted = runner.run(inputs)
    runner.copy_in(inputs)
    for item in range(len(runner.program.items)):
        runner.run_item(item)
    np.testing.assert_array_equal(runner.copy_out(), wanted)


@pytest.mark.parametrize("backend", BACKENDS)
def test_answers_are_copies_and_cost_is_told(backend):
    model = chain()
    runner = executor(model, backend)
    first = runner.run(random_inputs(model, 0))
    kept = first[0].copy()
    runner.run(random_inputs(model, 1))
    np.testing.assert_array_equal(first[0], kept)
    assert runner.measurement.latency_ms is not None
    assert runner.measurement.latency_ms > 0
    runner.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_wrong_inputs_are_named(backend):
    runner = executor(chain(), backend)
    with pytest.raises(InputError, match=r"must be int8 of shape \[1, 6, 5, 3\], not float64"):
        runner.run([np.zeros((1, 6, 5, 3))])


@pytest.mark.parametrize("backend", BACKENDS)
def test_reset_forgets_the_state(backend):
    model = build.svdf()
    runner = executor(model, backend)
    inputs = random_inputs(model)
    first, second = runner.run(inputs), runner.run(inputs)
    assert not np.array_equal(first, second)
    runner.reset()
    np.testing.assert_array_equal(runner.run(inputs), first)


def test_the_arena_starts_at_a_cache_line():
    runner = executor(chain(), "host")
    assert isinstance(runner, HostExecutor)
    assert runner.arena.ctypes.data % 64 == 0
    assert len(runner.arena) == runner.program.arena_bytes
