"""`midge compare MODEL --targets A,B`: the same bits? Else the first tensor that differs."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from ...runtime.backend import Executor, find_backend
from ...runtime.errors import TargetError
from ..arguments import add_frames, add_model, compile_for, random_inputs

HELP = "compare two targets bit for bit, and find the first tensor that differs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--targets", default="reference,host", metavar="A,B")
    parser.add_argument("--inputs", type=int, default=3, metavar="N", help="random inputs to try")
    parser.add_argument("--seed", type=int, default=0, help="of the first input (default 0)")
    add_frames(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    names = args.targets.split(",")
    if len(names) != 2:
        raise TargetError(f"--targets takes two names with a comma between, not {args.targets!r}")
    programs = [compile_for(args, name) for name in names]
    executors = [find_backend(name).build(p) for name, p in zip(names, programs, strict=True)]
    try:
        difference = _first_difference(programs[0].graph, executors, args)
    finally:
        for executor in executors:
            executor.close()
    return {
        "targets": names,
        "equal": difference is None,
        "inputs": args.inputs,
        "first_difference": difference,
        "exit_code": 0 if difference is None else 1,
    }


def _first_difference(
    graph: Any, executors: list[Executor], args: argparse.Namespace
) -> dict[str, Any] | None:
    numbers = range(args.seed, args.seed + args.inputs)
    for seed in track(numbers, "comparing", console=Console(stderr=True), disable=args.json):
        inputs = random_inputs(graph, seed)
        states = [executor.run(inputs) for executor in executors]
        if all(_same(a, b) for a, b in zip(*states, strict=True)):
            continue
        for executor in executors:
            executor.reset()
        return {"seed": seed, **_first_tensor(graph, executors, inputs)}
    return None


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _first_tensor(
    graph: Any, executors: list[Executor], inputs: list[np.ndarray]
) -> dict[str, Any]:
    """In the order of the graph, the first tensor of unequal bytes, and its first unequal value."""
    values = [{t: value for _, t, value in e.trace(inputs)} for e in executors]
    for i, node in enumerate(graph.nodes):
        for tensor in node.outputs:
            if all(tensor in found for found in values):
                a, b = (found[tensor] for found in values)
                if not _same(a, b):
                    return _describe(graph, i, tensor, a, b)
    return {"node": None, "tensor": "outputs differ, but no traced tensor does"}


def _describe(graph: Any, node: int, tensor: int, a: np.ndarray, b: np.ndarray) -> dict[str, Any]:
    unequal = np.flatnonzero(a.reshape(-1) != b.reshape(-1))
    first = int(unequal[0]) if unequal.size else 0
    return {
        "node": node,
        "operator": graph.nodes[node].op,
        "tensor": graph.tensors[tensor].name,
        "differing": int(unequal.size),
        "of": int(a.size),
        "index": [int(n) for n in np.unravel_index(first, a.shape)],
        "values": [a.reshape(-1)[first], b.reshape(-1)[first]],
    }


def show(result: dict[str, Any], console: Console) -> None:
    first, second = result["targets"]
    if result["equal"]:
        console.print(f"{first} and {second} are equal on {result['inputs']} inputs, all bytes")
    else:
        console.print(f"{first} and {second} differ: {result['first_difference']}", markup=False)
