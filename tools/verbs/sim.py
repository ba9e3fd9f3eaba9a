"""`midge sim MODEL`: the accelerator, cycle by cycle; with `--serial` an emulated board."""

from __future__ import annotations

import argparse
import signal
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from ...runtime.errors import TargetError
from ...sim.qemu import serial_board
from ...sim.serial_line import SerialLine
from ...targets.boards import Board, emulated_board, find_board
from ...targets.cortex_m.image import build_image
from ...targets.cortex_m.mlperf import Device
from .. import accelerator_sim
from ..arguments import add_model, add_planning, compile_for
from .compile import named

HELP = (
    "count a model's cycles on the simulated accelerator; --serial: firmware on an emulated board"
)

_held: list[tuple[ExitStack, subprocess.Popen[str]]] = []


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_planning(parser)
    for size in ("rows", "columns"):
        parser.add_argument(
            f"--{size}", type=int, default=8, metavar="N", help="of the array (default 8)"
        )
    parser.add_argument(
        "--wave",
        metavar="BLOCK[:START-END]",
        help="write the waveform of a block's signals (`dma`, `accelerator.engine.weights`), in "
        "all cycles or those from START up to END, for GTKWave; slower",
    )
    parser.add_argument(
        "-o", "--output", metavar="F.vcd", help="the waveform's file (default BLOCK.vcd)"
    )
    parser.add_argument(
        "--html", metavar="F", help="write roofline, use and stalls as one HTML page"
    )
    parser.add_argument(
        "--serial",
        action="store_true",
        help="run the firmware on an emulated board instead, which speaks MLPerf Tiny's protocol "
        "over a pseudo-terminal, until Ctrl-C",
    )
    parser.add_argument(
        "--board", metavar="B", help="with --serial: one of `midge boards` (default: a Cortex-M4)"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.serial:
        return _serial(args)
    if args.board:
        raise TargetError("--board is an emulated board's name and needs --serial")
    if args.output and not args.wave:
        raise TargetError("-o is the waveform's file and needs --wave")
    return accelerator_sim.run(args)


def _serial(args: argparse.Namespace) -> dict[str, Any]:
    board = find_board(args.board) if args.board else emulated_board("cortex-m4")
    if board.emulator is None:
        raise TargetError(f"{board.name} is not emulated; `midge flash` is for boards on a cable")
    program = named(compile_for(args, board.target), None, args.model)
    stack = ExitStack()
    try:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="midge-")))
        image = build_image(program, board, folder)
        port, process = stack.enter_context(emulation(board, image.elf))
        # What the firmware says at its start is taken here, so that the first reply that a user
        # reads is to the first command. The line stays open: QEMU waits a second for the next one.
        Device(stack.enter_context(SerialLine(port)))
    except BaseException:
        stack.close()
        raise
    _held.append((stack, process))
    return {
        "board": board.name,
        "port": port,
        "arena_bytes": program.arena_bytes,
        "flash_bytes": image.flash_bytes,
        "ram_bytes": image.ram_bytes,
    }


def emulation(board: Board, elf: Path):  # type: ignore[no-untyped-def]
    """`serial_board` for a board of `targets/boards`."""
    assert board.emulator is not None
    return serial_board(
        elf, board.emulator.program, board.emulator.machine, board.emulator.arguments
    )


def hold() -> None:
    """Until the emulator ends, or Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    while _held:
        stack, process = _held.pop()
        with stack:
            process.wait()


def show(result: dict[str, Any], console: Console) -> None:
    if "port" not in result:
        accelerator_sim.show(result, console)
        return
    console.print(
        f"{result['board']}: serial port {result['port']}, Ctrl-C ends it", highlight=False
    )
