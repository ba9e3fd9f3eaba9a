"""`midge split profile|plan`: measure a model's prefixes, and plan a cut from two profiles."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ..runtime.errors import InputError
from ..runtime.graph import Graph
from ..runtime.importers import read_model
from ..runtime.options import Options
from ..runtime.pipeline import rewrite
from ..targets.boards import boards, find_board
from ..targets.split.coding import CODINGS
from ..targets.split.coding_costs import CodingCost
from ..targets.split.costs import (
    Profile,
    costs_of,
    head_bytes,
    measure,
    request_bytes,
)
from ..targets.split.cut import ranges
from ..targets.split.planners import (
    ALGORITHMS,
    Limits,
    Link,
    Plan,
    Power,
    Problem,
    as_good_as,
    plan,
)
from ..targets.split.planners.problem import OBJECTIVES
from .arguments import byte_count, load_inputs
from .plan_page import short_name
from .split_coding import add_coding, add_samples, chosen_codings
from .split_exits import exit_extras, with_graph_nodes
from .split_inputs import add_planner_inputs, planner_inputs
from .split_page import split_page
from .zoo import find_model


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--algorithm",
        default="auto",
        metavar="NAME",
        help=f"{', '.join(ALGORITHMS)} (default auto, the exact optimum)",
    )
    parser.add_argument("--objective", choices=OBJECTIVES, default="latency")
    add_sides(parser)
    parser.add_argument("--mbit", type=float, default=10.0, metavar="R", help="Mbit/s (default 10)")
    parser.add_argument("--down-mbit", type=float, metavar="R", help="the way back (default: same)")
    parser.add_argument("--delay-ms", type=float, default=1.0, help="there and back (default 1)")
    parser.add_argument("--max-latency-ms", type=float, metavar="N", help="hard limit")
    parser.add_argument("--max-energy-mj", type=float, metavar="N")
    parser.add_argument("--max-device-bytes", type=byte_count, metavar="N", help="hard limit")
    parser.add_argument("--max-sent-bytes", type=byte_count, metavar="N")
    parser.add_argument(
        "--power",
        type=float,
        nargs=3,
        metavar=("COMPUTE", "SEND", "WAIT"),
        help="watts that the device draws (default: those of --board, else 1 1 0.1)",
    )
    parser.add_argument("--board", metavar="B", help="a device of `midge boards`, for its power")
    add_coding(parser)
    add_samples(parser)
    add_planner_inputs(parser)
    parser.add_argument("--exits", type=Path, metavar="F.json", help="of `midge split exits -o`")
    parser.add_argument(
        "--states", type=float, nargs="+", metavar="R", help="Mbit/s that edgent-dynamic plans for"
    )
    parser.add_argument("--html", type=Path, metavar="F", help="latency against bandwidth, a page")


def add_sides(parser: Any) -> None:
    """Where the times of both sides come from."""
    parser.add_argument("--device-profile", type=Path, metavar="F.json", help="default: measured")
    parser.add_argument("--server-profile", type=Path, metavar="F.json", help="default: measured")
    parser.add_argument(
        "--device-slowdown", type=float, default=1.0, metavar="X", help="on its times (default 1)"
    )
    parser.add_argument(
        "--server-load", type=float, default=1.0, metavar="X", help="on its times (default 1)"
    )


def make_plan(args: argparse.Namespace) -> dict[str, Any]:
    graph = graph_of(args.model)
    coded = chosen_codings(args, graph, Link.of(args.mbit).up)
    problem = problem_of(args, graph, coded)
    import_module("networkx")  # loaded here, so that `planning_ms` is planning
    started = time.perf_counter()
    found = plan(args.algorithm, problem)
    planning_ms = (time.perf_counter() - started) * 1e3
    rivals = as_good_as(problem, found) if args.algorithm == "auto" else []
    found = with_graph_nodes(problem, found)
    result = describe(graph, found) | {
        "objective": problem.objective,
        "planning_ms": planning_ms,
        "as_good_as": rivals,
        "coding": _codings(graph, found, coded or {}),
        "files": [],
    }
    if args.html:
        args.html.write_text(split_page(problem, graph, Path(args.model).stem))
        result["files"] = [str(args.html)]
    return result


def describe(graph: Graph, found: Plan) -> dict[str, Any]:
    stages = found.stages
    return {
        "algorithm": found.algorithm,
        "cut": sorted(found.device),
        "ranges": ranges(sorted(found.device)),
        "nodes": len(graph.nodes),
        "predicted_ms": found.evidence.get("predicted_ms", stages.latency_ms),
        "device_ms": stages.device_ms,
        "link_ms": stages.link_ms,
        "server_ms": stages.server_ms,
        "period_ms": stages.period_ms,
        "energy_mj": stages.energy_mj,
        "bytes": stages.sent_bytes,
        "device_bytes": stages.device_bytes,
        "server_bytes": stages.server_bytes,
        "proved": found.proved,
        "evidence": {key: _plain(value) for key, value in found.evidence.items()},
    }


def _codings(graph: Graph, found: Plan, coded: Mapping[int, CodingCost]) -> list[dict[str, Any]]:
    """What crosses, and how each tensor is coded."""
    sent = [t for t in sorted(coded) if _crosses(graph, t, found.device)]
    return [
        {
            "tensor": graph.tensors[t].name,
            "coding": coded[t].name,
            "lossless": CODINGS[coded[t].name].lossless,
            "bytes": coded[t].bytes,
            "raw_bytes": graph.tensors[t].bytes,
            "encode_ms": coded[t].encode_ms,
            "decode_ms": coded[t].decode_ms,
        }
        for t in sent
    ]


def _crosses(graph: Graph, tensor: int, device: frozenset[int]) -> bool:
    made_here = tensor in graph.inputs or graph.producers.get(tensor) in device
    return made_here and any(reader not in device for reader in graph.consumers[tensor])


def _plain(value: Any) -> Any:
    """Evidence as JSON: stages of a pipeline are objects."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value


