"""`midge split ACTION MODEL`: cut a model between a device and a server."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console
from rich.table import Table

from ...runtime.importers import read_model
from ...runtime.options import Options
from ...runtime.pipeline import rewrite
from .. import (
    split_bench,
    split_exits,
    split_export,
    split_gateway,
    split_plan,
    split_profile,
    split_run,
    split_tiles,
)
from ..arguments import add_model
from ..plan_page import short_name
from ..zoo import find_model
from . import run as run_verb

HELP = "cut a model between this device and a server"
ACTIONS = {
    "cuts": "where the model can be cut, and what crosses there",
    "profile": "measure every prefix of the model on this machine",
    "plan": "where to cut, by the exact optimum or a published method",
    "run": "inferences over a cut, which may follow the link",
    "exits": "confidence thresholds of a model with early exits, from labelled samples",
    "export-tail": "the tail of a cut as ONNX, for other servers",
    "tiles": "layers in tiles over several workers, run and compared",
    "firmware": "the head of a cut for a microcontroller, which asks over its serial port",
    "gateway": "forward a microcontroller's cut to a server",
    "bench": "measure predicted against real latency over a shaped link",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    made = {}
    for name, what in ACTIONS.items():
        made[name] = actions.add_parser(name, help=what, description=what)
        add_model(made[name])
        made[name].add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object"
        )
    split_profile.add_profile_arguments(made["profile"])
    split_plan.add_plan_arguments(made["plan"])
    split_tiles.add_plan_arguments(made["plan"])
    split_tiles.add_arguments(made["tiles"])
    split_bench.add_arguments(made["bench"])
    split_export.add_arguments(made["export-tail"])
    split_gateway.add_firmware_arguments(made["firmware"])
    split_gateway.add_gateway_arguments(made["gateway"])
    split_run.add_arguments(made["run"])
    split_exits.add_arguments(made["exits"])


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.action in MORE:
        return MORE[args.action][0](args) | {"action": args.action}
    if args.action == "run":
        return split_run.run(args)
    return _cuts(rewrite(read_model(find_model(args.model)), Options()))


def _plan(args: argparse.Namespace) -> dict[str, Any]:
    several = args.algorithm in split_tiles.TILE_ALGORITHMS
    return split_tiles.make_plan(args) if several else split_plan.make_plan(args)


def _show_plan(result: dict[str, Any], console: Console) -> None:
    (split_tiles.show if "steps" in result else split_plan.show_plan)(result, console)


MORE = {
    "profile": (split_profile.profile, split_profile.show_profile),
    "plan": (_plan, _show_plan),
    "tiles": (split_tiles.run, split_tiles.show),
    "bench": (split_bench.run, split_bench.show),
    "exits": (split_exits.run, split_exits.show),
    "export-tail": (split_export.run, split_export.show),
    "firmware": (split_gateway.run_firmware, split_gateway.show_firmware),
    "gateway": (split_gateway.run_gateway, split_gateway.show_gateway),
}


def _cuts(graph: Any) -> dict[str, Any]:
    from ...targets.split.cut import cut_at, legal_cuts

    cuts = [cut_at(graph, position) for position in legal_cuts(graph)]
    return {
        "cuts": [
            {
                "cut": cut.position,
                "bytes": cut.sent_bytes,
                "before": graph.nodes[cut.position].name if cut.tail.nodes else "(the end)",
            }
            for cut in cuts
        ]
    }


def show(result: dict[str, Any], console: Console) -> None:
    if "action" in result:
        MORE[result["action"]][1](result, console)
        return
    if "cuts" not in result:
        run_verb.show(result, console)
        return
    table = Table("cut before node", "bytes sent", "layer")
    for cut in result["cuts"]:
        table.add_row(str(cut["cut"]), f"{cut['bytes']:,}", short_name(cut["before"]))
    console.print(table)
