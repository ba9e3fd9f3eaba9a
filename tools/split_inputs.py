"""What single planners of `midge split plan` need beyond costs and a link."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..runtime.errors import InputError
from ..runtime.graph import Graph
from ..targets.split.bit_widths import bit_choices
from ..targets.split.costs import Profile
from ..targets.split.planners import Costs, Link
from .split_coding import load_samples


def add_planner_inputs(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what single planners need")
    group.add_argument("--jobs", type=int, default=1, help="jobs of jps (default 1)")
    group.add_argument("--frames-s", type=float, metavar="N", help="of dads: heavy load or light")
    group.add_argument("--window-ms", type=float, metavar="N", help="of mdpo: a contact lasts so")
    group.add_argument(
        "--error-limit", type=float, metavar="E", help="of auto-split: the most error of fewer bits"
    )
    edge = group.add_mutually_exclusive_group()
    edge.add_argument(
        "--edge-profile", type=Path, metavar="F.json", help="of adaf: times of the edge tier"
    )
    edge.add_argument("--edge-speed", type=float, metavar="X", help="or: X times the device's")
    group.add_argument(
        "--cloud-mbit", type=float, default=10.0, metavar="R", help="of adaf: from edge to cloud"
    )
    group.add_argument("--cloud-delay-ms", type=float, default=20.0, metavar="N", help="likewise")


def planner_inputs(args: argparse.Namespace, graph: Graph, costs: Costs) -> dict[str, Any]:
    """`Problem.extras` as the arguments give them."""
    if args.jobs < 1:
        raise InputError("--jobs must be at least 1")
    for name in ("frames_s", "window_ms", "edge_speed"):
        if (value := getattr(args, name)) is not None and value <= 0:
            raise InputError(f"--{name.replace('_', '-')} must be above 0")
    found: dict[str, Any] = {"jobs": args.jobs, "kinds": kinds(graph)}
    for name in ("frames_s", "window_ms"):
        if getattr(args, name) is not None:
            found[name] = getattr(args, name)
    if args.algorithm == "pico":
        found["speeds"] = (1.0, *args.workers)
    if args.error_limit is not None:
        choices = bit_choices(graph, load_samples(graph, args.samples))
        found |= {"choices": choices, "error_limit": args.error_limit}
    if args.edge_profile:
        found["edge_ms"] = Profile.load(args.edge_profile, graph).node_ms
    elif args.edge_speed:
        found["edge_ms"] = tuple(ms / args.edge_speed for ms in costs.device_ms)
    if "edge_ms" in found:
        found["cloud_link"] = Link.of(args.cloud_mbit, args.cloud_delay_ms)
    return found


def kinds(graph: Graph) -> list[tuple[object, ...]]:
    """Each node's operator, attributes and shapes, so that repeated blocks are equal (DeepWear)."""
    return [
        (
            node.op,
            repr(node.attrs),
            tuple(graph.tensors[t].shape for t in (*node.operands, *node.outputs)),
        )
        for node in graph.nodes
    ]
