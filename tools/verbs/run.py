"""`midge run MODEL --target T`: one inference."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from ...runtime.backend import Measurement, check_inputs, find_backend
from ...runtime.graph import Tensor
from ...runtime.program import Program
from ..arguments import (
    add_model,
    add_planning,
    add_target,
    compile_for,
    load_inputs,
    memories,
)

HELP = "run one inference on any target"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_target(parser)
    add_planning(parser)
    parser.add_argument("--input", nargs="+", metavar="F.npy", help="one file for each input")
    parser.add_argument("--output", nargs="+", metavar="F.npy", help="write the outputs there")
    parser.add_argument("--seed", type=int, default=0, help="of the random input (default 0)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    program = compile_for(args)
    inputs = check_inputs(program.graph, load_inputs(program.graph, args.input, args.seed))
    executor = find_backend(args.target).build(program)
    try:
        outputs = executor.run(inputs)
        measured = executor.measurement
        remarks = getattr(executor, "remarks", ())
        stack = getattr(executor, "stack_bytes", None)
        bound = getattr(executor, "stack_bound", None)
    finally:
        executor.close()
    for path, value in zip(args.output or (), outputs, strict=False):
        np.save(Path(path), value)
    result = answer(args.target, program, outputs, measured, remarks)
    return result | {"stack_bytes": stack, "stack_bound": bound}


def answer(
    target: str,
    program: Program,
    outputs: list[np.ndarray],
    measured: Measurement,
    remarks: Sequence[str],
    tensors: Sequence[Tensor] | None = None,
) -> dict[str, Any]:
    """The object that every inference answers with; `tensors` are the outputs if not all."""
    return {
        "target": target,
        "output_sha256": digest(outputs),
        "outputs": [
            {"name": tensor.name, "dtype": tensor.dtype, "shape": value.shape, **_peak(value)}
            for tensor, value in zip(tensors or program.outputs, outputs, strict=True)
        ],
        "arena_bytes": program.used_bytes,
        "memories": memories(program),
        "extra_macs": program.extra_part,
        "latency_ms": measured.latency_ms,
        "instructions": measured.instructions,
        "cycles": measured.cycles,
        "remarks": list(remarks),
    }


def digest(outputs: list[np.ndarray]) -> str:
    """SHA-256 over the raw bytes of all outputs in order."""
    sha = hashlib.sha256()
    for value in outputs:
        sha.update(np.ascontiguousarray(value).tobytes())
    return sha.hexdigest()


def _peak(value: np.ndarray) -> dict[str, Any]:
    """The whole value, and where it is greatest: a classifier's answer."""
    flat = value.reshape(-1)
    best = int(flat.argmax()) if flat.size else None
    return {"argmax": best, "max": flat[best] if best is not None else None, "values": flat}


def show(result: dict[str, Any], console: Console) -> None:
    for output in result["outputs"]:
        console.print(
            f"{output['name']}: {output['dtype']} {list(output['shape'])}, "
            f"greatest {output['max']} at {output['argmax']}",
            markup=False,
        )
    console.print(f"sha256 {result['output_sha256']}")
    for name, unit in (
        ("arena_bytes", "bytes of arena"),
        ("latency_ms", "ms"),
        ("instructions", "guest instructions"),
        ("cycles", "clock cycles"),
    ):
        if result[name] is not None:
            number = result[name]
            console.print(f"{number:,.3f} {unit}" if name == "latency_ms" else f"{number:,} {unit}")
    if result.get("stack_bytes") is not None:
        stack, bound = result["stack_bytes"], result["stack_bound"]
        console.print(f"{stack:,} bytes of stack, by its code at most {bound:,}")
    for remark in result["remarks"]:
        console.print(remark, markup=False)
