"""`midge tune MODEL`: measure the kernels that could make each layer, and keep the fastest."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ...kernels.host import HostExecutor
from ...kernels.tuning import DEFAULT, NAMES, candidates, forced, layer_key
from ...runtime.backend import build
from ...runtime.options import Options
from ...runtime.pipeline import compile_model
from ...runtime.program import Program
from ...runtime.tuned import keep_choices, tuned_choices
from ..arguments import add_model, random_inputs
from ..zoo import find_model

HELP = "measure the kernels that could make each layer on this machine, and keep the fastest"
LAYERS = Options(strategy="layers", exact=False)
LEAST_GAIN = 0.03  # of a layer's time, for another kernel than the default
ROUNDS, RUNS = 7, 15  # candidates take turns; runs of each in a round


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"(default {ROUNDS})")


def run(args: argparse.Namespace) -> dict[str, Any]:
    path = str(find_model(args.model))
    before = tuned_choices()  # of other models too
    executors = {name: _executor(path, name) for name in NAMES}
    program = executors[DEFAULT].program
    costs = _measured(executors, args.rounds, quiet=args.json)
    graph = program.graph
    keys = [layer_key(graph, node) for node in graph.nodes]
    others = {key: candidates(graph, node) for key, node in zip(keys, graph.nodes, strict=True)}
    others = {key: names for key, names in others.items() if names and key in costs[DEFAULT]}
    fastest = {key: _fastest(key, names, costs) for key, names in others.items()}
    choices = {key: found for key, found in fastest.items() if found is not None}
    kept = {key: name for key, name in before.items() if key not in keys}
    kept |= {key: name for key, (name, _, _) in choices.items()}
    file = keep_choices(kept)
    tuned, usual = _compare(compile_model(path, "host", LAYERS), program)
    if tuned > usual:  # it was but the machine's mood
        choices, tuned = {}, usual
        file = keep_choices({key: name for key, name in kept.items() if key not in keys})
    changed = [
        {
            "node": number,
            "operator": program.graph.nodes[number].op,
            "kernel": choices[key][0],
            "default_ms": choices[key][1],
            "ms": choices[key][2],
        }
        for number, key in enumerate(keys)
        if key in choices
    ]
    return {
        "file": file,
        "layers": len(others),
        "measured": sum(map(len, others.values())),
        "changed": changed,
        "default_ms": usual,
        "median_ms": tuned,
        "ratio": tuned / usual,
    }


def _executor(path: str, name: str) -> HostExecutor:
    with forced(name):
        executor = build(compile_model(path, "host", LAYERS))
    assert isinstance(executor, HostExecutor)
    return executor


def _measured(
    executors: Mapping[str, HostExecutor], rounds: int, quiet: bool
) -> dict[str, dict[str, float]]:
    """Candidate -> layer -> milliseconds, all layers of one key together; medians of rounds."""
    inputs = random_inputs(executors[DEFAULT].program.graph, 0)
    taken: dict[str, dict[str, list[float]]] = {name: {} for name in executors}
    with Progress(console=Console(stderr=True), disable=quiet) as progress:
        for _ in progress.track(range(rounds), description="measuring"):
            for name, executor in executors.items():
                for key, cost in _costs(executor, inputs).items():
                    taken[name].setdefault(key, []).append(cost)
    return {
        name: {key: statistics.median(costs) for key, costs in layers.items()}
        for name, layers in taken.items()
    }


def _costs(executor: HostExecutor, inputs: Sequence[np.ndarray]) -> dict[str, float]:
    graph, costs = executor.program.graph, dict[str, float]()
    for cost in executor.profile(inputs, RUNS).calls:
        key = layer_key(graph, graph.nodes[cost.call.node])
        costs[key] = costs.get(key, 0.0) + cost.cost
    return costs


def _fastest(
    key: str, names: Sequence[str], costs: Mapping[str, Mapping[str, float]]
) -> tuple[str, float, float] | None:
    """The fastest kernel of a layer, what the default takes, and what it takes; None: default."""
    usual = costs[DEFAULT][key]
    name = min(names, key=lambda each: costs[each][key])
    took = costs[name][key]
    return (name, usual, took) if took < usual * (1 - LEAST_GAIN) else None


def _compare(tuned: Program, usual: Program) -> tuple[float, float]:
    """Median milliseconds of both, in turns."""
    inputs = random_inputs(usual.graph, 0)
    executors = [build(program) for program in (tuned, usual)]
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS * RUNS):
        for executor, own in zip(executors, times, strict=True):
            executor.run(inputs)
            started = time.perf_counter()
            executor.run(inputs)
            own.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times[0]), statistics.median(times[1])


def show(result: dict[str, Any], console: Console) -> None:
    if result["changed"]:
        table = Table("node", "operator", "kernel", "default ms", "ms")
        for each in result["changed"]:
            numbers = f"{each['default_ms']:.4f}", f"{each['ms']:.4f}"
            table.add_row(str(each["node"]), each["operator"], each["kernel"], *numbers)
        console.print(table)
        console.print(
            f"{result['median_ms']:.4f} ms with these, {result['default_ms']:.4f} without: "
            f"{result['ratio']:.2f} of the time"
        )
    else:
        console.print(
            f"{result['measured']} other kernels measured for {result['layers']} layers: none is "
            "faster than the default"
        )
    console.print(f"kept in {result['file']}", highlight=False, soft_wrap=True)
