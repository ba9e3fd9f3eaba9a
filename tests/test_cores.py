"""What every core's firmware keeps: exact counts, and C that a checker finds nothing in.

The bits of every case on every core are in test_same_bits.py.
"""

from __future__ import annotations

from pathlib import Path

import build_tflite as build
import numpy as np
import pytest
from cores import BARE_METAL

from midge.runtime.errors import MissingTool
from midge.runtime.pipeline import compile_model
from midge.sim import qemu
from midge.targets.boards import emulated_board
from midge.targets.cortex_m.backend import write_sources
from midge.targets.cortex_m.sources import c_kernels, sources
from midge.targets.cortex_m.toolchain import (
    FIRMWARE,
    compile_files,
    harness_files,
    library_files,
    link_firmware,
)


@pytest.fixture(params=BARE_METAL)
def board(request):
    board = emulated_board(request.param)
    try:
        qemu.find_tool(f"{board.compiler}gcc")
        qemu.find_tool(board.emulator.program)
    except MissingTool as error:
        pytest.skip(str(error))
    return board


def run_main(text: str, board, folder: Path) -> bytes:
    """What a firmware of this main program wrote to output.bin."""
    main = folder / "main_under_test.c"
    main.write_text(text)
    files = [main, *library_files(board), *harness_files(board, ())]
    objects = compile_files(files, [FIRMWARE], board, folder)
    elf, emulator = link_firmware(objects, board, folder, "firmware.elf"), board.emulator
    qemu.run_firmware(
        elf, emulator.program, emulator.machine, folder, emulator.icount_shift, 60,
        emulator.arguments,
    )  # fmt: skip
    output = folder / "output.bin"
    return output.read_bytes() if output.exists() else b""


def test_count_is_exact(board, tmp_path):
    """Loops of two instructions a pass."""
    text = (FIRMWARE / "calibrate.c").read_text().replace("1000000000", "20000000")
    records = np.frombuffer(run_main(text, board, tmp_path), "<u8").reshape(-1, 3)
    scale = board.emulator.ticks_per_instruction
    counted = {int(n): round(spent / scale) - round(call / scale) for n, spent, call in records}
    assert counted == {n: 2 * n for n in (1, 2, 3, 10**3, 10**6, 10**7, 2 * 10**7)}


def test_fault_is_reported(board, tmp_path):
    """An instruction that no core has."""
    trap = "unimp" if board.target == "rv32imc" else "udf #0"
    bad = f'int main(void) {{ __asm__ volatile("{trap}"); return 0; }}'
    with pytest.raises(qemu.ExecutionError, match=r"code 99\): fault pc=[0-9a-f]{8} "):
        run_main(bad, board, tmp_path)


def test_cppcheck_finds_nothing(tmp_path):
    """In all kernels, and in models as they are printed."""
    try:
        cppcheck = qemu.find_tool("cppcheck")
    except MissingTool as error:
        pytest.skip(str(error))
    write_sources(compile_model(build.svdf(), "cortex-m4"), tmp_path)
    for name, text in sources(c_kernels().keys()).items():
        (tmp_path / name).write_text(text)
    checks = ["--enable=warning,portability", "--std=c99", "-D__GNUC__", "--error-exitcode=1"]
    for extension in ((), ("-D__ARM_FEATURE_DSP", "-D__thumb2__"), ("-D__ARM_FEATURE_MVE",)):
        qemu.run_tool([cppcheck, "-q", *checks, *extension, "."], tmp_path, 120)
