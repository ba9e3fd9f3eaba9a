"""`midge inspect MODEL`: operators, tensors, MACs, parameters."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ...runtime.graph import Graph, Node, Tensor
from ...runtime.importers import read_model
from ...runtime.ops import macs
from ...runtime.passes.recognise_bits import recognised
from ...runtime.while_loop import WhileLoop
from ..arguments import add_model
from ..graph_page import graph_page
from ..plan_page import short_name
from ..zoo import find_model

HELP = "list a model's operators and tensors, with their sizes and MACs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--html", type=Path, metavar="F", help="draw the graph as a page")


def run(args: argparse.Namespace) -> dict[str, Any]:
    path = find_model(args.model)
    graph = read_model(path)
    if args.html is not None:
        args.html.write_text(graph_page(graph, path.name))
    return {
        "operators": _operators(graph),
        "tensors": [_tensor(t) for t in graph.tensors.values()],
        "macs": sum(macs(graph, node) for node in graph.nodes),
        "parameter_bytes": _parameter_bytes(graph),
        "inputs": [_tensor(graph.tensors[i]) for i in graph.inputs],
        "outputs": [_tensor(graph.tensors[i]) for i in graph.outputs],
        "sha256": graph.sha256,
        "binarized": [dataclasses.asdict(each) for each in recognised(graph)[1]],
    }


def _operators(graph: Graph) -> list[dict[str, Any]]:
    return [
        {
            "node": i,
            "operator": node.op,
            "name": node.name,
            "inputs": node.inputs,
            "outputs": node.outputs,
            "attributes": _attributes(node),
            "output_shape": graph.output(node).shape,
            "macs": macs(graph, node),
        }
        for i, node in enumerate(graph.nodes)
    ]


def _attributes(node: Node) -> dict[str, Any]:
    if isinstance(node.attrs, WhileLoop):
        condition, body = map(_operators, node.attrs.parts)
        return {"condition": condition, "body": body}
    return dataclasses.asdict(node.attrs)


def _parameter_bytes(graph: Graph) -> int:
    """Of all constants, those of loops' parts too."""
    own = sum(tensor.bytes for tensor in graph.tensors.values() if tensor.constant)
    loops = [node.attrs for node in graph.nodes if isinstance(node.attrs, WhileLoop)]
    return own + sum(_parameter_bytes(part) for loop in loops for part in loop.parts)


def _tensor(tensor: Tensor) -> dict[str, Any]:
    quantization = tensor.quantization
    return {
        "index": tensor.index,
        "name": tensor.name,
        "shape": tensor.shape,
        "dtype": tensor.dtype,
        "bytes": tensor.bytes,
        "kind": "constant" if tensor.constant else "state" if tensor.variable else "activation",
        "scales": quantization.scales.tolist() if quantization else [],
        "zero_points": quantization.zero_points.tolist() if quantization else [],
    }


def show(result: dict[str, Any], console: Console) -> None:
    table = Table("node", "operator", "output", "MACs", "name")
    for row in result["operators"]:
        shape = "x".join(map(str, row["output_shape"]))
        table.add_row(
            str(row["node"]), row["operator"], shape, f"{row['macs']:,}", short_name(row["name"])
        )
    console.print(table)
    for end in ("inputs", "outputs"):
        for tensor in result[end]:
            console.print(f"{end[:-1]} {tensor['name']}: {tensor['dtype']} {list(tensor['shape'])}")
    console.print(f"{result['macs']:,} MACs, {result['parameter_bytes']:,} bytes of parameters")
    for layer in result["binarized"]:
        fate = f"stays float: {layer['why']}" if layer["why"] else "becomes a layer of bits"
        console.print(f"node {layer['node']} ({layer['operator']}) {fate}")
    console.print(f"sha256 {result['sha256']}")
