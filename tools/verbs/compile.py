"""`midge compile MODEL --target T -o DIR`: the artefacts for a target."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from ...runtime.backend import find_backend
from ...runtime.errors import TargetError
from ...runtime.program import UNNAMED, Program
from ...targets.boards import Board, find_board
from ...targets.cortex_m.exports import FORMATS, export
from ...targets.cortex_m.image import build_image
from ...targets.cortex_m.lowering import SPENDING
from ...targets.cortex_m.sources import c_name, is_c_name
from ..arguments import add_model, add_planning, add_target, compile_for, memories, take_board

FIRMWARE_BYTES = 16 << 10  # of startup, serial line and benchmark protocol, and a little more
HELP = "compile a model and write the artefacts for a target"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_target(parser)
    parser.add_argument(
        "--board",
        metavar="B",
        help="build the firmware of a board of `midge boards` too; it states the target",
    )
    add_planning(parser)
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--format",
        choices=("plain", *FORMATS),
        default="plain",
        help="C files side by side (plain), or a library of that system with an example",
    )
    parser.add_argument(
        "--name", metavar="NAME", help="prefix of the C names (default: from the file's name)"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    board = find_board(args.board) if args.board else None
    if board is not None:
        take_board(args, board)
        args.flash = args.flash or flash_to_spend(board)
    program = named(compile_for(args), args.name, args.model)
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    saved = folder / f"{Path(args.model).stem}.midge"
    program.save(saved)
    report, stack, files = _build(program, folder, args.format)
    _check_flash(args, report)
    return {
        "target": args.target,
        "arena_bytes": program.used_bytes,
        "memories": memories(program),
        "stack_bytes": stack,
        "flash_bytes": report.flash_bytes if report else None,
        "code_bytes": report.code_bytes if report else None,
        "constant_bytes": report.constant_bytes if report else len(program.constants),
        **_firmware(program, board, folder),
        "files": [str(path) for path in (saved, *files)],
        "model_sha256": program.graph.sha256,
    }


def flash_to_spend(board: Board) -> int | None:
    """What a board has for a model beside its firmware; None if its kernels take no flash more."""
    return board.flash.bytes - FIRMWARE_BYTES if board.target in SPENDING else None


def _check_flash(args: argparse.Namespace, report: Any) -> None:
    taken = getattr(report, "flash_bytes", None)
    if args.board is None and args.flash is not None and taken is not None and taken > args.flash:
        raise TargetError(
            f"code and constants take {taken:,} bytes, --flash grants {args.flash:,}; "
            "take a smaller model or grant more"
        )


def _build(program: Program, folder: Path, form: str) -> tuple[Any, int | None, Sequence[Path]]:
    """The backend's report, most bytes of stack if that is known, and the files in the folder."""
    with tempfile.TemporaryDirectory(prefix="midge-") as temporary:
        out = folder if form == "plain" else Path(temporary)
        executor = find_backend(program.target).build(program, out)
        try:
            report = getattr(executor, "report", None)
            stack = getattr(executor, "stack_bound", None)
        finally:
            executor.close()
        files = report.files if report else ()
        if form == "plain":
            return report, stack, files
        if not any(path.suffix == ".c" for path in files):
            raise TargetError(f"--format {form} is for microcontrollers, not for {program.target}")
        texts = export(form, program, {path.name: path.read_text() for path in files})
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return report, stack, [folder / name for name in texts]


def _firmware(program: Program, board: Board | None, folder: Path) -> dict[str, Any]:
    """The image for a board, if one is named: `midge flash` programs it."""
    if board is None:
        return {}
    image = build_image(program, board, folder / board.name)
    return {
        "board": board.name,
        "image": str(image.elf),
        "image_flash_bytes": image.flash_bytes,
        "image_ram_bytes": image.ram_bytes,
        "image_stack_bytes": image.stack_bytes,
        "board_stack_bytes": board.stack_bytes,
        "board_flash_bytes": board.flash.bytes,
        "board_ram_bytes": board.ram.bytes,
    }


def named(program: Program, name: str | None, model: str) -> Program:
    """The program with the name that was asked for, else its own, else its file's."""
    if name is None:
        name = program.name if program.name != UNNAMED else c_name(Path(model).stem)
    if not is_c_name(name):
        raise TargetError(
            f"--name {name!r}: a C identifier of ASCII letters, digits and _ is needed"
        )
    return replace(program, name=name)


def show(result: dict[str, Any], console: Console) -> None:
    console.print(f"arena {result['arena_bytes']:,} bytes")
    for memory in result["memories"]:
        console.print(f"{memory['name']} {memory['bytes']:,} of {memory['granted']:,} bytes")
    if result["stack_bytes"] is not None:
        console.print(f"stack at most {result['stack_bytes']:,} bytes")
    for name in ("flash_bytes", "code_bytes", "constant_bytes"):
        if result[name] is not None:
            console.print(f"{name.replace('_bytes', '')} {result[name]:,} bytes")
    if "board" in result:
        for memory, name in (("flash", "flash"), ("ram", "RAM"), ("stack", "stack")):
            taken, there = result[f"image_{memory}_bytes"], result[f"board_{memory}_bytes"]
            console.print(f"{result['board']}: {taken:,} of {there:,} bytes of {name}")
        console.print(result["image"], markup=False)
    for path in result["files"]:
        console.print(path, markup=False)
