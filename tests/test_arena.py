"""What a plan states is what is used: poisoned arenas, guards, and the bytes on the board."""

from __future__ import annotations

import re
from dataclasses import replace

import build_tflite as b
import numpy as np
import pytest
from c_call import CTwin
from guarded import PATTERNS, guard, guarded
from oracle import random_inputs

from cases import MODELS, Case
from midge.runtime.backend import find_backend
from midge.runtime.errors import ExecutionError, MissingTool
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model
from midge.sim.qemu import find_tool, run_tool

DIGITS = MODELS[0]
FAST = ("digits", "kws_ref_model", "str_ww_ref_model", "micro_speech_quantized", "mnist_lstm_int8")
STRATEGIES = (
    Options(strategy="layers"),
    Options(strategy="rows"),
    Options(input_by_row=True),
    Options(input_by_row=True, max_extra_macs=0.1),
)


def tool(name: str) -> str:
    try:
        return str(find_tool(name))
    except MissingTool as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("case", [m for m in MODELS if m.name in FAST], ids=str)
def test_no_answer_depends_on_what_the_arena_held(case: Case) -> None:
    model = case.model()
    reference = find_backend("reference").build(compile_model(model, "reference"))
    inputs = random_inputs(model, 0)
    wanted = reference.run(inputs)
    for options in STRATEGIES:
        program = compile_model(model, "host", options)
        executor = find_backend("host").build(program)
        for seed in PATTERNS:
            arena = guard(executor, seed)
            given = [x.reshape(t.shape) for x, t in zip(inputs, program.inputs, strict=True)]
            for actual, expected in zip(executor.run(given), wanted, strict=True):
                np.testing.assert_array_equal(actual, expected, err_msg=str(options))
            arena.check()
        executor.close()


def test_a_write_outside_is_noticed() -> None:
    found = guarded(10)
    found.arena[:] = 0
    found.check()
    found.arena.base[(found.arena.ctypes.data - found.arena.base.ctypes.data) + 10] ^= 1
    with pytest.raises(AssertionError, match="outside"):
        found.check()


def test_a_c_kernel_that_writes_outside_is_noticed() -> None:
    tool("gcc")
    program = compile_model(b.conv2d(), "cortex-m4", Options(strategy="layers"))
    twin = CTwin(program)
    twin.run(random_inputs(b.conv2d(), 0))
    short = CTwin(replace(program, arena_bytes=program.arena_bytes - 16))
    with pytest.raises((AssertionError, ValueError)):
        short.run(random_inputs(b.conv2d(), 0))


@pytest.mark.parametrize("options", STRATEGIES[1:3], ids=lambda o: o.strategy or "by row")
def test_the_board_uses_the_bytes_that_the_plan_states(options: Options) -> None:
    for name in ("arm-none-eabi-gcc", "qemu-system-arm"):
        tool(name)
    program = compile_model(DIGITS.model(), "cortex-m4", options)
    top = max(buffer.offset + buffer.size for buffer in program.buffers)
    assert program.arena_bytes - program.alignment < top <= program.arena_bytes
    executor = find_backend("cortex-m4").build(program)
    folder = executor.report.files[0].parent  # type: ignore[attr-defined]
    header = next(folder.glob(f"{program.name}.h")).read_text()
    assert int(re.search(r"_ARENA_BYTES (\d+)", header)[1]) == program.arena_bytes  # type: ignore[index]
    symbols = run_tool([tool("arm-none-eabi-nm"), "-S", executor._elf], folder, 60)  # type: ignore[attr-defined]
    (size,) = re.findall(r"^\w+ (\w+) \w midge_arena$", symbols, re.MULTILINE)
    assert int(size, 16) == program.arena_bytes
    inputs = [np.zeros(t.shape, np.int8) for t in program.inputs]
    assert executor.run(inputs)
    assert executor.stack_bytes > 0  # type: ignore[attr-defined]
    executor.close()
    short = replace(program, arena_bytes=program.arena_bytes - 32)
    executor = find_backend("cortex-m4").build(short)
    with pytest.raises(ExecutionError, match="outside its arena"):
        executor.run(inputs)
    executor.close()