def problem_of(
    args: argparse.Namespace, graph: Graph, coded: Mapping[int, CodingCost] | None = None
) -> Problem:
    """The planning problem that the arguments state; profiles that aren't given are measured."""
    plain = latency_problem(args, graph, coded)
    return replace(
        plain,
        objective=args.objective,
        limits=Limits(
            args.max_latency_ms,
            args.max_energy_mj,
            args.max_device_bytes,
            None,
            args.max_sent_bytes,
        ),
        power=power_of(args),
        extras=planner_inputs(args, graph, plain.costs) | exit_extras(args, graph, plain.costs),
    )


def power_of(args: argparse.Namespace) -> Power:
    """The device's watts: as given, or as its board's documents say."""
    if args.power is not None:
        return Power(*args.power)
    if args.board is None:
        return Power()
    figures = find_board(args.board).power
    if figures is None:
        known = ", ".join(name for name, board in boards().items() if board.power is not None)
        raise InputError(f"board {args.board} states no power; {known} do, or give --power")
    return Power(figures.compute, figures.send, figures.wait)


def latency_problem(
    args: argparse.Namespace, graph: Graph, coded: Mapping[int, CodingCost] | None = None
) -> Problem:
    """Least latency on the link that the arguments guess, from both sides' profiles."""
    device, server = sides(args, graph)
    link = Link.of(args.mbit, args.delay_ms, getattr(args, "down_mbit", None))
    overhead = request_bytes(graph) / link.up  # a request is more than its tensors
    return Problem(
        costs_of(graph, device, server, coded),
        Link(link.up, link.down, link.delay_ms + overhead),
        server_load=args.server_load,
        device_bytes=head_bytes(graph),
    )


def sides(args: argparse.Namespace, graph: Graph) -> tuple[Profile, Profile]:
    """The profiles of device and server."""
    if args.device_slowdown <= 0 or args.server_load <= 0:
        raise InputError("--device-slowdown and --server-load are factors above 0")
    here = None
    if not (args.device_profile and args.server_profile):
        here = measured(graph, "host", quiet=args.json)
    device = Profile.load(args.device_profile, graph) if args.device_profile else here
    server = Profile.load(args.server_profile, graph) if args.server_profile else here
    assert device is not None
    assert server is not None
    return device.scaled(args.device_slowdown), server


def measured(graph: Graph, target: str, quiet: bool) -> Profile:
    """Measure with a progress bar on stderr."""
    inputs: list[np.ndarray] = load_inputs(graph, None, 0)
    with Progress(console=Console(stderr=True), disable=quiet, transient=True) as progress:
        task = progress.add_task("preparing prefixes", total=len(graph.nodes))
        return measure(
            graph, inputs, target, lambda done, of: progress.update(task, completed=done, total=of)
        )


def graph_of(model: str) -> Graph:
    return rewrite(read_model(find_model(model)), Options())


def show_plan(result: dict[str, Any], console: Console) -> None:
    table = Table(show_header=False)
    here = result["ranges"] or "none"
    table.add_row("on the device", f"nodes {here} ({len(result['cut'])} of {result['nodes']})")
    table.add_row("predicted", f"{result['predicted_ms']:.3f} ms")
    for name in ("device", "link", "server"):
        table.add_row(f"  {name}", f"{result[f'{name}_ms']:.3f} ms")
    table.add_row("sent", f"{result['bytes']:,} bytes")
    table.add_row("device memory", f"{result['device_bytes']:,} bytes")
    table.add_row("energy", f"{result['energy_mj']:.3f} mJ")
    proved = "the optimum of one-way cuts" if result["proved"] else "not proved to be the optimum"
    table.add_row(result["algorithm"], f"{proved}; planned in {result['planning_ms']:.1f} ms")
    for row in result["coding"]:
        lossy = "" if row["lossless"] else "; LOSSY: answers are not those of a local run"
        table.add_row(
            short_name(row["tensor"]),
            f"{row['coding']}, {row['bytes']:,} of {row['raw_bytes']:,} bytes in "
            f"{row['encode_ms']:.3f} + {row['decode_ms']:.3f} ms{lossy}",
        )
    if result["as_good_as"]:
        table.add_row("as good", ", ".join(result["as_good_as"]))
    console.print(table, markup=False)
    for path in result["files"]:
        console.print(path)
