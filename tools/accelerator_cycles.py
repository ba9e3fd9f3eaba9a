"""Cycles of the 24x16 build, simulated, and what its multipliers do in them.

    python -m midge.tools.accelerator_cycles MODEL ...

Each model runs twice, on the same seeded input: cycles from start to interrupt, those of the cost
model, and whether the bits are the reference's. Then a row for each layer of 3x3 windows with 16 or
more channels: its cycles as the accelerator counts them, and the part of its engine's multipliers
that they keep busy. The first run compiles the design, without optimization: a quiet core takes
some minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

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
WINDOW, CHANNELS = (3, 3), 16


def main(models: list[str]) -> None:
    """Run the models, and print what was counted."""
    from ..runtime.backend import find_backend
    from ..runtime.pipeline import compile_model
    from ..sim.cxxrtl import QUICK, UNOPTIMIZED
    from ..targets.fpga.backend import FpgaExecutor
    from .accelerator_sim import describe
    from .zoo import find_model

    for name in models:
        program = compile_model(find_model(name), "fpga-sim")
        rng = np.random.default_rng(0)
        inputs = [rng.integers(-128, 128, x.shape).astype(x.dtype) for x in program.inputs]
        truth = find_backend("reference").build(compile_model(find_model(name), "reference"))
        wanted = truth.run(inputs)
        executor = FpgaExecutor(program, MACHINE, recipe=replace(QUICK, flags=UNOPTIMIZED))
        for _ in range(2):
            answers = executor.run(inputs)
            same = all(np.array_equal(a, b) for a, b in zip(answers, wanted, strict=True))
            result = describe(executor)
            cycles = result["cycles"]
            print(
                f"{name}: {cycles:,} cycles, {cycles / 125e3:.3f} ms at 125 MHz, "
                f"modelled {result['modelled_cycles']:,}, same={same}",
                flush=True,
            )
        for row in windows(program, result):
            print(row)
        executor.close()


def windows(program: Any, result: dict[str, Any]) -> Iterator[str]:
    """A row for each layer with such windows, and the least use of each engine."""
    least: dict[str, float] = {}
    for layer in result["layers"]:
        node = program.graph.nodes[layer["node"]]
        if node.op not in ("conv2d", "depthwise_conv2d") or layer["engine"] == "host":
            continue
        x, weights = program.graph.input(node), program.graph.input(node, 1)
        if weights.shape[1:3] != WINDOW or x.shape[3] < CHANNELS:
            continue
        engine, use = layer["engine"], layer["utilisation"]
        least[engine] = min(use, least.get(engine, 1.0))
        yield (
            f"  {layer['node']} {node.op} of {x.shape[3]} channels: "
            f"{layer['counted_cycles']:,} cycles, {use:.1%} of the {engine}"
        )
    for engine, use in least.items():
        yield f"  {engine}: at least {use:.1%} in 3x3 layers of {CHANNELS} channels and more"


if __name__ == "__main__":
    main(sys.argv[1:])
