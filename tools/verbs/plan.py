"""`midge plan MODEL`: schedule and memory plan, as numbers or as one page."""

from __future__ import annotations

import argparse
import dataclasses
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ...runtime.backend import find_backend
from ...runtime.errors import PlanError
from ...runtime.ops import total_macs
from ...runtime.options import Options
from ...runtime.pipeline import lower_nodes, pareto_curve
from ...runtime.places import VIEWS
from ...runtime.program import Buffer, Loop, Program
from ...runtime.program_file import is_program
from ...runtime.replay import replay
from ...targets.boards import find_board
from ..arguments import (
    add_model,
    add_planning,
    add_target,
    compile_for,
    memories,
    options_of,
    take_board,
)
from ..pareto_drawing import pareto_section
from ..plan_advice import Remedy, advice_section, as_json, peak_of, remedies
from ..plan_page import plan_page, short_name
from ..zoo import find_model

MOST_DRAWN = 0.5  # part of the model's multiplications to which the curves go
# name, whether the input comes by row, whether it is patches alone
CURVES = (
    ("in the arena", False, False),
    ("by row", True, False),
    ("patches alone", False, True),
)
HELP = "plan the arena: where every buffer lies, and how far that is from the bound"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_target(parser)
    parser.add_argument(
        "--board",
        metavar="B",
        help="plan for the memories of a board of `midge boards`; it states the target",
    )
    add_planning(parser)
    parser.add_argument(
        "--verify",
        action="store_true",
        help="replay the plan on tagged memory: every read must meet what was written for it",
    )
    parser.add_argument("--html", metavar="F", help="write the plan as one self-contained page")


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.board:
        take_board(args, find_board(args.board))
    program = compile_for(args)
    verified = _verify(program) if args.verify else None
    path, found = find_model(args.model), list[Remedy]()
    if args.html:
        if not is_program(path):
            found = remedies(path, program, options_of(args))
        more = advice_section(program, found) + _curves(args, program)
        page = plan_page(program, Path(args.model).name, more)
        Path(args.html).write_text(page, encoding="utf-8")
    return {
        "arena_bytes": program.used_bytes,
        "lower_bound": program.lower_bound,
        "scratch_bytes": program.scratch_bytes,
        "state_bytes": sum(value.nbytes for value in program.state.values()),
        "live_set_bytes": program.live_set_bytes,
        "macs": total_macs(program.graph),
        "extra_macs": program.extra_part,
        "segments": _segments(program),
        "parts": _parts(program),
        "memories": memories(program),
        "buffers": [_buffer(program, buffer) for buffer in program.buffers],
        "slower_accesses": program.spread.cost if program.spread else None,
        "least_slower_accesses": program.spread.least_cost if program.spread else None,
        "strategy": program.strategy,
        "peak_nodes": list(peak_of(program).nodes),
        "remedies": as_json(found) if args.html else None,
        "planner": program.planner,
        "verified_bytes": verified,
        "cached": program.cached,
        "html": args.html,
    }


def _buffer(program: Program, buffer: Buffer) -> dict[str, Any]:
    """Its fields; of several memories also its own, from whose start the offset counts."""
    region = program.spread.region(buffer.offset) if program.spread is not None else None
    begin, name = (region.offset, region.name) if region is not None else (0, None)
    return dataclasses.asdict(buffer) | {"offset": buffer.offset - begin, "memory": name}


def _curves(args: argparse.Namespace, program: Program) -> str:
    """What more arithmetic would save, as HTML; nothing of a saved program, or on some targets."""
    path = find_model(args.model)
    if is_program(path) or find_backend(program.target).strategy is None or args.frames:
        return ""
    curves = {}
    for name, by_row, patches in CURVES:
        options = Options(int8_io=args.int8_io, input_by_row=by_row)
        with suppress(PlanError):  # not every input can come by row
            curves[name] = pareto_curve(path, program.target, options, MOST_DRAWN, patches)
    return pareto_section(curves, total_macs(program.graph) - program.extra_macs, MOST_DRAWN)


def _verify(program: Program) -> int:
    """How many bytes were read in the replay; `PlanError` if one isn't what was written."""
    return replay(program, lower_nodes(program.graph, find_backend(program.target)))


def _segments(program: Program) -> list[list[int]]:
    """The nodes whose calls take turns, one list for each segment that is streamed."""
    turns: dict[int, tuple[int, int]] = {}
    for number, item in enumerate(program.items):
        for call in item.body if isinstance(item, Loop) else (item,):
            turns[call.node] = turns.get(call.node, (number, number))[0], number
    segments: list[list[int]] = []
    end = -1
    for node, (first, last) in sorted(turns.items(), key=lambda turn: turn[1]):
        if first <= end:
            segments[-1].append(node)
        else:
            segments.append([node])
        end = max(end, last)
    return [sorted(nodes) for nodes in segments if len(nodes) > 1]


def _parts(program: Program) -> list[dict[str, Any]]:
    """The operators (numbers in the model file) that run in strips or patches, and in how many."""
    found, operators = [], dict[int | None, int]()
    for node in program.graph.nodes:
        if node.op == "join":
            tops, lefts = (len(set(axis)) for axis in zip(*node.attrs.corners, strict=True))
            numbers = [number for number, count in operators.items() if count >= tops * lefts]
            if operators:
                found.append({"operators": numbers, "rows": tops, "columns": lefts})
            operators = {}
        elif node.op not in VIEWS:
            operators[node.origin] = operators.get(node.origin, 0) + 1
    return found


def show(result: dict[str, Any], console: Console) -> None:
    several = ["memory"] if result["memories"] else []
    table = Table(*several, "offset", "size", "steps", "kind", "buffer")
    for buffer in sorted(result["buffers"], key=lambda b: (b["first"], b["offset"])):
        table.add_row(
            *([buffer["memory"]] if several else []),
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
    for memory in result["memories"]:
        console.print(
            f"{memory['name']}: {memory['bytes']:,} of {memory['granted']:,} bytes, no packing of "
            f"what is in it is under {memory['lower_bound']:,}; {memory['accesses']:,} bytes "
            "accessed in an inference"
        )
    if result["memories"]:
        console.print(
            f"outside {result['memories'][0]['name']} {result['slower_accesses']:,} bytes are "
            f"accessed; no placement has under {result['least_slower_accesses']:,}"
        )
    if result["extra_macs"]:
        console.print(f"parts overlap: {100 * result['extra_macs']:.2f} % more multiplications")
    if result["verified_bytes"] is not None:
        console.print(f"replayed: {result['verified_bytes']:,} bytes read, each as it was written")
    if result["html"]:
        console.print(f"page written to {result['html']}")
