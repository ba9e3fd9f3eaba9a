"""The table of cases on every core that generated C is for: one program a core, started once."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from batch import MAIN, Batch, Inferences, write_batch
from general_cases import IN_NUMPY

from cases import CASES, GENERAL, TYPES, Case
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model
from midge.sim.qemu import find_tool, run_firmware, run_tool
from midge.targets.boards import Board, emulated_board
from midge.targets.cortex_m.toolchain import (
    C_FLAGS,
    FIRMWARE,
    OPTIMISE,
    compile_files,
    harness_files,
    library_files,
    link_firmware,
)
from midge.targets.library import from_c
from midge.targets.library.emulated import EMULATORS, ROOTS

BARE_METAL = ("cortex-m0", "cortex-m4", "cortex-m7", "cortex-m55", "rv32imc")
BATCHED = [case for case in CASES if case.small or case.name == "kws_ref_model"]
TYPED = [*BATCHED, *TYPES, *(c for c in GENERAL if c.name not in IN_NUMPY)]
Answers = Mapping[str, list[list[np.ndarray]]]  # case -> by inference, the outputs
# memcpy, memset and what compilers call for arithmetic and branches that the core lacks
ALLOWED_SYMBOLS = re.compile(
    r"midge_\w+|memcpy|memset|__aeabi_\w+|__\w+[sdt][if]\d?|__clzsi2|__gnu_thumb1_case_\w+"
)
Command = Sequence[str | Path]
TIMEOUT_S = 600.0  # that only a hang takes, on however slow a machine
# A step outside an array or beyond the language ends the program.
SANITIZED = (
    "-O1", "-g", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-ffp-contract=off",
    "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
)  # fmt: skip


def write_table(
    target: str, given: Mapping[Case, Inferences], folder: Path, options: Options | None = None
) -> tuple[list[str], Batch]:
    """The names of the cases, and their programs for this target as C."""
    cases = list(given)
    programs = [compile_model(case.model(), target, case.options(options)) for case in cases]
    names = [case.name for case in cases]
    return names, write_batch(programs, list(given.values()), folder, names)


def build_firmware(batch: Batch, board: Board) -> Path:
    """An ELF for the board's emulator, compiled with the flags that models are."""
    others = [*library_files(board), batch.folder / MAIN.name, *harness_files(board, ())]
    objects = compile_files([*batch.models, *others], [batch.folder, FIRMWARE], board, batch.folder)
    for item in objects[: len(batch.models)]:
        assert_pure(item, board.compiler)
    return link_firmware(objects, board, batch.folder, "firmware.elf")


def assert_pure(item: Path, compiler: str) -> None:
    """Compiled C defines no writable data, and needs nothing but memcpy, memset and arithmetic."""
    nm = find_tool(f"{compiler}nm")
    undefined = run_tool([nm, "-u", item], item.parent, TIMEOUT_S).split()[1::2]
    defined = run_tool([nm, "--defined-only", item], item.parent, TIMEOUT_S)
    assert all(ALLOWED_SYMBOLS.fullmatch(symbol) for symbol in undefined), (item.name, undefined)
    assert not re.search(r" [bBdDcCsSgG] ", defined), f"{item.name}: a global that isn't constant"


def on_board(
    target: str, given: Mapping[Case, Inferences], options: Options | None = None
) -> Answers:
    """What the cases answer on the emulated core. Uncounted, which is faster."""
    board = emulated_board(target)
    assert board.emulator is not None
    machine = partial(
        run_firmware,
        program=board.emulator.program,
        machine=board.emulator.machine,
        timeout_s=TIMEOUT_S,
        arguments=board.emulator.arguments,
    )
    with tempfile.TemporaryDirectory() as name:
        names, batch = write_table(target, given, Path(name), options)
        elf = build_firmware(batch, board)
        answers = batch.run(lambda folder: machine(elf, folder=folder))
    return dict(zip(names, answers, strict=True))


def on_linux(
    target: str,
    given: Mapping[Case, Inferences],
    compile_by: Command,
    run_by: Command = (),
    options: Options | None = None,
) -> Answers:
    """What they answer as a program for Linux, of this machine or another that is emulated."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names, batch = write_table(target, given, folder, options)
        program = folder / "program"
        sources = [*batch.models, folder / MAIN.name]
        run_tool([*compile_by, "-std=gnu11", "-o", program, *sources], folder, TIMEOUT_S)
        answers = batch.run(lambda folder: run_tool([*run_by, program], folder, TIMEOUT_S))
    return dict(zip(names, answers, strict=True))


def sanitized(
    target: str, given: Mapping[Case, Inferences], options: Options | None = None
) -> Answers:
    """The C of a core on this machine, where gcc's sanitizers watch each step."""
    return on_linux(target, given, (find_tool("gcc"), *SANITIZED), options=options)


def on_armv7(given: Mapping[Case, Inferences]) -> Answers:
    """The C of target armv7 on an emulated processor."""
    compiler, emulator = find_tool(f"{from_c.COMPILER}gcc"), find_tool(EMULATORS[from_c.ARMV7])
    flags = (*from_c.FLAGS, OPTIMISE, *C_FLAGS)
    return on_linux(from_c.ARMV7, given, (compiler, *flags), (emulator, "-L", ROOTS[from_c.ARMV7]))


def available(cases: list[Case]) -> list[Case]:
    """Those whose model is here."""
    found = []
    for case in cases:
        with suppress(pytest.skip.Exception):
            case.model()
            found.append(case)
    return found
