"""Measure the figures of docs/cores.md, and write them there.

    python -m midge.tools.core_figures

Guest instructions of one inference, counted exactly by QEMU; a model that is missing is left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from .figures import ask, cell

PAGE = Path(__file__).parent.parent / "docs" / "cores.md"
MODELS = (
    "digits",
    "kws_ref_model",
    "vww_96_int8",
    "pretrainedResnet_quant",
    "ad01_int8",
    "str_ww_ref_model",
    "micro_speech_quantized",
    "mcunet_vww",
    "mobilenetv2_160_035",
    "mnist_lstm_int8",
)
CORES = ("cortex-m0", "cortex-m4", "cortex-m7", "cortex-m55", "rv32imc")
HEAD = """# Instructions on each core

Measured by `python -m midge.tools.core_figures`, which writes this page: `instructions` of
`midge run M --target T --json`, guest instructions of one inference in QEMU. The plans are each
target's own: Cortex-M7, M55 and RV32IMC make layers whole, the others stream rows where that takes
less memory.

"""


def rows() -> Iterator[str]:
    yield f"| model | {' | '.join(CORES)} |\n{'|---' * (len(CORES) + 1)}|\n"
    for model in MODELS:
        Console(stderr=True).print(f"measuring {model}")
        yield f"| `{model}` | {' | '.join(_instructions(model, core) for core in CORES)} |\n"


def _instructions(model: str, core: str) -> str:
    return cell(lambda: ask("run", model, "--target", core)["instructions"])


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(HEAD + "".join(rows()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
