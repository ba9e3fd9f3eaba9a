"""`midge bench MODEL`: medians of interleaved runs in one process, against another runtime."""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from ... import __version__
from ...runtime.backend import build, find_backend
from ...runtime.options import Options
from ...runtime.plan_cache import compile_cached
from ...runtime.program import Program
from .. import mlperf_tiny
from ..arguments import add_model, add_planning, add_target, compile_for, random_inputs
from ..rivals import RIVALS, Rival, Run, rival
from ..zoo import find_model

HELP = "measure inference time, interleaved with another runtime in the same process"
WARM_UP = 5  # runs of each that are not counted
OWN = {
    "layers": Options(strategy="layers"),
    "one-thread": Options(),
}  # this runtime's other ways


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_target(parser)
    add_planning(parser)
    parser.add_argument(
        "--vs",
        choices=[*sorted(RIVALS), *OWN],
        help="another runtime to measure against, or this one layer by layer, or with one thread",
    )
    parser.add_argument(
        "--vs-model",
        metavar="F",
        help="the same network for the other runtime (onnxruntime: .onnx)",
    )
    parser.add_argument("--runs", type=int, default=50, help="runs of each (default 50)")
    parser.add_argument("--threads", type=int, default=1, help="of both runtimes (default 1)")
    mlperf_tiny.add_arguments(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.mlperf_tiny:
        return mlperf_tiny.run(args)
    program = compile_for(args)
    inputs = random_inputs(program.graph, 0)
    executor = build(program, args.threads)
    runs: list[Run] = [lambda: executor.run(inputs)]
    other = None
    if args.vs:
        path = args.vs_model or str(find_model(args.model))
        if args.vs in OWN:
            other = _own(path, args, inputs)
        else:
            other = rival(args.vs, path, inputs, args.threads)
        runs.append(other.run)
    try:
        medians = _interleaved(runs, args.runs, quiet=args.json)
    finally:
        executor.close()
    ours, theirs = medians[0], medians[1] if other else None
    return {
        "target": args.target,
        "vs": args.vs,
        "vs_version": other.version if other else None,
        "median_ms": ours,
        "vs_median_ms": theirs,
        "ratio": ours / theirs if theirs is not None else None,
        "runs": args.runs,
        "threads": args.threads,
        "instructions": getattr(executor, "instructions", None),
        "kernels": _kernels(program),
    }


def _own(path: str, args: argparse.Namespace, inputs: Sequence[np.ndarray]) -> Rival:
    """The same model and target, planned and run in another way."""
    options = replace(OWN[args.vs], int8_io=args.int8_io)
    program = compile_cached(path, args.target, options)
    given = [x.reshape(t.shape) for x, t in zip(inputs, program.inputs, strict=True)]
    executor = find_backend(args.target).build(program)
    return Rival(lambda: executor.run(given), f"of midge {__version__}")


def _kernels(program: Program) -> dict[str, int]:
    """Which kernels an inference calls, and how often."""
    counts: Counter[str] = Counter()
    for call, passes in program.passes():
        counts[call.kernel] += passes
    return dict(counts)


def _interleaved(runs: list[Run], count: int, quiet: bool) -> list[float]:
    """Median milliseconds of each, taken in turns so that the machine's moods fall on all."""
    times: list[list[float]] = [[] for _ in runs]
    for infer in runs * WARM_UP:
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
    threads = f"{result['threads']} thread" + ("s" if result["threads"] > 1 else "")
    by = f" by {result['instructions']}" if result["instructions"] else ""
    console.print(
        f"{result['target']}{by}: {result['median_ms']:.3f} ms, "
        f"median of {result['runs']}, {threads}"
    )
    if result["vs"]:
        console.print(
            f"{result['vs']} {result['vs_version']}: {result['vs_median_ms']:.3f} ms; "
            f"{result['target']} takes {result['ratio']:.2f} of its time"
        )
    kernels = ", ".join(f"{name} x{count}" for name, count in result["kernels"].items())
    console.print(f"kernels: {kernels}", highlight=False)
