"""One program, every backend, the same bits."""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
import pytest
from cores import BARE_METAL, BATCHED, TYPED, Answers, available, on_armv7, on_board, sanitized
from oracle import tflite_reference_runs

from cases import CASES, GENERAL, MODELS, OPERATORS, TYPES, Case
from midge.runtime.backend import find_backend
from midge.runtime.errors import MissingTool
from midge.runtime.graph import Graph
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model
from midge.tools.arguments import random_inputs

# The C of a core on this machine, under gcc's sanitizers.
SANITIZERS = {
    "sanitized-m0": "cortex-m0",
    "sanitized-m55": "cortex-m55",
    "sanitized-m7-flash": "cortex-m7",
}
FLASH = {"cortex-m4-flash": "cortex-m4"}  # with flash to spare
# ONNX models round in floats where kernels can, and everywhere else in fixed point.
IN_FLOATS = ("host", "x86-64", "aarch64", "split")
FIXED_POINT = "host-fixed-point"
# A backend is one line: its name, and the cases that it runs in the time that tests have.
BACKENDS = {
    "host": [*CASES, *GENERAL],
    FIXED_POINT: [case for case in CASES if case.name.startswith("onnx")],
    "x86-64": [*MODELS[:3], *OPERATORS[:2]],
    "aarch64": [case for case in CASES if case.small or case.name == "kws_ref_model"],
    **dict.fromkeys(BARE_METAL, TYPED),
    "armv7": BATCHED,
    **dict.fromkeys((*SANITIZERS, *FLASH), BATCHED),
    "sanitized-m0": TYPED,
    "fpga-sim": [case for case in CASES if case.small],
    "split": [*MODELS[:3], *OPERATORS[:2]],
}
EVERY = [*CASES, *TYPES, *GENERAL]
SEEDS = {True: (0, 1, 2), False: (0,)}  # by case.small


def make_inputs(case: Case) -> list[list[np.ndarray]]:
    """The inputs of each inference."""
    graph = read_model(case.model())
    return [boundary_inputs(graph), *(random_inputs(graph, s) for s in SEEDS[case.small])]


@cache
def core_answers(core: str) -> Answers:
    """All cases on a core, at once."""
    given = {case: make_inputs(case) for case in available(BACKENDS[core])}
    options = Options(flash=1 << 22) if core.endswith("flash") else None
    if core in SANITIZERS:
        return sanitized(SANITIZERS[core], given, options)
    return on_armv7(given) if core == "armv7" else on_board(FLASH.get(core, core), given, options)


@lru_cache(maxsize=2)
def expected(
    case: Case, fixed_point: bool = False
) -> tuple[list[list[np.ndarray]], list[list[np.ndarray]]]:
    """Inputs, and what the NumPy reference makes of them, one after the other (state is kept)."""
    inputs = make_inputs(case)
    options = case.options(Options(fixed_point=fixed_point))
    executor = find_backend("reference").build(compile_model(case.model(), "reference", options))
    return inputs, [executor.run(values) for values in inputs]


def by_fixed_point(case: Case, backend: str) -> bool:
    """Whether the backend rounds this case by another rule than the host: a model from ONNX."""
    return case.name.startswith("onnx") and backend not in IN_FLOATS


def boundary_inputs(graph: Graph) -> list[np.ndarray]:
    """Only the least and the greatest value of the type."""
    inputs = random_inputs(graph, 99)
    for i, values in enumerate(inputs):
        if (
            graph.inputs[i] not in graph.fixed_inputs
            and values.dtype.kind in "iu"
            and values.itemsize < 4
        ):
            limits = np.iinfo(values.dtype)
            inputs[i] = np.where(values > 0, limits.max, limits.min).astype(values.dtype)
    return inputs


def assert_same(actual: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    for a, w in zip(actual, wanted, strict=True):
        assert a.dtype == w.dtype
        np.testing.assert_array_equal(a, w)


@pytest.mark.parametrize("case", [case for case in EVERY if case.builtin], ids=str)
def test_reference_has_the_bits_of_tflite(case: Case) -> None:
    inputs, outputs = expected(case)
    for actual, wanted in zip(outputs, tflite_reference_runs(case.model(), inputs), strict=True):
        assert_same(actual, wanted)


@pytest.mark.parametrize(
    ("backend", "case"),
    [(name, case) for case in EVERY for name, cases in BACKENDS.items() if case in cases],
    ids=str,
)
def test_same_bits(backend: str, case: Case) -> None:
    if any(BACKENDS[backend] is each for each in (BATCHED, TYPED)):
        assert_batched(backend, case)
        return
    try:
        program = compile_model(
            case.model(),
            backend.removesuffix("-fixed-point"),
            case.options(Options(fixed_point=backend == FIXED_POINT)),
        )
        executor = find_backend(program.target).build(program)
    except MissingTool as error:
        pytest.skip(str(error))
    try:
        for values, wanted in zip(*expected(case, by_fixed_point(case, backend)), strict=True):
            assert_same(executor.run(values), wanted)
    finally:
        executor.close()


def assert_batched(core: str, case: Case) -> None:
    _, wanted = expected(case, by_fixed_point(case, core))
    try:
        answers = core_answers(core)[case.name]
    except MissingTool as error:
        pytest.skip(str(error))
    for outputs, right in zip(answers, wanted, strict=True):
        assert_same(outputs, right)
