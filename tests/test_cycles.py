"""The model of Cortex-M4 cycles: its rules, and that its trace sees every instruction."""

from __future__ import annotations

import pytest
from oracle import random_inputs

from cases import model as model_case
from midge.runtime.backend import find_backend
from midge.runtime.errors import MissingTool
from midge.runtime.pipeline import compile_model
from midge.sim.cycles import Cost, instruction_cycles, trace_cost, traced_cost
from midge.targets.boards import emulated_board


@pytest.mark.parametrize(
    ("text", "before", "cycles"),
    [
        ("smlad r2, r8, sb, r2", "", 1),
        ("ldm r0!, {r8, sb, sl}", "", 4),
        ("ldm.w r1!, {r4, r5-r7}", "", 5),
        ("pop.w {r4, r5, pc}", "", 6),
        ("ldrd r0, lr, [sp]", "", 3),
        ("ldr r0, [r1]", "add", 2),
        ("ldrsb r0, [r1]", "str", 1),
        ("ldr r0, [r1]", "ldrd", 2),
        ("ldr.w pc, [sp, #8]", "cmp", 4),
        ("strb r0, [r1], #1", "", 1),
        ("bne.w #0x10", "", 3),
        ("bic r0, r0, #3", "", 1),
        ("bx lr", "", 3),
    ],
)
def test_an_instruction(text: str, before: str, cycles: int) -> None:
    mnemonic, operands = text.split(" ", 1)
    assert instruction_cycles(mnemonic, operands, before) == cycles


def test_a_block_costs_each_time_that_it_runs() -> None:
    listing = [
        "IN: f",
        "0x00000010:  f04f 23e0  mov.w    r3, #0",
        "0x00000014:  4770       bx  lr",
        "",
    ]
    ran = "Trace 0: 0x7fd8b0000100 [00800408/00000010/00000110/ff000200] f"
    other = ran.replace("] f", "] counter_measure")
    assert trace_cost([*listing, ran, ran, other, ran], "f") == Cost(4, 8)
    assert trace_cost([*listing, ran], "g") is None


def test_the_trace_sees_what_the_counter_counts() -> None:
    model = model_case("digits").model()
    try:
        executor = find_backend("cortex-m4").build(compile_model(model, "cortex-m4"))
    except MissingTool as error:
        pytest.skip(str(error))
    inputs = random_inputs(model, 0)
    executor.run(inputs)
    emulator = emulated_board("cortex-m4").emulator
    assert emulator is not None
    with executor._firmware_inputs([inputs]) as folder:  # type: ignore[attr-defined]
        entry = f"midge_{executor.program.name}_run"  # type: ignore[attr-defined]
        cost = traced_cost(
            executor._elf,  # type: ignore[attr-defined]
            emulator.program,
            emulator.machine,
            folder,
            emulator.arguments,
            entry,
        )
    executor.close()
    counted = executor.measurement.instructions
    assert counted is not None
    assert abs(cost.instructions - counted) < 20
    assert 1.2 * counted < cost.cycles < 2 * counted
