"""`midge hw verilog|report`: a build of the accelerator as Verilog, and what it takes of a chip."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ...hw.machine import Machine
from ...targets.fpga import synthesis
from ..accelerator_cycles import MACHINE as ON_A_7020

HELP = "the accelerator as Verilog, and its resources on a Zynq-7020"
ACTIONS = {
    "verilog": "write a build for 7-series parts as Verilog, through Amaranth",
    "report": "synthesise a build with Yosys and count its resources; takes minutes",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, what in ACTIONS.items():
        action = actions.add_parser(name, help=what, description=what)
        action.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object"
        )
        for size in ("rows", "columns"):
            action.add_argument(
                f"--{size}", type=int, default=8, metavar="N",
                help="of the array (default 8; 24x16 has the memories meant for the XC7Z020)",
            )  # fmt: skip
        if name == "verilog":
            action.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")


def run(args: argparse.Namespace) -> dict[str, Any]:
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


def show(result: dict[str, Any], console: Console) -> None:
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
