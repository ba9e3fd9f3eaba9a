"""Measure the figures of docs/figures.md, and write them there.

    python -m midge.tools.figures

Arena bytes are the planner's; instructions are exact counts of QEMU; host times are medians of
interleaved runs in one process, given as ratios. What is missing on this machine is left out.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from ..kernels.native.processor import instruction_set
from ..runtime.errors import MidgeError
from .cli import parse_and_run

PAGE = Path(__file__).parent.parent / "docs" / "figures.md"
MODELS = (
    "digits",
    "kws_ref_model",
    "vww_96_int8",
    "pretrainedResnet_quant",
    "ad01_int8",
    "str_ww_ref_model",
)
HEAD = """# Figures

Measured by `python -m midge.tools.figures`, which writes this page. Each column names the command
that gives one of its cells.

- MACs: `midge inspect M --json`
- arena: `midge plan M --target cortex-m4 --json` (`arena_bytes`, kernel scratch included)
- Cortex-M4: `midge run M --target cortex-m4 --json` (`instructions`, guest instructions of one
  inference in QEMU) and `midge compile M --target cortex-m4 -o D --json` (`flash_bytes`)
- the other cores: [instructions](cores.md), by `python -m midge.tools.core_figures`
- accelerator: `midge run M --target fpga-sim --json` (`cycles` of the 8x8 accelerator, transfers
  included; what it doesn't take runs on the host and isn't counted)
- host: `midge bench M --vs tflite` and `--vs litert` on one thread (`ratio`: midge's time divided
  by that of tflite-runtime 2.14, and of today's LiteRT with XNNPACK), here with the instruction
  set `{instructions}` of {processor}

"""
COLUMNS = (
    "model",
    "MACs",
    "arena",
    "M4 instructions",
    "M4 flash",
    "8x8 cycles",
    "vs tflite",
    "vs LiteRT",
)


def row(model: str) -> list[str]:
    m4 = ("--target", "cortex-m4")
    return [
        f"`{model}`",
        cell(lambda: ask("inspect", model)["macs"]),
        cell(lambda: ask("plan", model, *m4)["arena_bytes"]),
        cell(lambda: ask("run", model, "--target", "cortex-m4")["instructions"]),
        cell(
            lambda: ask("compile", model, "--target", "cortex-m4", "-o", "build/figures")[
                "flash_bytes"
            ]
        ),
        cell(lambda: ask("run", model, "--target", "fpga-sim")["cycles"]),
        cell(lambda: ask("bench", model, "--vs", "tflite", "--runs", "200")["ratio"]),
        cell(lambda: ask("bench", model, "--vs", "litert", "--runs", "200")["ratio"]),
    ]


def ask(*arguments: str) -> dict:
    """The object that a verb answers with."""
    return parse_and_run(arguments)


def cell(measure: Callable[[], float | int]) -> str:
    try:
        value = measure()
    except MidgeError as error:
        print(error, file=sys.stderr)
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}"


def rows() -> Iterator[str]:
    yield f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n"
    for model in MODELS:
        Console(stderr=True).print(f"measuring {model}")
        yield f"| {' | '.join(row(model))} |\n"


def processor_name() -> str:
    """The processor's name, as Linux has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def write(page: Path, head: str, rows: Iterator[str], described: str | None) -> int:
    """The page that a command without options makes."""
    argparse.ArgumentParser(description=described).parse_args()
    page.parent.mkdir(exist_ok=True)
    page.write_text(head + "".join(rows))
    return 0


def main() -> int:
    head = HEAD.format(instructions=instruction_set(), processor=processor_name())
    return write(PAGE, head, rows(), __doc__)


if __name__ == "__main__":
    sys.exit(main())
