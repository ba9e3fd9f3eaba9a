"""Measure the host against other runtimes, and write docs/speed.md.

    python -m midge.tools.speed_page [--keep F.json]

Each cell is what `midge bench M --vs R --json` answers: medians of interleaved runs in one process,
on one thread. The second table is of `midge bench M --threads 2 --vs one-thread`, the third of
`python -m midge.tools.starts`.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from ..kernels.native.processor import instruction_set
from ..runtime.errors import MidgeError
from .cli import parse_and_run
from .figures import processor_name
from .kept import Kept, add_keep
from .starts import MODELS as STARTED
from .starts import measured as measured_starts

PAGE = Path(__file__).parent.parent / "docs" / "speed.md"
RUNS = {"litert": 200, "tflite": 20}
MODELS = (
    "kws_ref_model",
    "vww_96_int8",
    "pretrainedResnet_quant",
    "ad01_int8",
    "str_ww_ref_model",
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v2_1.0_224_quant",
    "mobilenetv2_160_035",
    "mcunet_vww",
)
SMALL = ("kws_ref_model", "ad01_int8", "str_ww_ref_model")  # less than 5 M MACs
LARGE = tuple(name for name in MODELS if name not in SMALL)
THREADS = """
## Two threads

`midge bench M --threads 2 --vs one-thread`, the models above 5 M MACs.

| model | two threads ms | one thread ms | ratio |
|---|---|---|---|
"""
STARTS = """
## From the start of a process to a first answer

With a warm cache, by `python -m midge.tools.starts`, which takes turns: `Interpreter` and LiteRT
with NumPy arrays, `midge.Model` with bytes. Milliseconds are of processor time, which other work
on the machine changes less than the clock's; MB the most memory of the process, in the same order.
Ratios are to LiteRT.

| model | LiteRT ms | `Interpreter` ms | ratio | `Model` ms | ratio | MB | MB | MB |
|---|---|---|---|---|---|---|---|---|
"""
HEAD = """# Speed on a computer

Measured by `python -m midge.tools.speed_page`, which writes this page, on {processor} with
the instruction set `{instructions}`, one thread{priority},
while the machine did other things too. A row is `midge bench M --vs litert` and `--vs tflite`:
medians of interleaved runs in one process. Ratios are midge's time divided by the other's. midge's
output has the bits of TensorFlow Lite's reference kernels; XNNPACK's has not.

| model | ms | LiteRT {litert} ms | ratio | tflite-runtime {tflite} ms | ratio |
|---|---|---|---|---|---|
"""


def measured(model: str) -> dict[str, dict[str, Any]]:
    """Runtime -> what `bench` answers; a runtime that is missing is left out."""
    answers = {}
    for rival, runs in RUNS.items():
        words = ("bench", model, "--vs", rival, "--runs", str(runs))
        try:
            answers[rival] = parse_and_run(words)
        except MidgeError as error:
            print(error, file=sys.stderr)
    return answers


def row(model: str, answers: dict[str, dict[str, Any]]) -> str:
    cells = [f"`{model}`"]
    own = next(iter(answers.values()), None)
    cells.append(f"{own['median_ms']:.4f}" if own else "-")
    for rival in RUNS:
        found = answers.get(rival)
        cells += [f"{found['vs_median_ms']:.4f}", f"{found['ratio']:.2f}"] if found else ["-", "-"]
    return f"| {' | '.join(cells)} |"


def threads_table(kept: Kept) -> str:
    rows, ratios = [], []
    for model in LARGE:
        words = ("bench", model, "--threads", "2", "--vs", "one-thread", "--runs", "200")
        found = kept.answer(f"{model} threads", partial(parse_and_run, words))
        ratios.append(found["ratio"])
        cells = [f"{found[key]:.4f}" for key in ("median_ms", "vs_median_ms")]
        rows.append(f"| `{model}` | {' | '.join(cells)} | {found['ratio']:.2f} |")
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    return THREADS + "\n".join([*rows, f"| geometric mean | | | {mean:.2f} |"]) + "\n"


def starts_table(kept: Kept) -> str:
    rows = []
    for model in STARTED:
        starts = kept.answer(f"{model} starts", partial(_starts, model))
        theirs = starts["litert"]["cpu_ms"]
        cells = [f"{theirs:.1f}"]
        for name in ("midge", "bytes"):
            own = starts[name]["cpu_ms"]
            cells += [f"{own:.1f}", f"{own / theirs:.2f}"]
        cells += [f"{starts[n]['memory_kb'] / 1024:.1f}" for n in ("litert", "midge", "bytes")]
        rows.append(f"| `{model}` | {' | '.join(cells)} |")
    return STARTS + "\n".join(rows) + "\n"


def _starts(model: str) -> dict[str, dict[str, Any]]:
    return {name: asdict(start) for name, start in measured_starts(model, 15).items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_keep(parser)
    kept, table = Kept(parser.parse_args().keep), {}
    for model in MODELS:
        Console(stderr=True).print(f"measuring {model}")
        table[model] = kept.answer(model, partial(measured, model))
    ratios = {r: [a[r]["ratio"] for a in table.values() if r in a] for r in RUNS}
    means = {r: math.exp(sum(map(math.log, v)) / len(v)) if v else None for r, v in ratios.items()}
    versions = {r: next((a[r]["vs_version"] for a in table.values() if r in a), "") for r in RUNS}
    first = os.sched_getscheduler(0) != os.SCHED_OTHER
    head = HEAD.format(
        processor=processor_name(),
        instructions=instruction_set(),
        priority=", before all others (`chrt -f 40`)" if first else "",
        **versions,
    )
    shown = {r: f"{mean:.2f}" if mean is not None else "-" for r, mean in means.items()}
    foot = f"| geometric mean | | | {shown['litert']} | | {shown['tflite']} |"
    page = head + "\n".join([*(row(m, a) for m, a in table.items()), foot]) + "\n"
    PAGE.write_text(page + threads_table(kept) + starts_table(kept))
    return 0


if __name__ == "__main__":
    sys.exit(main())
