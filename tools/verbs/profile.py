"""`midge profile MODEL --target T`: what each call of an inference costs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ...kernels.peak import peak_products
from ...runtime.backend import CallCost, Profile, check_inputs, find_backend
from ...runtime.errors import TargetError
from ...runtime.ops import macs
from ...runtime.program import Program
from ..arguments import add_model, add_planning, add_target, compile_for, load_inputs

HELP = "what each call costs: time on the host, instructions on an emulated board"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_target(parser)
    add_planning(parser)
    parser.add_argument("--input", nargs="+", metavar="F.npy", help="one file for each input")
    parser.add_argument("--seed", type=int, default=0, help="of the random input (default 0)")
    parser.add_argument(
        "--trace", metavar="F.json", help="write a Chrome trace (Perfetto reads it)"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    backend = find_backend(args.target)
    program = compile_for(args)
    inputs = check_inputs(program.graph, load_inputs(program.graph, args.input, args.seed))
    executor = backend.build(program)
    try:
        if not hasattr(executor, "profile"):
            raise TargetError(
                f"target {args.target} has no profile; the host has one, and each emulated core"
            )
        profile: Profile = executor.profile(inputs)
    finally:
        executor.close()
    if args.trace:
        Path(args.trace).write_text(json.dumps(chrome_trace(program, profile)))
    calls = [_describe(program, profile, cost) for cost in profile.calls]
    peak = peak_products() if args.target == "host" else None
    return {
        "target": args.target,
        "unit": profile.unit,
        "calls": calls,
        "peak_macs_per_s": peak,
        "peak_shares": _peak_shares(program, calls, peak) if peak else None,
        "total": profile.total,
        "modelled_cycles": profile.modelled_cycles,
        "between_calls": profile.total - sum(cost.cost for cost in profile.calls),
    }


def _peak_shares(
    program: Program, calls: list[dict[str, Any]], peak: float
) -> list[dict[str, float]]:
    """For each node that multiplies, its MACs in a second out of the most the machine makes."""
    shares = []
    for node, own in _by_node(calls).items():
        products = macs(program.graph, program.graph.nodes[node])
        seconds = sum(call["ms"] for call in own) / 1e3
        if products and seconds:
            shares.append({"node": node, "macs": products, "share": products / seconds / peak})
    return shares


def _describe(program: Program, profile: Profile, cost: CallCost) -> dict[str, Any]:
    node = program.graph.nodes[cost.call.node]
    return {
        "kernel": cost.call.kernel,
        "node": cost.call.node,
        "operator": node.op,
        "name": node.name or program.graph.output(node).name,
        "passes": cost.passes,
        profile.unit: cost.cost,
        "share": cost.cost / profile.total if profile.total else 0.0,
    }


def chrome_trace(program: Program, profile: Profile) -> list[dict[str, Any]]:
    """Complete events one after the other, in microseconds; an instruction counts as one.

    The passes of a loop stand together.
    """
    events, at = [], 0.0
    scale = 1e3 if profile.unit == "ms" else 1.0
    for cost in profile.calls:
        about = _describe(program, profile, cost)
        length = cost.cost * scale
        events.append(
            {
                "name": f"{cost.call.node} {about['operator']}",
                "cat": cost.call.kernel,
                "ph": "X",
                "pid": 1,
                "tid": 1,
                "ts": at,
                "dur": length,
                "args": about,
            }
        )
        at += length
    return events


def show(result: dict[str, Any], console: Console) -> None:
    unit = result["unit"]
    shares = {each["node"]: each["share"] for each in result["peak_shares"] or ()}
    table = Table(
        "node", "operator", "kernel", "calls", unit, "share", *(["of peak"] * bool(shares))
    )
    for node, calls in _by_node(result["calls"]).items():
        passes, cost, share = (sum(c[key] for c in calls) for key in ("passes", unit, "share"))
        kernels = ", ".join(sorted({call["kernel"] for call in calls}))
        numbers = f"{passes:,}", _number(cost, unit), f"{share:.1%}"
        peak = [f"{shares[node]:.1%}" if node in shares else ""] * bool(shares)
        table.add_row(str(node), calls[0]["operator"], kernels, *numbers, *peak)
    console.print(table, markup=False)
    total, between = (_number(result[key], unit) for key in ("total", "between_calls"))
    console.print(f"{total} {unit}, {between} of them between the calls")
    if shares:
        console.print(
            f"the machine's peak: {result['peak_macs_per_s'] / 1e9:,.0f} GMAC/s, measured"
        )
    if result["modelled_cycles"] is not None:
        console.print(f"{result['modelled_cycles']:,} cycles by the model of sim/cycles.py")


def _by_node(calls: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """What a streamed node costs is spread over calls inside and outside of loops."""
    nodes: dict[int, list[dict[str, Any]]] = {}
    for call in calls:
        nodes.setdefault(call["node"], []).append(call)
    return dict(sorted(nodes.items()))


def _number(value: float, unit: str) -> str:
    return f"{value:,.4f}" if unit == "ms" else f"{value:,.0f}"
