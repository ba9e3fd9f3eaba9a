"""`midge check MODEL --target T`: every node that the target refuses, why, and the remedy."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from rich.console import Console

from ...runtime.backend import Backend, find_backend
from ...runtime.errors import MidgeError, Refusal, UnsupportedModel
from ...runtime.graph import Graph
from ...runtime.importers import read_model
from ...runtime.options import Options
from ...runtime.pipeline import refuse_unsupported, rewrite
from ..arguments import add_model, add_target
from ..zoo import find_model

HELP = "tell before compiling whether a target can run every node of a model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_target(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    refused = _refusals(args)
    return {
        "target": args.target,
        "ok": not refused,
        "refused": [dataclasses.asdict(refusal) for refusal in refused],
        "exit_code": 1 if refused else 0,
    }


def _refusals(args: argparse.Namespace) -> tuple[Refusal, ...]:
    backend, path = find_backend(args.target), find_model(args.model)
    try:
        graph = rewrite(read_model(path), Options())
        refuse_unsupported(graph, backend, str(path))
    except UnsupportedModel as error:
        others = _refused_too(error.readable, backend)
        return tuple(sorted({*error.refusals, *others}, key=lambda refusal: refusal.node))
    return ()


def _refused_too(readable: Graph | None, backend: Backend) -> tuple[Refusal, ...]:
    """What the target refuses of the nodes that could be read, where others couldn't."""
    if readable is None:
        return ()
    try:
        refuse_unsupported(rewrite(readable, Options()), backend, "model")
    except UnsupportedModel as error:
        return error.refusals
    except MidgeError:  # a part of a graph may be none: what came before it can't be read
        return ()
    return ()


def show(result: dict[str, Any], console: Console) -> None:
    if result["ok"]:
        console.print(f"{result['target']} runs every node of the model")
    for refusal in result["refused"]:
        console.print(
            f"node {refusal['node']} ({refusal['operator']}): {refusal['why']}; "
            f"{refusal['remedy']}",
            markup=False,
        )
