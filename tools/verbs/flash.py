"""`midge flash DIR --board B`: build the firmware of a compiled model and program a board."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from rich.console import Console

from ...runtime.errors import MidgeError, MissingTool, ProgramError
from ...runtime.program import Program
from ...sim.serial_line import SerialLine
from ...targets.boards import Board, find_board
from ...targets.boards.flashing import (
    REMEDIES,
    boot_drive,
    choose,
    command,
    find_tool,
    flash,
    run_tool,
    shown,
)
from ...targets.cortex_m.image import build_image, check_fits
from ...targets.cortex_m.mlperf import Device
from ...targets.fpga import ecp5
from .sim import emulation

HELP = "program a board with what `midge compile` wrote"
FORMS = ("elf", "bin", "hex", "uf2")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="what `midge compile -o` wrote")
    parser.add_argument("--board", required=True, metavar="B", help="one of `midge boards`")
    parser.add_argument("--tool", metavar="T", help="the tool (default: the first that is here)")
    parser.add_argument("--port", metavar="P", help="the port of a boot loader that has one")
    parser.add_argument("--dry-run", action="store_true", help="only print the command")


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.board == "ulx3s":
        return _bitstream(args, Path(args.folder) / ecp5.BITSTREAM)
    board = find_board(args.board)
    program = Program.load(saved_program(Path(args.folder)))
    check_fits(program, board)
    folder = Path(args.folder) / board.name
    files = {form: str(folder / f"firmware.{form}") for form in FORMS}
    result: dict[str, Any] = {"board": board.name, "dry_run": args.dry_run, "image": files["elf"]}
    if board.emulator is not None:
        return result | _emulated(args, board, program, folder)
    drive = boot_drive(board) if args.tool is None else None
    if drive is not None:
        words = ["cp", files["uf2"], str(drive)]
    else:
        flasher = choose(board, args.tool, must_exist=not args.dry_run)
        words = command(flasher, files, args.port)
    result |= {"tool": words[0], "command": words, "found": find_tool(words[0])}
    if args.dry_run:
        return result | {"flashed": False}
    image = build_image(program, board, folder)
    Console(stderr=True).print(shown(words), markup=False, highlight=False, soft_wrap=True)
    if drive is not None:
        shutil.copy(files["uf2"], drive)
        said = ""
    else:
        said = flash(board, words)
    return result | {
        "flashed": True,
        "flash_bytes": image.flash_bytes,
        "ram_bytes": image.ram_bytes,
        "said": said,
    }


def _bitstream(args: argparse.Namespace, path: Path) -> dict[str, Any]:
    """Load what `midge hw build` made into an FPGA."""
    if not path.is_file():
        raise ProgramError(
            f"{path}: no such bitstream; `midge hw build --board ulx3s -o {path.parent}` makes it"
        )
    words = [*ecp5.FLASH, str(path)]
    result = {
        "board": args.board, "dry_run": args.dry_run, "image": str(path), "tool": words[0],
        "command": words, "found": find_tool(words[0]), "flashed": not args.dry_run,
    }  # fmt: skip
    if args.dry_run:
        return result
    if result["found"] is None:
        raise MissingTool(
            f"ulx3s is programmed by {words[0]}, which is not installed ({REMEDIES[words[0]]})"
        )
    return result | {"said": run_tool(words, lambda: "is the ULX3S plugged in by its port US1?")}


def saved_program(folder: Path) -> Path:
    """The one saved program in a folder that `midge compile` wrote."""
    if not folder.is_dir():
        raise ProgramError(f"{folder}: no such folder; `midge compile -o {folder}` makes it")
    found = sorted(folder.glob("*.midge"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ProgramError(
            f"{folder}: one saved program is needed, there is {names}; "
            "`midge compile -o` writes one into a folder of its own"
        )
    return found[0]


def _emulated(
    args: argparse.Namespace, board: Board, program: Program, folder: Path
) -> dict[str, Any]:
    """Start the board, and see that the firmware answers."""
    assert board.emulator is not None
    emulator = board.emulator
    words = [emulator.program, "-M", emulator.machine, *emulator.arguments]
    words += ["-nographic", "-monitor", "none", "-serial", "pty"]
    words += ["-kernel", str(folder / "firmware.elf")]
    answer = {"tool": words[0], "command": words, "found": find_tool(words[0])}
    if args.dry_run:
        return answer | {"flashed": False}
    image = build_image(program, board, folder)
    with emulation(board, image.elf) as (port, _), SerialLine(port) as line:
        try:
            device = Device(line)
        except MidgeError as error:
            raise type(error)(f"the firmware does not answer: {error}") from None
    return answer | {
        "flashed": True,
        "flash_bytes": image.flash_bytes,
        "ram_bytes": image.ram_bytes,
        "said": f"{device.name} answers, model {device.model}",
    }


def show(result: dict[str, Any], console: Console) -> None:
    console.print(shown(result["command"]), markup=False, highlight=False, soft_wrap=True)
    if result["dry_run"]:
        if result["found"] is None:
            console.print(f"{result['tool']} is not installed; `midge doctor` says how to get it")
        return
    console.print(result["said"], markup=False, highlight=False)
    if "flash_bytes" not in result:
        return
    console.print(
        f"{result['board']}: {result['flash_bytes']:,} bytes of flash, "
        f"{result['ram_bytes']:,} of RAM"
    )
