"""Whole models in the accelerator's simulation, twice on one device, against the reference.

    python -m midge.tools.accelerator_sweep [MODEL ...]

prints a row of docs/accelerator.md for each model: the bits of both runs compared with those of the
reference, and the cycles of each, on other random input. A model that is missing is left out.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from ..runtime.backend import find_backend
from ..runtime.errors import ModelError
from ..runtime.plan_cache import compile_cached
from ..runtime.program import Program
from ..targets.fpga.backend import FpgaExecutor, Resident
from .arguments import random_inputs
from .zoo import find_model

MODELS = (
    "digits", "digits_bnn", "pretrainedResnet_quant", "kws_ref_model", "vww_96_int8", "ad01_int8",
    "str_ww_ref_model", "mcunet_vww", "mobilenetv2_160_035",
)  # fmt: skip
HEAD = """| model | calls on the chip | in stretches | cycles | again | bits |
|---|--:|--:|--:|--:|---|"""


def sweep(models: Sequence[str]) -> int:
    """Print a row for each model; how many did not give the reference's bits."""
    print(HEAD, flush=True)
    wrong = 0
    for name in models:
        try:
            path = find_model(name)
        except ModelError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        reference = compile_cached(path, "reference")
        equal, row = _row(compile_cached(path, "fpga-sim"), reference)
        wrong += not equal
        print(f"| `{name}` | {row} | {'the same' if equal else '**other**'} |", flush=True)
    return wrong


def _row(program: Program, reference: Program) -> tuple[bool, str]:
    """Three inferences on one device, the first two on the same input."""
    truth = find_backend("reference").build(reference)
    executor = FpgaExecutor(program)
    cycles, equal = [], True
    try:
        for seed in (0, 0, 1):
            inputs = random_inputs(program.graph, seed)
            answers, wanted = executor.run(inputs), truth.run(inputs)
            equal &= all(map(np.array_equal, answers, wanted))
            cycles.append(executor.measurement.cycles or 0)
    finally:
        executor.close()
        truth.close()
    inside = sum(len(part.items) for part in executor.parts if isinstance(part, Resident))
    equal &= len(set(cycles)) == 1
    on_chip = f"{len(executor.tiles)} of {len(program.items)}"
    return equal, f"{on_chip} | {inside} | {cycles[0]:,} | {cycles[1]:,}"


if __name__ == "__main__":
    sys.exit(sweep(sys.argv[1:] or MODELS) > 0)
