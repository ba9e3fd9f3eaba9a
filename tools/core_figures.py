"""Measure the figures of docs/cores.md, and write them there.

    python -m midge.tools.core_figures

Guest instructions of one inference, counted exactly by QEMU, and bytes of flash; a model that is
missing is left out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from ..runtime.errors import MidgeError
from ..runtime.lowering import Constant
from ..runtime.pipeline import compile_model
from ..targets.cortex_m.lowering import lower
from . import figures
from .figures import ask, cell, write
from .zoo import find_model

PAGE = Path(__file__).parent.parent / "docs" / "cores.md"
MODELS = (
    *figures.MODELS,
    "micro_speech_quantized",
    "mcunet_vww",
    "mobilenetv2_160_035",
    "mnist_lstm_int8",
)
TINY = MODELS[1:6]  # of MLPerf Tiny
CORES = ("cortex-m0", "cortex-m4", "cortex-m7", "cortex-m55", "rv32imc")
HEAD = """# Instructions on each core

Measured by `python -m midge.tools.core_figures`, which writes this page: `instructions` of
`midge run M --target T --json`, guest instructions of one inference in QEMU. The plans are each
target's own: Cortex-M7, M55 and RV32IMC make layers whole, the others stream rows where that takes
less memory.

"""


BYTES = """
## What they take on Cortex-M4

`flash` is `flash_bytes` of `midge compile M --target cortex-m4 -o D --json`: what the model adds to
a firmware. `parameters` is what of it are weights, biases, multipliers and shifts, in the form in
which the kernels read them; the rest is code, row tables, the calls and their numbers, tables of
functions. `cycles` is `modelled_cycles` of `midge profile M --target cortex-m4 --json`.

| model | flash | parameters | the rest | cycles |
|---|---|---|---|---|
"""
ROWS = """
## Rows against layers

Instructions with `--strategy rows` more than with `--strategy layers`, and the arenas in bytes.

"""
PARAMETERS = ("weights", "bias", "multiplier", "shift")
SIZED = "cortex-m4"


def rows() -> Iterator[str]:
    yield f"| model | {' | '.join(CORES)} |\n{'|---' * (len(CORES) + 1)}|\n"
    for model in MODELS:
        Console(stderr=True).print(f"measuring {model}")
        yield f"| `{model}` | {' | '.join(_instructions(model, core) for core in CORES)} |\n"
    yield BYTES
    yield from (_bytes(model) for model in TINY)
    yield ROWS
    yield f"| model | {' | '.join(CORES)} |\n{'|---' * (len(CORES) + 1)}|\n"
    for model in TINY:
        Console(stderr=True).print(f"streaming {model}")
        yield f"| `{model}` | {' | '.join(_streamed(model, core) for core in CORES)} |\n"


def _instructions(model: str, core: str) -> str:
    return cell(lambda: ask("run", model, "--target", core)["instructions"])


def _bytes(model: str) -> str:
    try:
        flash = ask("compile", model, "--target", SIZED, "-o", "build/cores")["flash_bytes"]
        parameters = parameter_bytes(model)
    except MidgeError as error:
        print(error, file=sys.stderr)
        return f"| `{model}` | - | - | - | - |\n"
    cycles = cell(lambda: ask("profile", model, "--target", SIZED)["modelled_cycles"])
    rest = flash - parameters
    return f"| `{model}` | {flash:,} | {parameters:,} | {rest:,} | {cycles} |\n"


def parameter_bytes(model: str, target: str = SIZED) -> int:
    """Bytes of the weights, biases, multipliers and shifts of a model as its kernels read them."""
    program = compile_model(find_model(model), target)
    made = {(call.node, call.kernel) for call in program.calls()}
    found: set[bytes] = set()  # what is the same is there once
    for node in {node for node, _ in made}:
        ways = lower(program.graph, program.graph.nodes[node], target).ways
        way = next(way for way in ways if (node, way.kernel) in made)
        fields = [value for name, value in way.fields.items() if name in PARAMETERS]
        found |= {value.array.tobytes() for value in fields if isinstance(value, Constant)}
    return sum(map(len, found))


def _streamed(model: str, core: str) -> str:
    try:
        layers, rows = (
            ask("run", model, "--target", core, "--strategy", strategy)
            for strategy in ("layers", "rows")
        )
    except MidgeError as error:
        print(error, file=sys.stderr)
        return "-"
    more = 100 * (rows["instructions"] / layers["instructions"] - 1)
    return f"{more:+.1f} %, {rows['arena_bytes']:,} of {layers['arena_bytes']:,}"


if __name__ == "__main__":
    sys.exit(write(PAGE, HEAD, rows(), __doc__))
