"""`midge demo`: our digit network and a real digit, on every backend there is."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ...runtime.backend import find_backend
from ...runtime.errors import MidgeError
from ...runtime.pipeline import compile_model
from ..zoo import OWN
from .run import digest

HELP = "run the digit network on every backend and compare the bits"
TARGETS = ("reference", "host", "cortex-m4", "fpga-sim", "split")
SHADES = " .:-=+*#%@"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--digit", type=int, default=6, choices=range(10), help="which (default 6)")
    parser.add_argument("--targets", default=",".join(TARGETS), metavar="A,B")


def run(args: argparse.Namespace) -> dict[str, Any]:
    image = np.load(OWN / "digits_inputs.npy")[args.digit : args.digit + 1]
    notes = Console(stderr=True)
    rows = []
    for target in args.targets.split(","):
        with notes.status(f"{target} ..."):
            rows.append(_row(target, image))
    digests = {row["output_sha256"] for row in rows if "error" not in row}
    complete = all("error" not in row for row in rows)
    return {
        "digit": args.digit,
        "image": image[0, :, :, 0],
        "backends": rows,
        "equal": len(digests) == 1,
        "exit_code": 0 if complete and len(digests) == 1 else 1,
    }


def _row(target: str, image: np.ndarray) -> dict[str, Any]:
    try:
        program = compile_model(OWN / "digits.tflite", target)
        executor = find_backend(target).build(program)
        try:
            executor.run([image])  # the first run also meets compilers and caches
            outputs = executor.run([image])
            measured = executor.measurement
            remarks = list(getattr(executor, "remarks", ()))
        finally:
            executor.close()
    except MidgeError as error:
        return {"target": target, "error": str(error)}
    return {
        "target": target,
        "predicted": int(outputs[0].argmax()),
        "output_sha256": digest(outputs),
        "arena_bytes": program.arena_bytes,
        "latency_ms": measured.latency_ms,
        "instructions": measured.instructions,
        "cycles": measured.cycles,
        "remarks": remarks,
    }


def show(result: dict[str, Any], console: Console) -> None:
    console.print(_picture(np.asarray(result["image"])), highlight=False, markup=False)
    table = Table("backend", "digit", "output SHA-256", "arena bytes", "cost of one inference")
    for row in result["backends"]:
        if "error" in row:
            table.add_row(row["target"], "-", "-", "-", "-")
            continue
        table.add_row(
            row["target"],
            str(row["predicted"]),
            row["output_sha256"][:16],
            f"{row['arena_bytes']:,}",
            _cost(row),
        )
    console.print(table)
    for row in result["backends"]:
        for remark in [row["error"]] if "error" in row else row["remarks"]:
            console.print(f"{row['target']}: {remark}", markup=False, highlight=False)
    console.print(_verdict(result["backends"], result["equal"]))


def _verdict(rows: list[dict[str, Any]], equal: bool) -> str:
    ran = sum("error" not in row for row in rows)
    bits = "the same bits" if equal else "[red]bits that differ"
    return f"{ran} of {len(rows)} backends ran, and gave {bits}"


def _cost(row: dict[str, Any]) -> str:
    costs = []
    if row["instructions"] is not None:
        costs.append(f"{row['instructions']:,} instructions")
    if row["cycles"] is not None:
        costs.append(f"{row['cycles']:,} cycles")
    if row["latency_ms"] is not None and not costs:
        costs.append(f"{row['latency_ms']:.3f} ms")
    return ", ".join(costs)


def _picture(image: np.ndarray) -> str:
    """The digit in characters, which are twice as high as wide: two rows of pixels make one."""
    grey = image.astype(np.int16) - int(image.min())
    paired = np.maximum(grey[0::2], grey[1::2]) * (len(SHADES) - 1) // max(int(grey.max()), 1)
    return "\n".join("".join(SHADES[value] for value in row) for row in paired).rstrip()
