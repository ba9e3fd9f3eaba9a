"""`midge hw verilog|report|build`: the accelerator as Verilog, its resources, builds for boards."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ...hw.machine import Machine
from ...targets.fpga import ecp5, synthesis, vivado
from ..accelerator_cycles import MACHINE as ON_A_7020

HELP = "the accelerator as Verilog, its resources on a Zynq-7020, and bitstreams"
BOARDS = ("pynq-z2", "ulx3s")
ACTIONS = {
    "verilog": "write a build for 7-series parts as Verilog, through Amaranth",
    "report": "synthesise a build with Yosys and count its resources; takes minutes",
    "build": "pynq-z2: write a Vivado project; ulx3s: make a bitstream by open tools, in minutes",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, what in ACTIONS.items():
        action = actions.add_parser(name, help=what, description=what)
        action.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object"
        )
        if name != "build":
            _add_sizes(action)
        else:
            action.add_argument("--board", required=True, choices=BOARDS)
        if name != "report":
            action.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")


def _add_sizes(action: argparse.ArgumentParser) -> None:
    for size in ("rows", "columns"):
        action.add_argument(
            f"--{size}", type=int, default=8, metavar="N",
            help="of the array (default 8; 24x16 has the memories meant for the XC7Z020)",
        )  # fmt: skip


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.action == "build":
        return _build(args.board, args.out)
    machine = Machine(rows=args.rows, columns=args.columns)
    if (args.rows, args.columns) == (ON_A_7020.rows, ON_A_7020.columns):
        machine = ON_A_7020
    result = {"action": args.action, "rows": machine.rows, "columns": machine.columns}
    text = synthesis.build_verilog(machine)
    if args.action == "verilog":
        args.out.mkdir(parents=True, exist_ok=True)
        path = args.out / f"{synthesis.TOP}.v"
        path.write_text(text)
        return {**result, "top": synthesis.TOP, "files": [str(path)], "bytes": len(text)}
    used = synthesis.resources(text)
    present = synthesis.ZYNQ_7020
    fits = all(used[name] <= present[name] for name in present)
    return {**result, "part": "xc7z020", **used, "available": present, "fits": fits}


def _build(board: str, folder: Path) -> dict[str, Any]:
    machine = ecp5.MACHINE if board == "ulx3s" else ON_A_7020
    result = {
        "action": "build", "board": board, "rows": machine.rows, "columns": machine.columns
    }  # fmt: skip
    if board == "ulx3s":
        return result | {"built": True} | ecp5.build(folder)
    files = [str(path) for path in vivado.write_project(machine, folder)]
    return result | {
        "built": False, "files": files, "command": list(vivado.COMMAND),
        "found": shutil.which(vivado.COMMAND[0]),
    }  # fmt: skip


def _show_build(result: dict[str, Any], console: Console) -> None:
    for path in result["files"]:
        console.print(path, markup=False, highlight=False)
    if result["built"]:
        console.print(
            f"placed and routed at {result['fmax_mhz']:.1f} MHz, {result['clock_mhz']:g} needed; "
            f"`midge flash {Path(result['files'][0]).parent} --board ulx3s` programs it"
        )
        return
    console.print(f"then, in that folder: {' '.join(result['command'])}", highlight=False)
    console.print("makes midge.bit and midge.hwh; midge's authors had no Vivado to run it with")


def show(result: dict[str, Any], console: Console) -> None:
    if result["action"] == "build":
        _show_build(result, console)
        return
    if result["action"] == "verilog":
        console.print(f"{result['files'][0]}: module {result['top']}, {result['bytes']:,} bytes")
        return
    table = Table("resource", "used", "of the XC7Z020", "share")
    for name, present in result["available"].items():
        used = result[name]
        table.add_row(name.upper()[:-1] + "s", f"{used:,}", f"{present:,}", f"{used / present:.0%}")
    console.print(table)
    size = f"{result['rows']}x{result['columns']}"
    console.print(f"{size} {'fits' if result['fits'] else 'does not fit'}, by synthesis alone")
