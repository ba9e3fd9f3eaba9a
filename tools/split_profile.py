"""`midge split profile`: what a model's prefixes cost, measured, counted, modelled or predicted."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from ..runtime.errors import InputError
from ..runtime.graph import Graph
from ..targets.boards import emulated_board, find_board
from ..targets.split.analytic import accelerator_profile, counted_profile
from ..targets.split.costs import Profile
from ..targets.split.cut import ranges
from ..targets.split.predict import Predictor
from .arguments import load_inputs
from .split_plan import graph_of, measured


def add_profile_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", default="host", metavar="T", help="default host")
    parser.add_argument("-o", "--output", type=Path, metavar="F.json", help="keep the profile")
    parser.add_argument(
        "--predict", type=Path, metavar="F.json", help="by a predictor of tools.split_predictor"
    )
    parser.add_argument("--board", metavar="B", help="whose clock makes instructions time")
    parser.add_argument("--mhz", type=float, metavar="F", help="a clock beside the board's own")


def profile(args: argparse.Namespace) -> dict[str, Any]:
    graph = graph_of(args.model)
    made, remarks = _profile_of(args, graph)
    if args.output:
        made.save(args.output)
    return {
        "target": made.target,
        "sha256": made.sha256,
        "prefix_ms": list(made.prefix_ms),
        "remarks": remarks,
        "files": [str(args.output)] if args.output else [],
    }


def _profile_of(args: argparse.Namespace, graph: Graph) -> tuple[Profile, list[str]]:
    """Measured here, counted in the emulator, modelled or predicted; and what isn't in it."""
    board = find_board(args.board) if args.board else None
    clock = board.clock.hz if board is not None and board.clock is not None else None
    hz = args.mhz * 1e6 if args.mhz else clock
    if args.predict:
        predictor = Predictor.load(args.predict)
        return predictor.profile(graph, hz), predictor.remarks(graph)
    if args.target == "fpga-sim":
        from ..hw.machine import Machine

        made, away = accelerator_profile(graph, Machine(), hz or FABRIC_HZ)
        return made, [f"{len(away)} node(s) run on its host: {ranges(away)}"] if away else []
    target = board.target if board is not None and args.target == "host" else args.target
    if target == "host":
        return measured(graph, "host", quiet=args.json), []
    emulated = emulated_board(target).clock
    hz = hz or (emulated.hz if emulated is not None else None)
    if hz is None:
        raise InputError(f"instructions of {target} need a clock to be time: --board or --mhz")
    return counted_profile(graph, load_inputs(graph, None, 0), target, hz), []


FABRIC_HZ = 125e6  # of the accelerator on the PYNQ-Z2


def show_profile(result: dict[str, Any], console: Console) -> None:
    total = result["prefix_ms"][-1]
    console.print(f"{len(result['prefix_ms']) - 1} prefixes on {result['target']}, {total:.3f} ms")
    for remark in result["remarks"]:
        console.print(remark)
