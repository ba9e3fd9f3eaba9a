"""`midge plan MODEL`: schedule and memory plan, as numbers or as one page."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ...runtime.program import Loop, Program
from ..arguments import add_model, add_planning, add_target, compile_for
from ..plan_page import plan_page, short_name

HELP = "plan the arena: where every buffer lies, and how far that is from the bound"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_target(parser)
    add_planning(parser)
    parser.add_argument("--html", metavar="F", help="write the plan as one self-contained page")


def run(args: argparse.Namespace) -> dict[str, Any]:
    program = compile_for(args)
    if args.html:
        Path(args.html).write_text(plan_page(program, Path(args.model).name), encoding="utf-8")
    return {
        "arena_bytes": program.arena_bytes,
        "lower_bound": program.lower_bound,
        "live_set_bytes": program.live_set_bytes,
        "extra_macs": 0.0,  # nothing is recomputed: no halo is ever shared by two works
        "segments": _segments(program),
        "buffers": [dataclasses.asdict(buffer) for buffer in program.buffers],
        "strategy": program.strategy,
        "planner": program.planner,
        "html": args.html,
    }


def _segments(program: Program) -> list[list[int]]:
    """The nodes that run together in a loop, one list a loop."""
    return [
        sorted({call.node for call in item.body})
        for item in program.items
        if isinstance(item, Loop)
    ]


def show(result: dict[str, Any], console: Console) -> None:
    table = Table("offset", "size", "steps", "kind", "buffer")
    for buffer in sorted(result["buffers"], key=lambda b: (b["first"], b["offset"])):
        table.add_row(
            f"{buffer['offset']:,}",
            f"{buffer['size']:,}",
            f"{buffer['first']}-{buffer['last']}",
            buffer["kind"],
            short_name(buffer["name"]),
        )
    console.print(table)
    console.print(
        f"arena {result['arena_bytes']:,} bytes by {result['planner']}; "
        f"no packing is under {result['lower_bound']:,}; "
        f"without overlap {result['live_set_bytes']:,} bytes live at once"
    )
    if result["html"]:
        console.print(f"page written to {result['html']}")
