"""Measure the figures of docs/flash.md, and write them there.

    python -m midge.tools.flash_figures

Guest instructions are counted exactly by QEMU; a model that is missing is left out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from ..runtime.errors import MidgeError
from .figures import MODELS, ask, write

PAGE = Path(__file__).parent.parent / "docs" / "flash.md"
TARGET = "cortex-m4"
GRANTED = (None, "128K", "1M")
COLUMNS = ("model", "--flash", "flash", "arena", "instructions", "modelled cycles")
HEAD = """# What flash buys on a Cortex-M4

Measured by `python -m midge.tools.flash_figures`, which writes this page: what `midge compile M
--target cortex-m4 --flash N --json` takes (`flash_bytes`, `arena_bytes`), and what one inference
then spends (`total` and `modelled_cycles` of `midge profile`). `-` in the second column is without
`--flash`: weights of one byte. A `-` further right: the weights alone are more than was granted.

With flash to spare, weights of convolutions and fully connected layers are kept in 16 bits, which
leaves nothing to unpack, and 3x3 convolutions run by Winograd's F(4, 3) along x in whole numbers,
with transformed weights. Which layers get which is chosen by a model of the kernels' instructions
(`targets/cortex_m/instructions.py`), most saved instructions for a byte first. Weights of 16 bits
save instructions, and hardly a cycle; Winograd saves both.

"""


def rows() -> Iterator[str]:
    yield f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n"
    for model in MODELS:
        for granted in GRANTED:
            Console(stderr=True).print(f"measuring {model} with {granted or 'no'} flash to spare")
            yield f"| {' | '.join(_row(model, granted))} |\n"


def _row(model: str, granted: str | None) -> list[str]:
    options = ("--target", TARGET, *(("--flash", granted) if granted else ()))
    found: dict[str, int] = {}
    with suppress(MidgeError):  # what is missing is left out, and so is what doesn't fit
        found |= ask("compile", model, *options, "-o", "build/figures")
        found |= ask("profile", model, *options)
    shown = (found.get(name) for name in ("flash_bytes", "arena_bytes", "total", "modelled_cycles"))
    return [f"`{model}`", granted or "-", *("-" if n is None else f"{round(n):,}" for n in shown)]


if __name__ == "__main__":
    sys.exit(write(PAGE, HEAD, rows(), __doc__))
