"""Measure the figures of the README's table, and write them there.

    python -m midge.tools.figures

Arena bytes are the planner's; instructions are exact counts of QEMU; cycles are the RTL's; host
times are medians of interleaved runs in one process, given as ratios. What a machine lacks is left
out.
"""

from __future__ import annotations

import argparse
import platform
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from ..kernels.native.processor import instruction_set
from ..runtime.errors import MidgeError
from .cli import parse_and_run

README = Path(__file__).parent.parent / "README.md"
TABLE = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- end of figures -->)", re.DOTALL)
MODELS = (
    "digits",
    "kws_ref_model",
    "vww_96_int8",
    "pretrainedResnet_quant",
    "ad01_int8",
    "str_ww_ref_model",
)
HEAD = """Measured by `python -m midge.tools.figures`; the host is {processor}, `{instructions}`.

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
    argparse.ArgumentParser(description=__doc__).parse_args()
    head = HEAD.format(instructions=instruction_set(), processor=processor_name())
    table = head + "".join(rows())
    README.write_text(TABLE.sub(lambda _: table, README.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
