"""Measure processes from their start to a first answer, with warm caches.

    python -m midge.tools.starts [MODEL ...] [--runs N]

Each start is a process of its own that imports a runtime, opens a model, and infers once: `midge`
and `litert` with NumPy arrays by `Interpreter`, `bytes` by `midge.Model`. They take turns; medians
are given of wall time and of processor time (user and system), and the most memory that a process
had (VmHWM, which the process reads itself).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from ..runtime.errors import MidgeError, ToolError
from .zoo import find_model

_ARRAYS = """
import sys
import numpy as np
from {module} import Interpreter
interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
for detail in interpreter.get_input_details():
    interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
interpreter.invoke()
answers = [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]
"""
_BYTES = """
import sys
from midge import Model
model = Model(sys.argv[1])
answers = model.run(*(bytes(each["bytes"]) for each in model.inputs))
assert "numpy" not in sys.modules
"""
_MEMORY = """
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
STARTS: Mapping[str, str] = {
    "midge": _ARRAYS.format(module="midge") + _MEMORY,
    "bytes": _BYTES + _MEMORY,
    "litert": _ARRAYS.format(module="ai_edge_litert.interpreter") + _MEMORY,
}
MODELS = ("kws_ref_model", "vww_96_int8", "mobilenet_v2_1.0_224_quant")


@dataclass(frozen=True)
class Start:
    """Milliseconds of wall and processor time, and most memory in KB."""

    wall_ms: float
    cpu_ms: float
    memory_kb: int


def start_once(program: str, model: str) -> Start:
    """One process; its answer to how much memory it had must be there."""
    command = [sys.executable, "-c", program, model]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    with process.stdout as stream:
        lines = stream.read().decode().splitlines() or [""]
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise ToolError(f"a start of {model} failed: {lines[-1]}")
    return Start(wall * 1e3, (used.ru_utime + used.ru_stime) * 1e3, int(lines[-1]))


def measured(model: str, runs: int) -> dict[str, Start]:
    """Medians, of time; the first of each fills the caches and is left out."""
    path = str(find_model(model))
    taken: dict[str, list[Start]] = {name: [] for name in STARTS}
    for _ in range(runs + 1):
        for name, program in STARTS.items():
            taken[name].append(start_once(program, path))
    return {name: _median(starts[1:]) for name, starts in taken.items()}


def _median(starts: Sequence[Start]) -> Start:
    return Start(
        statistics.median(start.wall_ms for start in starts),
        statistics.median(start.cpu_ms for start in starts),
        max(start.memory_kb for start in starts),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL")
    parser.add_argument("--runs", type=int, default=15, help="of each (default 15)")
    args = parser.parse_args()
    table = Table("model", "start", "wall ms", "ratio", "processor ms", "ratio", "MB", "ratio")
    for model in args.models:
        try:
            starts = measured(model, args.runs)
        except MidgeError as error:
            Console(stderr=True).print(str(error), style="red", markup=False)
            return 1
        theirs = starts["litert"]
        for name, own in starts.items():
            table.add_row(
                model,
                name,
                f"{own.wall_ms:.1f}",
                f"{own.wall_ms / theirs.wall_ms:.2f}",
                f"{own.cpu_ms:.1f}",
                f"{own.cpu_ms / theirs.cpu_ms:.2f}",
                f"{own.memory_kb / 1024:.1f}",
                f"{own.memory_kb / theirs.memory_kb:.2f}",
            )
    Console(width=100).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
