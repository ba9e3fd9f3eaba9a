"""`midge split export-tail`: the tail of a cut as ONNX, for servers that aren't `midge serve`."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from ..runtime.backend import find_backend
from ..runtime.errors import InputError, MissingTool
from ..runtime.graph import Graph, Tensor
from ..runtime.pipeline import compile_graph
from ..targets.split.cut import Cut, cut_at
from ..targets.split.onnx_tail import FORMS, to_onnx
from .arguments import random_inputs
from .split_plan import graph_of

RUNTIME = Path(__file__).parent.parent / "targets" / "split" / "mlserver_runtime.py"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cut", type=int, required=True, metavar="K", help="the device runs nodes 0 to K-1"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="F.onnx", help="where to write it")
    parser.add_argument(
        "--mlserver", type=Path, metavar="DIR", help="a folder for `mlserver start DIR`"
    )
    parser.add_argument("--name", default="tail", help="the model's name there (default tail)")
    parser.add_argument("--port", type=int, default=8081, help="gRPC there (default 8081)")
    parser.add_argument(
        "--form",
        choices=FORMS,
        default="qdq",
        help="qdq: the server's own integer operators; exact: midge's rounding written out",
    )
    parser.add_argument(
        "--check", type=int, default=0, metavar="N", help="compare N answers with ONNX Runtime's"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.output is None and args.mlserver is None:
        raise InputError("-o F.onnx or --mlserver DIR says where to write the tail")
    graph = graph_of(args.model)
    cut = cut_at(graph, args.cut)
    content = to_onnx(cut.tail, cut.name, args.form).SerializeToString()
    files = []
    if args.output is not None:
        args.output.write_bytes(content)
        files.append(args.output)
    if args.mlserver is not None:
        files += _mlserver_folder(args, cut, content)
    result = {
        "cut": cut.position,
        "form": args.form,
        "bytes": len(content),
        "inputs": [describe(cut.tail.tensors[t]) for t in cut.tail.inputs],
        "outputs": [describe(cut.tail.tensors[t]) for t in cut.tail.outputs],
        "files": [str(path) for path in files],
    }
    return result | ({"check": compare(graph, cut, content, args.check)} if args.check else {})


def describe(tensor: Tensor) -> dict[str, Any]:
    """A tensor as the Open Inference Protocol's metadata has it."""
    from ..targets.split.protocol import DATATYPES

    return {
        "name": tensor.name,
        "datatype": DATATYPES[tensor.dtype],
        "shape": list(tensor.shape),
    }


def _mlserver_folder(args: argparse.Namespace, cut: Cut, content: bytes) -> list[Path]:
    folder: Path = args.mlserver
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    shutil.copyfile(RUNTIME, folder / "runtime.py")
    model = {
        "name": args.name,
        "implementation": "runtime.OnnxTail",
        "parallel_workers": 0,
        "inputs": [describe(cut.tail.tensors[t]) for t in cut.tail.inputs],
        "outputs": [describe(cut.tail.tensors[t]) for t in cut.tail.outputs],
        "parameters": {"uri": "./model.onnx", "version": cut.tail.sha256[:12]},
    }
    server = {
        "host": "127.0.0.1",
        "grpc_port": args.port,
        "http_port": args.port + 1,
        "metrics_port": args.port + 2,
        "parallel_workers": 0,
    }
    for name, settings in (("model-settings.json", model), ("settings.json", server)):
        (folder / name).write_text(json.dumps(settings, indent=1) + "\n")
    return [
        folder / n for n in ("model.onnx", "runtime.py", "model-settings.json", "settings.json")
    ]


def compare(graph: Graph, cut: Cut, content: bytes, count: int) -> dict[str, int | float]:
    """ONNX Runtime's answers beside midge's, for random inputs of the whole model."""
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise MissingTool(
            "--check needs the package onnxruntime: pip install onnxruntime"
        ) from None
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    head, tail = (find_backend("host").build(compile_graph(part)) for part in (cut.head, cut.tail))
    worst, differing, values = 0.0, 0, 0
    for seed in range(count):
        crossing = _crossing(cut, head.run(random_inputs(graph, seed)))
        names = [cut.tail.tensors[t].name for t in cut.tail.inputs]
        theirs = session.run(None, dict(zip(names, crossing, strict=True)))
        for a, b in zip(tail.run(crossing), theirs, strict=True):
            far = np.abs(a.astype(np.float64) - b.astype(np.float64))
            worst = max(worst, float(far.max(initial=0)))
            differing, values = differing + int((far > 0).sum()), values + far.size
    return {"inputs": count, "worst": worst, "differing": differing, "values": values}


def _crossing(cut: Cut, made: Sequence[np.ndarray]) -> list[np.ndarray]:
    values = dict(zip(cut.head.outputs, made, strict=True))
    return [values[index] for index in cut.sent]


def show(result: dict[str, Any], console: Console) -> None:
    console.print(f"the nodes from {result['cut']} on, {result['bytes']:,} bytes of ONNX")
    for path in result["files"]:
        console.print(f"  {path}", highlight=False)
    if "check" in result:
        check = result["check"]
        console.print(
            f"ONNX Runtime on {check['inputs']} inputs: {check['differing']} of {check['values']} "
            f"values differ, by {check['worst']:g} at most"
        )
