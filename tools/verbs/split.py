"""`midge split cuts|profile|plan|run|bench MODEL`: cut a model between a device and a server."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ...runtime.backend import check_inputs
from ...runtime.importers import read_model
from ...runtime.options import Options
from ...runtime.pipeline import compile_graph, rewrite
from .. import split_bench, split_export, split_plan
from ..arguments import add_model, load_inputs, read_token
from ..plan_page import short_name
from ..split_coding import add_coding
from ..trust import add_tls, host_of, tls_files
from ..zoo import find_model
from . import run as run_verb

HELP = "cut a model between this device and a server"
ACTIONS = {
    "cuts": "where the model can be cut, and what crosses there",
    "profile": "measure every prefix of the model on this machine",
    "plan": "where to cut, by the exact optimum or a published method",
    "run": "one inference over a cut",
    "export-tail": "the tail of a cut as ONNX, for other servers",
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
    split_plan.add_profile_arguments(made["profile"])
    split_plan.add_plan_arguments(made["plan"])
    split_bench.add_arguments(made["bench"])
    split_export.add_arguments(made["export-tail"])
    _add_run_arguments(made["run"])


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cut", type=int, metavar="K", help="the device runs nodes 0 to K-1")
    parser.add_argument("--server", metavar="HOST:PORT", help="a `midge serve` of the same model")
    parser.add_argument("--name", help="the model's name at the server (default: its file's)")
    parser.add_argument("--deadline", type=float, default=2.0, metavar="S", help="default 2 s")
    parser.add_argument("--input", nargs="+", metavar="F.npy", help="one file for each input")
    parser.add_argument("--seed", type=int, default=0, help="of the random input (default 0)")
    parser.add_argument("--token-file", type=Path, metavar="F", help="the server's token")
    add_coding(parser)
    parser.add_argument(
        "--stock",
        action="store_true",
        help="the server isn't `midge serve`: it hosts what `export-tail` wrote",
    )
    add_tls(parser, "server")


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.action in MORE:
        return MORE[args.action][0](args) | {"action": args.action}
    path = find_model(args.model)
    graph = rewrite(read_model(path), Options())
    return _cuts(graph) if args.action == "cuts" else _run(args, path, graph)


MORE = {
    "profile": (split_plan.profile, split_plan.show_profile),
    "plan": (split_plan.make_plan, split_plan.show_plan),
    "bench": (split_bench.run, split_bench.show),
    "export-tail": (split_export.run, split_export.show),
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


def _run(args: argparse.Namespace, path: Path, graph: Any) -> dict[str, Any]:
    from ...targets.split.backend import DEADLINE_S, ServerProcess, middle_cut
    from ...targets.split.client import ClientCredentials, EdgeClient
    from ...targets.split.coder import Coder
    from ...targets.split.cut import cut_at
    from ...targets.split.executor import SplitExecutor

    coder = Coder(args.coding)
    program = compile_graph(graph, "host")
    inputs = check_inputs(program.graph, load_inputs(program.graph, args.input, args.seed))
    graph = program.graph
    cut = middle_cut(graph) if args.cut is None else cut_at(graph, args.cut)
    if args.server:
        files = tls_files(args, "server", host_of(args.server))
        credentials = None if files is None else ClientCredentials(*files)
        token = None if args.token_file is None else read_token(args.token_file)
        name = args.name or path.stem
        client = EdgeClient(
            args.server, name, args.deadline, credentials, checked=not args.stock, token=token
        )
        executor = SplitExecutor(graph, cut, client, coder=coder)
    else:
        server = ServerProcess(program)
        client = EdgeClient(server.address, server.model, DEADLINE_S)
        executor = SplitExecutor(graph, cut, client, server.stop, coder)
    try:
        outputs = executor.run(inputs)
        measured, remarks = executor.measurement, executor.remarks
    finally:
        executor.close()
    return {
        **run_verb.answer("split", program, outputs, measured, remarks),
        "cut": cut.position,
        "bytes": executor.exchange.sent_bytes if executor.exchange else 0,
        "coding": args.coding,
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
