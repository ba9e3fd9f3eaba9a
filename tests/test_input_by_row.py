"""Programs that take their input row by row, on the emulated board and as printed C."""

from __future__ import annotations

import ctypes
from pathlib import Path

import build_tflite as b
import numpy as np
import pytest
from c_call import aligned, compile_library
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import networks
from test_segments import assert_reference, inputs_of

from midge.runtime.backend import find_backend
from midge.runtime.errors import PlanError, ToolError
from midge.runtime.feeding import FEED
from midge.runtime.graph import Graph, Tensor
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_graph, compile_model
from midge.runtime.program import Program
from midge.sim.qemu import find_tool
from midge.targets.cortex_m.printer import print_model
from midge.targets.cortex_m.sources import sources

BY_ROW = Options(input_by_row=True)
OK, NO_ARENA, WRONG_ROWS = 0, 1, 4


def printed(program: Program, folder: Path) -> ctypes.CDLL:
    """The model's C, compiled for this machine."""
    try:
        find_tool("gcc")
    except ToolError as error:
        pytest.skip(str(error))
    kernels = {call.kernel for call in program.calls()} - {FEED}
    library = compile_library(print_model(program) | sources(kernels), folder)
    library.midge_model_output.restype = ctypes.c_void_p
    return library


def outputs_of(library: ctypes.CDLL, arena: np.ndarray, program: Program) -> list[np.ndarray]:
    found = []
    for number, tensor in enumerate(program.outputs):
        at = library.midge_model_output(ctypes.c_void_p(arena.ctypes.data), number)
        found.append(np.frombuffer(ctypes.string_at(at, tensor.bytes), np.int8))
    return [value.reshape(t.shape) for value, t in zip(found, program.outputs, strict=True)]


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(networks(), st.data())
def test_printed_c_takes_rows_in_pieces(
    tmp_path_factory: pytest.TempPathFactory, model: bytes, data: st.DataObject
) -> None:
    program = compile_model(model, "cortex-m4", BY_ROW)
    library = printed(program, tmp_path_factory.mktemp("c"))
    arena = aligned(program.arena_bytes, 0x5A)
    where = ctypes.c_void_p(arena.ctypes.data)
    assert library.midge_model_init(where, ctypes.c_size_t(len(arena))) == OK
    rows = inputs_of(program)[0][0]

    def push(begin: int, count: int) -> int:
        at = ctypes.c_void_p(rows[begin:].ctypes.data)
        return int(library.midge_model_push_rows(where, at, count))

    for _ in range(2):
        taken = 0
        while taken < len(rows):
            assert push(0, len(rows) - taken + 1) == WRONG_ROWS
            count = data.draw(st.integers(1, len(rows) - taken))
            assert push(taken, count) == OK
            taken += count
        assert_reference(outputs_of(library, arena, program), model)
    assert library.midge_model_push_rows(where, None, 1) == WRONG_ROWS
    assert library.midge_model_push_rows(None, where, 1) == NO_ARENA


def test_the_board_has_the_same_bits() -> None:
    model = b.conv2d((1, 9, 7, 3), stride=(2, 2))
    program = compile_model(model, "cortex-m4", BY_ROW)
    assert all(buffer.kind != "input" for buffer in program.buffers if buffer.size >= 9 * 7 * 3)
    try:
        executor = find_backend("cortex-m4").build(program)
    except ToolError as error:
        pytest.skip(str(error))
    inputs = inputs_of(program)
    for answer in executor.run_many([inputs, inputs]):  # type: ignore[attr-defined]
        assert_reference(answer, model)
    executor.close()


def test_a_program_that_takes_rows_is_saved(tmp_path: Path) -> None:
    model = b.conv2d((1, 9, 7, 3))
    program = compile_model(model, "host", BY_ROW)
    program.save(tmp_path / "p")
    executor = find_backend("host").build(Program.load(tmp_path / "p"))
    assert_reference(executor.run(inputs_of(program)), model)


@pytest.mark.parametrize("model", [b.softmax((1, 10)), b.softmax((3, 2, 4)), b.fully_connected()])
def test_what_is_no_image_comes_as_one_row(model: bytes, tmp_path: Path) -> None:
    program = compile_model(model, "cortex-m4", BY_ROW)
    (tensor,) = program.inputs
    assert tensor.shape == (1, 1, 1, tensor.elements)
    library, arena = printed(program, tmp_path), aligned(program.arena_bytes, 0x33)
    at, row = ctypes.c_void_p(arena.ctypes.data), inputs_of(program)[0]
    assert library.midge_model_init(at, len(arena)) == OK
    push = library.midge_model_push_rows
    for _ in range(2):
        assert push(at, ctypes.c_void_p(row.ctypes.data), 2) == WRONG_ROWS
        assert push(at, ctypes.c_void_p(row.ctypes.data), 1) == OK
        assert_reference(outputs_of(library, arena, program), model)
    whole = compile_model(model, "cortex-m4", Options(strategy="layers"))
    assert program.arena_bytes == whole.arena_bytes


def nothing_to_do() -> Graph:
    """A graph whose output is its input."""
    tensor = Tensor(0, "x", (1, 4, 4, 1), "int8")
    return Graph((), {0: tensor}, (0,), (0,))


def test_what_cannot_come_by_row_is_refused() -> None:
    with pytest.raises(PlanError, match="is an output too, and can't be fed by row"):
        compile_graph(nothing_to_do(), "host", BY_ROW)
    with pytest.raises(PlanError, match="a model of 2 inputs can't be fed by row"):
        compile_model(b.arithmetic("ADD"), "host", BY_ROW)
    with pytest.raises(PlanError, match="target fpga-sim takes whole inputs"):
        compile_model(b.conv2d(), "fpga-sim", BY_ROW)
