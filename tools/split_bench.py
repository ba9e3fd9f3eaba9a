"""`midge split bench`: predicted against measured latency, over a link of stated rates."""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ..runtime.errors import InputError
from ..runtime.graph import Graph
from ..runtime.pipeline import compile_graph
from ..targets.split.planners import Costs, Link, Problem, evaluate, plan
from . import split_plan
from .arguments import load_inputs

CALIBRATION = 15  # runs
BUDGET_S, LEAST_RUNS = 10.0, 3  # of one rate
FREE = 1.25e6  # bytes a millisecond: 10 Gbit/s
LINKS = ("process", "tc")
RATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    split_plan.add_sides(parser)
    parser.add_argument(
        "--mbit",
        type=float,
        nargs="+",
        default=RATES,
        metavar="R",
        help="in Mbit/s",
    )
    parser.add_argument(
        "--link", choices=LINKS, default="process", help="shaped in this process, or by Linux's tc"
    )
    parser.add_argument(
        "--delay-ms", type=float, help="there and back (default 2; tc shapes the rate alone)"
    )
    parser.add_argument("--runs", type=int, default=15, help="at each rate (default 15)")
    parser.add_argument(
        "--trace", type=Path, metavar="F.json", help="one inference of each way, for Perfetto"
    )
    parser.add_argument(
        "--server-slowdown", type=float, default=1.0, metavar="X", help="as --device-slowdown"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    from ..targets.split.tracing import Trace  # gRPC is an extra

    graph = split_plan.graph_of(args.model)
    if args.delay_ms is None:
        args.delay_ms = 2.0 if args.link == "process" else 0.0
    if min(args.mbit) <= 0 or args.delay_ms < 0 or args.runs < 1:
        raise InputError("rates must be above 0, the delay at least 0, and --runs at least 1")
    if args.link == "tc" and args.delay_ms:
        raise InputError("--link tc shapes the rate alone: --delay-ms is for --link process")
    device, server = split_plan.sides(args, graph)
    costs = split_plan.costs_of(graph, device, server.scaled(args.server_slowdown))
    trace = Trace() if args.trace else None
    with _Bench(graph, args) as bench:
        rows = []
        with Progress(console=Console(stderr=True), disable=args.json, transient=True) as progress:
            for mbit in progress.track(args.mbit, description="measuring"):
                now = bench.calibrate(costs)
                usable = Link.of(mbit * bench.link.payload)
                delay_ms = args.delay_ms + now.overhead_ms
                beside = split_plan.request_bytes(graph) - bench.link.at_once
                delay_ms += max(beside, 0) / usable.up
                link = Link(usable.up, usable.down, delay_ms)
                device_ms = tuple(now.device_factor * t for t in costs.device_ms)
                present = replace(costs, device_ms=device_ms)
                problem = Problem(present, link, server_load=now.server_load)
                rows.append({**_row(bench, problem, mbit, args, trace), **asdict(now)})
    if trace is not None:
        trace.save(args.trace)
    return {
        "rows": rows,
        "runs": args.runs,
        "delay_ms": args.delay_ms,
        "link": args.link,
        "device_slowdown": args.device_slowdown,
        "files": [str(args.trace)] if args.trace else [],
        "worst_error": max(abs(row["error"]) for row in rows),
        "worst_ratio": min(row["ratio"] for row in rows),
        "best_ratio": max(row["ratio"] for row in rows),
    }


def _row(
    bench: _Bench, problem: Problem, mbit: float, args: argparse.Namespace, trace: Any
) -> dict[str, Any]:
    """One rate: the plan, and the medians of it and of both ends, interleaved."""
    found = plan("auto", problem)
    ends = {"device_only": problem.costs.everything, "server_only": frozenset(problem.costs.pinned)}
    ways = {"plan": found.device, **ends}
    bench.link.shape(mbit * 125, args.delay_ms)
    measured = bench.measure(ways, args.runs)
    if trace is not None:
        bench.trace(trace, ways, mbit)
    best_end = min(measured["device_only"], measured["server_only"])
    return {
        "mbit": mbit,
        "algorithm": found.algorithm,
        "cut": sorted(found.device),
        "nodes": problem.costs.nodes,
        "bytes": found.stages.sent_bytes,
        "predicted_ms": found.stages.latency_ms,
        "measured_ms": measured["plan"],
        "device_only_ms": measured["device_only"],
        "server_only_ms": measured["server_only"],
        **{
            f"{name}_predicted_ms": evaluate(problem, device).latency_ms
            for name, device in ends.items()
        },
        "error": found.stages.latency_ms / measured["plan"] - 1,
        "ratio": best_end / measured["plan"],
    }


@dataclass(frozen=True)
class Calibration:
    """Each side's time in use / as profiled, and what an exchange takes beside computing."""

    device_factor: float
    server_load: float
    overhead_ms: float


class _InProcess:
    """A server process behind `sim/links.py`."""

    payload = 1.0  # of the rate; it shapes the stream
    at_once = 0  # bytes that it lets through without waiting

    def __init__(self, graph: Graph, slowdown: float) -> None:
        from ..sim.links import ShapedLink
        from ..targets.split.backend import ServerProcess

        self._server = ServerProcess(compile_graph(graph, "host"), slowdown=slowdown)
        self._link, self.model = ShapedLink(self._server.address), self._server.model
        self.address = self._link.address

    def shape(self, rate: float, delay_ms: float) -> None:
        self._link.shape.up = self._link.shape.down = rate
        self._link.shape.delay_ms = delay_ms

    def close(self) -> None:
        self._link.close()
        self._server.stop()


class _ByTc:
    """A server process in a network namespace behind `tc tbf`."""

    def __init__(self, graph: Graph, slowdown: float) -> None:
        from ..sim.namespace_link import LEAST_BURST, PAYLOAD, NamespaceLink
        from ..targets.split.backend import ServerProcess

        self.payload, self.at_once, self._link = PAYLOAD, LEAST_BURST, NamespaceLink()
        program, far = compile_graph(graph, "host"), self._link.far
        self._server = ServerProcess(program, slowdown=slowdown, host=far, prefix=self._link.prefix)
        self.address, self.model = self._server.address, self._server.model

    def shape(self, rate: float, delay_ms: float) -> None:
        self._link.shape(rate)

    def close(self) -> None:
        self._server.stop()
        self._link.close()


class _Bench:
    """A server behind a shaped link, and executors by cut."""

    def __init__(self, graph: Graph, args: argparse.Namespace) -> None:
        from ..targets.split.client import EdgeClient

        self.graph, self._slowdown = graph, args.device_slowdown
        make = _InProcess if args.link == "process" else _ByTc
        self.link = make(graph, args.server_slowdown)
        self.client = EdgeClient(self.link.address, self.link.model, deadline_s=600)
        self._executors: dict[frozenset[int], Any] = {}
        self._inputs: list[np.ndarray] = load_inputs(graph, None, 0)

    def __enter__(self) -> _Bench:
        return self

    def __exit__(self, *_: object) -> None:
        for executor in self._executors.values():
            executor.close_parts()
        self.client.close()
        self.link.close()

    def calibrate(self, costs: Costs) -> Calibration:
        """Both sides in use, on a free link, just before they are measured.

        Profiles are taken back to back; in use a processor waits, and wakes up slower.
        """
        self.link.shape(FREE, 0.0)
        here, there = self.executor(costs.everything), self.executor(frozenset(costs.pinned))
        device, server, overhead = [], [], []
        for number in range(CALIBRATION + 1):
            for executor in (here, there):
                executor.warm(self._inputs)
                executor.run(self._inputs)
            if number:
                device.append(here.measurement.latency_ms)
                server.append(there.exchange.compute_ms)
                overhead.append(there.exchange.ms - there.exchange.compute_ms)
        device_ms, server_ms, overhead_ms = (
            statistics.median(times) for times in (device, server, overhead)
        )
        away = sum(t for v, t in enumerate(costs.server_ms) if v not in costs.pinned)
        return Calibration(
            device_ms / sum(costs.device_ms), server_ms / max(away, 1e-9), overhead_ms
        )

    def executor(self, device: frozenset[int]) -> Any:
        from ..sim.slowed import Slowed
        from ..targets.split.cut import cut_between
        from ..targets.split.executor import SplitExecutor

        if device not in self._executors:
            made = SplitExecutor(self.graph, cut_between(self.graph, device), self.client)
            if self._slowdown > 1:
                made.slow_down(lambda part: Slowed(part, self._slowdown))
            self._executors[device] = made
        return self._executors[device]

    def measure(self, ways: dict[str, frozenset[int]], runs: int) -> dict[str, float]:
        """Median milliseconds of each way; the first answer, which compiles the tail, is dropped.

        Ways that run the same nodes are measured as one. Slow links get fewer runs.
        """
        taken: dict[frozenset[int], list[float]] = {device: [] for device in ways.values()}
        ends = time.perf_counter() + BUDGET_S
        for number in range(runs + 1):
            if number > LEAST_RUNS and time.perf_counter() > ends:
                break
            for device, times in taken.items():
                executor = self.executor(device)
                executor.warm(self._inputs)
                started = time.perf_counter()
                executor.run(self._inputs)
                if number:
                    times.append((time.perf_counter() - started) * 1e3)
        return {name: statistics.median(taken[device]) for name, device in ways.items()}

    def trace(self, trace: Any, ways: dict[str, frozenset[int]], mbit: float) -> None:
        """One more inference of each way, its spans kept."""
        for device in dict.fromkeys(ways.values()):
            executor = self.executor(device)
            executor.warm(self._inputs)
            trace.follow(executor)
            executor.run(self._inputs)
            names = [name for name, other in ways.items() if other == device]
            trace.add(executor, {"way": ", ".join(names), "mbit": mbit})
            executor.traced = None


def show(result: dict[str, Any], console: Console) -> None:
    table = Table("Mbit/s", "here", "bytes", "predicted", "measured", "device", "server", "faster")
    for row in result["rows"]:
        table.add_row(
            f"{row['mbit']:g}",
            f"{len(row['cut'])} of {row['nodes']}",
            f"{row['bytes']:,}",
            f"{row['predicted_ms']:.2f}",
            f"{row['measured_ms']:.2f}",
            f"{row['device_only_ms']:.2f}",
            f"{row['server_only_ms']:.2f}",
            f"{row['ratio']:.2f} x",
        )
    console.print(table)
    console.print(
        f"milliseconds; the prediction is off by {result['worst_error']:.1%} at most, the plan is "
        f"{result['worst_ratio']:.2f} to {result['best_ratio']:.2f} x as fast as the better end"
    )
