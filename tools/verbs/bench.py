"""`midge bench MODEL`: medians of interleaved runs in one process, against another runtime."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from ...runtime.backend import find_backend
from ...runtime.errors import MissingTool
from .. import mlperf_tiny
from ..arguments import add_model, add_planning, add_target, compile_for, random_inputs
from ..zoo import find_model

HELP = "measure inference time, interleaved with another runtime in the same process"
RIVALS = {
    "tflite": ("tflite_runtime.interpreter", "pip install tflite-runtime"),
    "litert": ("ai_edge_litert.interpreter", "pip install ai-edge-litert"),
}
Run = Callable[[], object]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_target(parser)
    add_planning(parser)
    parser.add_argument("--vs", choices=sorted(RIVALS), help="another runtime to measure against")
    parser.add_argument("--runs", type=int, default=50, help="runs of each (default 50)")
    mlperf_tiny.add_arguments(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.mlperf_tiny:
        return mlperf_tiny.run(args)
    program = compile_for(args)
    inputs = random_inputs(program.graph, 0)
    executor = find_backend(args.target).build(program)
    runs: list[Run] = [lambda: executor.run(inputs)]
    if args.vs:
        runs.append(_rival(args.vs, str(find_model(args.model)), inputs))
    try:
        medians = _interleaved(runs, args.runs, quiet=args.json)
    finally:
        executor.close()
    ours, theirs = medians[0], medians[1] if args.vs else None
    return {
        "target": args.target,
        "vs": args.vs,
        "median_ms": ours,
        "vs_median_ms": theirs,
        "ratio": theirs / ours if theirs is not None else None,
        "runs": args.runs,
        "threads": 1,
    }


def _rival(name: str, path: str, inputs: list[np.ndarray]) -> Run:
    module, remedy = RIVALS[name]
    try:
        interpreter_class = __import__(module, fromlist=["Interpreter"]).Interpreter
    except ImportError:
        raise MissingTool(f"--vs {name} needs the module {module}; {remedy}") from None
    interpreter = interpreter_class(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    places = [detail["index"] for detail in interpreter.get_input_details()]
    answers = [detail["index"] for detail in interpreter.get_output_details()]

    def infer() -> object:
        for place, value in zip(places, inputs, strict=True):
            interpreter.set_tensor(place, value)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in answers]

    return infer


def _interleaved(runs: list[Run], count: int, quiet: bool) -> list[float]:
    """Median milliseconds of each, taken in turns so that the machine's moods fall on all."""
    times: list[list[float]] = [[] for _ in runs]
    for infer in runs:
        infer()
    with Progress(console=Console(stderr=True), disable=quiet) as progress:
        for _ in progress.track(range(count), description="measuring"):
            for infer, taken in zip(runs, times, strict=True):
                start = time.perf_counter()
                infer()
                taken.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(taken) for taken in times]


def show(result: dict[str, Any], console: Console) -> None:
    if "benchmark" in result:
        mlperf_tiny.show(result, console)
        return
    console.print(f"{result['target']}: {result['median_ms']:.3f} ms, median of {result['runs']}")
    if result["vs"]:
        console.print(
            f"{result['vs']}: {result['vs_median_ms']:.3f} ms; "
            f"{result['target']} is {result['ratio']:.2f} times as fast"
        )
