"""`midge split run`: inferences over a cut that stands, or that follows link, load and deadline."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runtime.backend import check_inputs, find_backend
from ..runtime.errors import InputError
from ..runtime.graph import Graph
from ..runtime.importers import read_model
from ..runtime.options import Options
from ..runtime.pipeline import compile_graph, rewrite
from ..runtime.program import Program
from . import split_plan
from .arguments import load_inputs, read_token
from .split_coding import add_coding, add_samples, codings_of, load_samples
from .trust import add_tls, host_of, tls_files
from .verbs import run as run_verb
from .zoo import find_model

if TYPE_CHECKING:  # gRPC is of the extra midge[split]
    from ..targets.split.client import EdgeClient
    from ..targets.split.cut import Cut
    from ..targets.split.decisions import Decisions
    from ..targets.split.exits import ExitRules


def add_arguments(parser: argparse.ArgumentParser) -> None:
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
    follow = parser.add_argument_group("many requests, and a cut that moves")
    follow.add_argument("--adapt", action="store_true", help="the cut follows link and server load")
    follow.add_argument("--requests", type=int, metavar="N", help="default 1, or all --samples")
    add_samples(follow)
    follow.add_argument("--log", type=Path, metavar="F", help="every decision, one JSON a line")
    split_plan.add_sides(follow)
    follow.add_argument("--mbit", type=float, default=10.0, help="the first guess (default 10)")
    follow.add_argument("--delay-ms", type=float, default=1.0, help="likewise (default 1)")
    less = parser.add_argument_group("less work, off by default")
    less.add_argument("--exits", type=Path, metavar="F.json", help="leave early: `split exits -o`")
    less.add_argument("--exit", type=int, metavar="K", help="all leave at exit K, with --exits")
    less.add_argument("--little", metavar="MODEL", help="asked first; if it is not sure, this one")
    less.add_argument("--sure", type=float, default=0.9, help="enough for --little (default 0.9)")
    less.add_argument(
        "--skip", type=float, metavar="SHARE", help="the last answer while fewer elements change"
    )
    less.add_argument(
        "--reuse", type=float, metavar="D", help="an answer of an input as near (root mean square)"
    )
    add_tls(parser, "server")


@dataclass(frozen=True)
class _Far:
    """The server's end: a client of it, and how to stop what was started for it."""

    client: EdgeClient
    stop: Any

    def close(self) -> None:
        self.client.close()
        self.stop()


def run(args: argparse.Namespace) -> dict[str, Any]:
    from ..targets.split.backend import middle_cut
    from ..targets.split.cut import cut_at
    from ..targets.split.decisions import Decisions
    from ..targets.split.exits import ExitRules

    path = find_model(args.model)
    program = compile_graph(rewrite(read_model(path), Options()), "host")
    graph = program.graph
    rules = ExitRules.load(args.exits, graph) if args.exits else None
    requests = _requests(args, graph)
    log = Decisions()
    cut = middle_cut(graph) if args.cut is None else cut_at(graph, args.cut)
    far = _far_side(args, path, program)
    try:
        inside = _split(args, graph, cut, far.client, rules, log)
        executor = _wrapped(args, inside, log)
        try:
            times, sent = [], 0
            for inputs in requests:
                exchange = _last_exchange(inside)
                outputs = executor.run(inputs)
                times.append(executor.measurement.latency_ms)
                now = _last_exchange(inside)
                sent += now.sent_bytes if now is not None and now is not exchange else 0
            result = {
                **run_verb.answer(
                    "split", program, outputs, executor.measurement, executor.remarks,
                    _meant(graph, outputs),
                ),
                "cut": inside.cut.position,
                "bytes": sent,
                "coding": args.coding,
                "requests": len(requests),
                "median_ms": statistics.median(times),
            }  # fmt: skip
        finally:
            executor.close()
    finally:
        far.close()
    if args.log:
        log.save(args.log)
    return result | {"decisions": log.counts, "log": log.as_json() if args.adapt else []}


def _requests(args: argparse.Namespace, graph: Graph) -> list[Sequence[np.ndarray]]:
    if args.requests is not None and args.requests < 1:
        raise InputError("--requests must be at least 1")
    if args.samples is None:
        inputs = check_inputs(graph, load_inputs(graph, args.input, args.seed))
        return [inputs] * (args.requests or 1)
    frames = load_samples(graph, args.samples)
    count = args.requests or len(frames)
    return [frames[i % len(frames)] for i in range(count)]


def _far_side(args: argparse.Namespace, path: Path, program: Program) -> _Far:
    """The named server, or one of our own in another process."""
    from ..targets.split.backend import DEADLINE_S, ServerProcess
    from ..targets.split.client import ClientCredentials, EdgeClient

    if not args.server:
        server = ServerProcess(program)
        return _Far(EdgeClient(server.address, server.model, DEADLINE_S), server.stop)
    files = tls_files(args, "server", host_of(args.server))
    credentials = None if files is None else ClientCredentials(*files)
    token = None if args.token_file is None else read_token(args.token_file)
    name = args.name or path.stem
    client = EdgeClient(
        args.server, name, args.deadline, credentials, checked=not args.stock, token=token
    )
    return _Far(client, lambda: None)


def _split(
    args: argparse.Namespace,
    graph: Graph,
    cut: Cut,
    client: EdgeClient,
    rules: ExitRules | None,
    log: Decisions,
) -> Any:
    from ..targets.split.adaptive import AdaptiveExecutor
    from ..targets.split.coder import Coder
    from ..targets.split.early_exit import EarlyExitExecutor
    from ..targets.split.executor import SplitExecutor

    def make(whole: Graph, at: Cut, link: EdgeClient) -> Any:
        if rules is None:
            return SplitExecutor(whole, at, link, coder=Coder(args.coding))
        made = EarlyExitExecutor(whole, at, link, rules, log, Coder(args.coding), only=args.exit)
        made.deadline_ms = args.deadline * 1e3 if args.server else None
        return made

    if not args.adapt:
        return make(graph, cut, client)
    problem = split_plan.latency_problem(args, graph)
    codings = codings_of(args, graph)
    return AdaptiveExecutor(graph, problem, client, args.deadline * 1e3, make, log, codings)


def _wrapped(args: argparse.Namespace, executor: Any, log: Decisions) -> Any:
    """What avoids work goes round it: reuse inside, then the cascade, then the frame filter."""
    from ..targets.split.wrappers import Cascade, FrameFilter, Reuse

    if args.reuse is not None:
        executor = Reuse(executor, args.reuse, log)
    if args.little:
        little = rewrite(read_model(find_model(args.little)), Options())
        ready = find_backend("host").build(compile_graph(little))
        executor = Cascade(ready, little, executor, args.sure, log)
    if args.skip is not None:
        executor = FrameFilter(executor, args.skip, log)
    return executor


def _last_exchange(executor: Any) -> Any:
    return getattr(getattr(executor, "current", executor), "exchange", None)


def _meant(graph: Graph, outputs: Sequence[np.ndarray]) -> list[Any]:
    """The tensors that the outputs are: with exits one, which is like any of them."""
    tensors = [graph.tensors[t] for t in graph.outputs]
    return tensors if len(outputs) == len(tensors) else tensors[: len(outputs)]
