"""`midge compare MODEL --targets A,B`: the same bits? Else the first tensor that differs.

With `--float F`: what quantization costs each layer.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ...runtime.backend import Executor, find_backend
from ...runtime.errors import InputError, TargetError
from ...runtime.graph import Graph
from ...runtime.plan_cache import compile_cached
from ..arguments import (
    add_frames,
    add_model,
    add_winograd,
    compile_for,
    load_inputs,
    random_inputs,
)
from ..quantization_error import by_what_they_add, layer_errors
from ..quantization_page import decibels, quantization_page
from ..zoo import find_model

HELP = "compare two targets bit for bit, and find the first tensor that differs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--targets", default="reference,host", metavar="A,B")
    parser.add_argument(
        "--inputs",
        default="3",
        metavar="N",
        help="how many random inputs to try (default 3), or with --float a folder of .npy files",
    )
    parser.add_argument(
        "--float",
        metavar="F",
        help="the float model that MODEL was quantized from: the error of each layer instead",
    )
    parser.add_argument("--html", type=Path, metavar="F", help="write them as a page as well")
    parser.add_argument("--seed", type=int, default=0, help="of the first input (default 0)")
    add_winograd(parser)
    add_frames(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.float is not None:
        return _layer_errors(args)
    names = args.targets.split(",")
    if len(names) != 2:
        raise TargetError(f"--targets takes two names with a comma between, not {args.targets!r}")
    # An ONNX model rounds in floats where both targets can.
    args.fixed_point = not all(find_backend(name).rounds_in_floats for name in names)
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
        "inputs": _count(args),
        "first_difference": difference,
        "exit_code": 0 if difference is None else 1,
    }


def _count(args: argparse.Namespace) -> int:
    if not args.inputs.isdigit() or int(args.inputs) < 1:
        raise InputError(f"--inputs takes a number of inputs, not {args.inputs!r}")
    return int(args.inputs)


def _layer_errors(args: argparse.Namespace) -> dict[str, Any]:
    paths = [find_model(name) for name in (args.model, args.float)]
    quantized, floating = (compile_cached(path, "reference") for path in paths)
    samples = list(_samples(args, floating.graph))
    seen = track(samples, "measuring", console=Console(stderr=True), disable=args.json)
    layers = layer_errors(quantized, floating, seen)
    if args.html is not None:
        args.html.write_text(quantization_page(layers, *(path.name for path in paths)))
    return {"inputs": len(samples), "layers": [vars(layer) for layer in by_what_they_add(layers)]}


def _samples(args: argparse.Namespace, graph: Graph) -> Iterator[list[np.ndarray]]:
    """Inputs of the float model: files of a folder in order, or random ones."""
    folder = Path(args.inputs)
    if not folder.is_dir():
        yield from (random_inputs(graph, args.seed + i) for i in range(_count(args)))
        return
    files = sorted(folder.glob("*.npy"))
    if not files or len(graph.inputs) != 1:
        raise InputError(
            f"{folder}: needed are .npy files of a model with one input; there are {len(files)} "
            f"files, and the model has {len(graph.inputs)} inputs"
        )
    for file in files:
        yield load_inputs(graph, [str(file)], 0)


def _first_difference(
    graph: Any, executors: list[Executor], args: argparse.Namespace
) -> dict[str, Any] | None:
    numbers = range(args.seed, args.seed + _count(args))
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
    if "layers" in result:
        _show_layers(result, console)
        return
    first, second = result["targets"]
    if result["equal"]:
        console.print(f"{first} and {second} are equal on {result['inputs']} inputs, all bytes")
    else:
        console.print(f"{first} and {second} differ: {result['first_difference']}", markup=False)


def _show_layers(result: dict[str, Any], console: Console) -> None:
    table = Table(title=f"quantization error over {result['inputs']} inputs, most added first")
    for title in ("node", "operator", "output", "alone, dB", "so far, dB", "cosine"):
        table.add_column(title, justify="right" if title[-2:] in ("dB", "ne", "de") else "left")
    for layer in result["layers"]:
        cosine = "" if layer["cosine"] is None else f"{layer['cosine']:.5f}"
        shown = (decibels(layer["own_sqnr_db"]), decibels(layer["sqnr_db"]), cosine)
        table.add_row(str(layer["node"]), layer["operator"], layer["tensor"], *shown)
    console.print(table)
