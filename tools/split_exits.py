"""`midge split exits`: tune a model's confidence thresholds, and what its exits are worth."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ..runtime.backend import find_backend
from ..runtime.errors import InputError, TargetError
from ..runtime.graph import DTYPES, Graph
from ..runtime.importers import read_model
from ..runtime.options import Options
from ..runtime.pipeline import compile_graph, rewrite
from ..targets.split.exits import (
    MEASURES,
    ExitPoint,
    ExitRules,
    confidence,
    exits_of,
    leaves_at,
    probabilities,
    tune,
)
from ..targets.split.planners import Costs, Plan, Problem
from ..targets.split.planners.exits import Calibration, Exit
from ..targets.split.planners.problem import INPUT
from .zoo import find_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--samples",
        type=Path,
        required=True,
        metavar="F.npz",
        help="labels, and inputs [n, ...] of the model's type, or images (uint8, scaled to 0..1)",
    )
    parser.add_argument("--measure", choices=MEASURES, default=MEASURES[0], help="of confidence")
    parser.add_argument(
        "--loss", type=float, default=0.0, metavar="X", help="of accuracy that is allowed (0.01)"
    )
    parser.add_argument("--exits", type=Path, metavar="F.json", help="measure these thresholds")
    parser.add_argument("-o", "--output", type=Path, metavar="F.json", help="keep the thresholds")


def run(args: argparse.Namespace) -> dict[str, Any]:
    graph = rewrite(read_model(find_model(args.model)), Options())
    exits = exits_of(graph)
    inputs, labels = load_labelled(graph, args.samples)
    answers = exit_answers(graph, inputs)
    if args.exits:
        rules = ExitRules.load(args.exits, graph)
    else:
        rules = tune(graph, answers, labels, args.loss, args.measure)
    if args.output:
        rules.save(args.output)
    sure = np.stack([confidence(a, rules.measure) for a in answers])
    right = np.stack([a.argmax(1) == labels for a in answers])
    left = leaves_at(sure, rules.thresholds)
    policy = right[left, np.arange(len(labels))]
    macs = np.array([e.macs for e in exits])
    return {
        "measure": rules.measure,
        "samples": len(labels),
        "exits": [
            {
                "output": graph.tensors[point.output].name,
                "nodes": len(point.nodes),
                "macs": point.macs,
                "right": int(right[i].sum()),
                "accuracy": float(right[i].mean()),
                "threshold": (*rules.thresholds, None)[i],
                "share": float((left == i).mean()),
            }
            for i, point in enumerate(exits)
        ],
        "right": int(policy.sum()),
        "accuracy": float(policy.mean()),
        "mean_macs": float(macs[left].mean()),
        "macs": int(macs[-1]),
        "files": [str(args.output)] if args.output else [],
    }


def load_labelled(graph: Graph, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Inputs [n, *shape] in the model's own type, and labels [n]."""
    tensor = graph.tensors[graph.inputs[0]]
    try:
        with np.load(path) as read:
            given = {name: read[name] for name in ("inputs", "images", "labels") if name in read}
        values, labels = given.get("inputs", given.get("images")), given["labels"]
        assert values is not None
        values = values.reshape(len(labels), *tensor.shape)
    except (OSError, ValueError, KeyError, AssertionError, TypeError) as error:
        raise InputError(
            f"{path}: an .npz with labels [n] and inputs or images [n, ...] of "
            f"{list(tensor.shape)} elements each is needed ({error})"
        ) from None
    if "inputs" not in given:
        real = values.astype(np.float32) / 255
        kind = np.iinfo(DTYPES[tensor.dtype]) if tensor.dtype != "float32" else None
        values = real
        if kind is not None:
            scaled = np.rint(real / np.float32(tensor.scale)) + tensor.zero_point
            values = np.clip(scaled, kind.min, kind.max)
    return values.astype(DTYPES[tensor.dtype]), labels.reshape(-1)


