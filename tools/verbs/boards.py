"""`midge boards`: every board, what it has, and what programs it."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console
from rich.table import Table

from ...targets.boards import Board, boards
from ...targets.boards.flashing import find_tool

HELP = "list the boards, their memories and the tools that program them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> dict[str, Any]:
    return {"boards": [_describe(board) for board in boards().values()]}


def _describe(board: Board) -> dict[str, Any]:
    return {
        "name": board.name,
        "description": board.description,
        "target": board.target,
        "flash_bytes": board.flash.bytes,
        "flash_origin": board.flash.origin,
        "ram_bytes": board.ram.bytes,
        "ram_origin": board.ram.origin,
        "stack_bytes": board.stack_bytes,
        "clock_hz": board.clock.hz if board.clock else None,
        "serial": board.serial.port if board.serial else None,
        "baud": board.serial.baud if board.serial else None,
        "emulator": board.emulator.machine if board.emulator else None,
        "firmware": board.serial is not None,
        "flashers": [
            {"tool": flasher.tool, "found": find_tool(flasher.tool)} for flasher in board.flashers
        ],
        "sources": list(board.sources),
    }


def show(result: dict[str, Any], console: Console) -> None:
    table = Table("board", "target", "flash", "RAM", "clock", "programmed by")
    for board in result["boards"]:
        tools = [f["tool"] for f in board["flashers"]]
        clock = f"{board['clock_hz'] / 1e6:g} MHz" if board["clock_hz"] else "-"
        table.add_row(
            board["name"],
            board["target"],
            f"{board['flash_bytes'] // 1024:,} KB",
            f"{board['ram_bytes'] // 1024:,} KB",
            clock,
            "QEMU" if board["emulator"] else ", ".join(tools),
        )
    console.print(table)
