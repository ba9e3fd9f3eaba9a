"""`midge split tiles`, and `split plan` with a method for several devices: layers in tiles."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ..runtime.backend import find_backend
from ..runtime.errors import InputError
from ..runtime.graph import Graph
from ..runtime.pipeline import compile_graph
from ..targets.split.planners.adcnn import Rates
from ..targets.split.planners.deepslicing import Speeds
from ..targets.split.planners.problem import Link
from ..targets.split.planners.tile_planners import TILE_ALGORITHMS, plan_tiles
from ..targets.split.tiles.executor import TileExecutor, Worker
from ..targets.split.tiles.plan import Device, TilePlan, TileProblem
from .arguments import byte_count, load_inputs
from .split_plan import graph_of, measured
from .verbs import run as run_verb
from .zoo import find_model

ENGINES = ("grpc", "ray")


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """What a plan over several devices takes beyond the link."""
    group = parser.add_argument_group(
        "layers in tiles over several devices", ", ".join(TILE_ALGORITHMS)
    )
    group.add_argument(
        "--workers", type=float, nargs="+", default=[1.0, 1.0], metavar="SPEED",
        help="speeds beside this device's 1 (default 1 1: two workers)",
    )  # fmt: skip
    group.add_argument("--worker-bytes", type=byte_count, metavar="N", help="memory of each")
    group.add_argument("--grid", type=int, nargs=2, metavar=("R", "C"), help="deepthings, adcnn")
    group.add_argument("--fused", type=int, metavar="N", help="nodes of their fused prefix")
    group.add_argument("--side", choices=("shorter", "longer", "min-halo"), help="of mednn")
    group.add_argument("--deadline-ms", type=float, metavar="N", help="of coedge")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--algorithm", choices=tuple(TILE_ALGORITHMS), default="aofl", help="default aofl"
    )
    parser.add_argument(
        "--engine", choices=ENGINES, default="grpc", help="server processes, or Ray"
    )
    parser.add_argument("--device-profile", type=Path, metavar="F.json", help="default: measured")
    parser.add_argument(
        "--device-slowdown", type=float, default=1.0, metavar="X", help="on its times (default 1)"
    )
    parser.add_argument("--mbit", type=float, default=100.0, metavar="R", help="default 100 Mbit/s")
    parser.add_argument("--delay-ms", type=float, default=1.0, help="there and back (default 1)")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="default 5, after one")
    parser.add_argument(
        "--learn", action="store_true", help="plan anew after each run, by what the devices did"
    )
    parser.add_argument("--input", nargs="+", metavar="F.npy", help="one file for each input")
    parser.add_argument("--seed", type=int, default=0, help="of the random input (default 0)")
    add_plan_arguments(parser)


def make_plan(args: argparse.Namespace) -> dict[str, Any]:
    """`split plan --algorithm NAME` of a method for several devices."""
    problem = problem_of(args, graph_of(args.model))
    started = time.perf_counter()
    plan = plan_tiles(args.algorithm, problem)
    planning_ms = (time.perf_counter() - started) * 1e3
    return describe(plan) | {"planning_ms": planning_ms, "files": []}


def problem_of(args: argparse.Namespace, graph: Graph) -> TileProblem:
    from ..targets.split.costs import Profile

    if any(speed <= 0 for speed in args.workers):
        raise InputError("--workers are speeds above 0")
    if args.device_slowdown <= 0:
        raise InputError("--device-slowdown is a factor above 0")
    profile = (
        Profile.load(args.device_profile, graph)
        if args.device_profile
        else measured(graph, "host", quiet=args.json)
    )
    link = Link.of(args.mbit, args.delay_ms, getattr(args, "down_mbit", None))
    slower = args.device_slowdown
    there = [Device(speed, link, args.worker_bytes) for speed in args.workers]
    said = {
        "grid": None if args.grid is None else tuple(args.grid),
        "layers": args.fused,
        "side": args.side,
        "deadline_ms": args.deadline_ms,
    }
    extras = {name: value for name, value in said.items() if value is not None}
    times = tuple(slower * ms for ms in profile.node_ms)
    return TileProblem(graph, times, (Device(1.0, link), *there), extras)


def describe(plan: TilePlan) -> dict[str, Any]:
    return {
        "algorithm": plan.algorithm,
        "predicted_ms": plan.predicted_ms,
        "bytes": plan.sent_bytes,
        "extra_macs": plan.extra_macs,
        "identical": plan.identical,
        "evidence": dict(plan.evidence),
        "steps": [
            {
                "nodes": [step.tiles[0].boxes[0][0], step.tiles[0].boxes[-1][0]],
                "kept": step.kept,
                "tiles": [
                    {"device": tile.device, "rows": tile.boxes[-1][1][0],
                     "columns": tile.boxes[-1][1][1]}
                    for tile in step.tiles
                ],
            }
            for step in plan.steps
        ],
    }  # fmt: skip


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Plan, run on workers that are started for it, and compare with the host's answers."""
    graph = graph_of(args.model)
    problem = problem_of(args, graph)
    plan = plan_tiles(args.algorithm, problem)
    program = compile_graph(graph, "host")
    inputs = load_inputs(graph, args.input, args.seed)
    host = find_backend("host").build(program)
    expected = host.run(inputs)
    host.close()
    with TemporaryDirectory(prefix="midge-tiles-") as folder:
        saved = Path(folder) / f"{find_model(args.model).stem}.midge"
        program.save(saved)
        workers, release = _start(args, graph, saved, len(args.workers))
        executor = TileExecutor(problem, plan, workers, release)
        try:
            outputs = executor.run(inputs)
            times = []
            learner = Learner(args.algorithm, problem)
            for _ in range(max(args.runs, 1)):
                if args.learn:
                    executor.follow(*learner.plan(executor.spent, executor.made))
                outputs = executor.run(inputs)
                times.append(executor.measurement.latency_ms or 0.0)
        finally:
            executor.close()
    apart = [np.abs(a.astype(float) - b) for a, b in zip(outputs, expected, strict=True)]
    differing = sum(int(np.count_nonzero(gap)) for gap in apart)
    answer = run_verb.answer("split", program, outputs, executor.measurement, executor.remarks)
    return (
        answer
        | describe(executor.plan)
        | {
            "speeds": {str(device): rows for device, rows in sorted(learner.rates.items())},
            "engine": args.engine,
            "measured_ms": float(np.median(times)),
            "sent_bytes": executor.sent_bytes,
            "tiles": {str(device): count for device, count in sorted(executor.made.items())},
            "equal": not differing,
            "differing": differing
            / sum(gap.size for gap in apart),  # share of the answers' numbers
            "largest_difference": max(float(gap.max(initial=0.0)) for gap in apart),
        }
    )


