"""`python -m midge.tools.accelerator_cycles MODEL ...`: cycles of the 24x16 build, simulated.

Compiling it takes a quiet core some minutes, once.
"""

from __future__ import annotations

import sys

import numpy as np

from ..hw.machine import Machine

MACHINE = Machine(
    rows=24,
    columns=16,
    weight_words=3072,
    accumulators=512,
    parameter_tiles=256,
    packed=1,
    binary=0,
)


def main(models: list[str]) -> None:
    """Run each model twice on seeded random input; print its cycles, those of the cost model, and
    whether the bits agree."""
    from ..runtime.backend import find_backend
    from ..runtime.pipeline import compile_model
    from ..targets.fpga.backend import FpgaExecutor
    from .accelerator_sim import modelled
    from .zoo import find_model

    for name in models:
        program = compile_model(find_model(name), "fpga-sim")
        rng = np.random.default_rng(0)
        inputs = [rng.integers(-128, 128, x.shape).astype(x.dtype) for x in program.inputs]
        wanted = find_backend("host").build(compile_model(find_model(name), "host")).run(inputs)
        executor = FpgaExecutor(program, MACHINE)
        for _ in range(2):
            answers = executor.run(inputs)
            same = all(np.array_equal(a, b) for a, b in zip(answers, wanted, strict=True))
            cycles = executor.measurement.cycles or 0
            print(
                f"{name}: {cycles:,} cycles, {cycles / 125e3:.3f} ms at 125 MHz, "
                f"modelled {modelled(executor):,}, same={same}",
                flush=True,
            )
        executor.close()


if __name__ == "__main__":
    main(sys.argv[1:])