def exit_answers(graph: Graph, inputs: np.ndarray) -> list[np.ndarray]:
    """Probabilities [n, classes] of each exit, the shallowest first."""
    executor = find_backend("host").build(compile_graph(graph))
    try:
        answers = [executor.run([value]) for value in inputs]
    finally:
        executor.close()
    found = []
    for point in exits_of(graph):
        column = graph.outputs.index(point.output)
        tensor = graph.tensors[point.output]
        found.append(np.concatenate([probabilities(a[column], tensor) for a in answers]))
    return found


def show(result: dict[str, Any], console: Console) -> None:
    table = Table("exit", "MACs", "right alone", "leaves if as sure as", "share that leaves")
    for number, row in enumerate(result["exits"]):
        threshold = "-" if row["threshold"] is None else f"{row['threshold']:.4f}"
        table.add_row(
            f"{number}",
            f"{row['macs']:,}",
            f"{row['right']} of {result['samples']}",
            threshold,
            f"{row['share']:.1%}",
        )
    console.print(table)
    console.print(
        f"{result['right']} of {result['samples']} right with {result['mean_macs']:,.0f} MACs "
        f"in the mean, {result['mean_macs'] / result['macs']:.1%} of all"
    )
    for path in result["files"]:
        console.print(path)


def exit_extras(args: argparse.Namespace, graph: Graph, costs: Costs) -> dict[str, Any]:
    """What planners of early exits need, from `--exits` and `--states`."""
    if args.exits is None:
        return {}
    rules = ExitRules.load(args.exits, graph)
    points = exits_of(graph)
    orders = [(*p.trunk, *(n for n in p.nodes if n not in p.trunk)) for p in points]
    if any(orders[-1][: len(p.trunk)] != p.trunk for p in points):
        raise TargetError("planners of early exits need exits along one trunk, and these are not")
    exits = [
        Exit(_costs_of(costs, order, graph, p), accuracy, share, len(p.trunk))
        for order, p, accuracy, share in zip(
            orders, points, rules.accuracies, rules.shares, strict=True
        )
    ]
    extras: dict[str, Any] = {
        "exits": exits,
        "orders": orders,
        "calibration": [Calibration(t, shares, accuracy) for t, shares, accuracy in rules.table],
    }
    if args.states:
        extras["states"] = tuple(125.0 * mbit for mbit in args.states)
    if args.max_latency_ms is not None:
        extras["constraints"] = (
            ("latency_ms", args.max_latency_ms), ("accuracy", rules.accuracy), ("server_ms", None)
        )  # fmt: skip
    return extras


def _costs_of(costs: Costs, order: Sequence[int], graph: Graph, point: ExitPoint) -> Costs:
    """The costs of an exit's nodes in `order`; its answer is the only one."""
    place = {node: number for number, node in enumerate(order)}
    wires = []
    for wire in costs.wires:
        readers = tuple(sorted(place[r] for r in wire.readers if r in place))
        if readers and (wire.producer == INPUT or wire.producer in place):
            wires.append(replace(wire, producer=place.get(wire.producer, INPUT), readers=readers))
    maker = graph.producers[point.output]
    return Costs(
        tuple(costs.device_ms[n] for n in order),
        tuple(costs.server_ms[n] for n in order),
        tuple(wires),
        tuple(costs.answer_bytes[n] if n == maker else 0 for n in order),
        tuple(costs.weight_bytes[n] for n in order),
    )


def with_graph_nodes(problem: Problem, found: Plan) -> Plan:
    """A plan of an exit's own nodes in the numbers of the graph."""
    orders = problem.extras.get("orders")
    if orders is None or found.algorithm not in EXIT_PLANNERS:
        return found
    order = orders[found.evidence.get("exit", len(orders) - 1)]
    device = frozenset(order[n] for n in found.device)
    memory = problem.device_bytes or (lambda nodes: 0)
    return replace(found, device=device, stages=replace(found.stages, device_bytes=memory(device)))


EXIT_PLANNERS = ("edgent", "edgent-dynamic", "eddi", "adda", "spinn")