class Learner:
    """The next plan by what devices did: DeepSlicing's speeds (AIR), or ADCNN's rates of tiles."""

    def __init__(self, algorithm: str, problem: TileProblem) -> None:
        self._algorithm, self._problem = algorithm, problem
        self._speeds = Speeds()
        self._tiles = Rates({n: device.speed for n, device in enumerate(problem.devices)})
        self.rates: Mapping[int, float] = {}  # as learnt: rows a millisecond, or tiles

    def plan(
        self, spent: Mapping[int, tuple[int, float]], made: Mapping[int, int]
    ) -> tuple[TileProblem, TilePlan]:
        """From rows and milliseconds of each device, and the tiles that it made."""
        if self._algorithm == "adcnn":  # what it would return in the time that the slowest took
            longest = max((ms for _, ms in spent.values()), default=0.0)
            self._tiles.observe(
                {d: made[d] * longest / max(ms, 1e-9) for d, (_, ms) in spent.items()}
            )
            self.rates = dict(self._tiles.values)
            problem = replace(self._problem, extras={**self._problem.extras, "rates": self._tiles})
        else:
            for device, (rows, ms) in spent.items():
                self._speeds.observe(device, rows, ms)
            self.rates = dict(self._speeds.values)
            problem = self._speeds.applied(self._problem)
        return problem, plan_tiles(self._algorithm, problem)


def _start(
    args: argparse.Namespace, graph: Graph, saved: Path, count: int
) -> tuple[dict[int, Worker], Callable[[], None]]:
    """Workers of the engine, by device number, and what ends them."""
    if args.engine == "ray":
        from ..targets.split.ray_tiles import RayWorker, shut_down

        return {number: RayWorker(saved) for number in range(1, count + 1)}, shut_down
    from ..runtime.program import Program
    from ..targets.split.backend import DEADLINE_S, ServerProcess
    from ..targets.split.tiles.service import connect

    program = Program.load(saved)
    processes = [ServerProcess(program) for _ in range(count)]

    def stop() -> None:
        for process in processes:
            process.stop()

    clients: dict[int, Worker] = {
        number: connect(graph, process.address, process.model, deadline_s=DEADLINE_S)
        for number, process in enumerate(processes, 1)
    }
    return clients, stop


def show(result: dict[str, Any], console: Console) -> None:
    table = Table("nodes", "device: rows x columns", "")
    for step in result["steps"]:
        first, last = step["nodes"]
        tiles = ", ".join(
            f"{t['device']}: {t['rows'][0]}-{t['rows'][1] - 1} x "
            f"{t['columns'][0]}-{t['columns'][1] - 1}"
            for t in step["tiles"]
        )
        table.add_row(f"{first}-{last}", tiles, "kept" if step["kept"] else "gathered")
    console.print(table)
    bits = "the model's bits" if result["identical"] else "NOT the model's bits: another network"
    console.print(
        f"{result['algorithm']}: predicted {result['predicted_ms']:.3f} ms, {result['bytes']:,} "
        f"bytes sent, {result['extra_macs']:,} MACs done twice; {bits}"
    )
    if "equal" in result:
        equal = (
            "equal to the host's"
            if result["equal"]
            else f"{result['differing']:.0%} unlike the host's, by {result['largest_difference']:g}"
        )
        console.print(
            f"measured {result['measured_ms']:.3f} ms, answers {equal}; {result['remarks'][0]}"
            if result.get("remarks")
            else f"measured {result['measured_ms']:.3f} ms, answers {equal}"
        )
