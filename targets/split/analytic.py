"""Profiles of boards without the board: instructions counted in the emulator, cycles from the
accelerator's cost model."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from ...runtime.backend import find_backend
from ...runtime.errors import TargetError
from ...runtime.graph import Graph
from ...runtime.options import Options
from ...runtime.pipeline import compile_graph
from .costs import Profile

if TYPE_CHECKING:  # Amaranth is of the extra midge[fpga]
    from ...hw.machine import Machine


def counted_profile(graph: Graph, inputs: list[np.ndarray], target: str, hz: float) -> Profile:
    """Each node's instructions on an emulated core, as time at `hz`.

    Where the core has a model of cycles (`sim/cycles.py`), instructions are weighted by what the
    whole model takes of them, else one takes one cycle.
    """
    program = compile_graph(graph, target, Options(strategy="layers"))
    executor = find_backend(target).build(program)
    try:
        if not hasattr(executor, "profile"):
            raise TargetError(f"target {target} counts nothing; the emulated cores do")
        counted = executor.profile(inputs)
    finally:
        executor.close()
    cycles = (counted.modelled_cycles or counted.total) / counted.total
    spent = [0.0] * len(graph.nodes)
    for cost in counted.calls:
        spent[cost.call.node] += cost.cost * cycles * 1e3 / hz
    return Profile(graph.sha256, f"{target} at {hz / 1e6:g} MHz, counted", _prefixes(spent))


def accelerator_profile(graph: Graph, machine: Machine, hz: float) -> tuple[Profile, list[int]]:
    """Each node's cycles by the accelerator's cost model (`targets/fpga/cost.py`), as time at `hz`.

    Also the nodes that its host would run, whose time isn't in it. Transfers between chip and
    memory aren't either: layers that stay on the chip need none.
    """
    from ..fpga.backend import Resident, divide, tiled
    from ..fpga.cost import estimate_cycles

    program = compile_graph(graph, "fpga-sim")
    spent = [0.0] * len(graph.nodes)
    on_chip = set()
    tiles = tiled(program, machine)
    for part in divide(program, machine, tiles):
        if isinstance(part, Resident):
            pairs = list(zip(part.stretch.nodes, part.stretch.jobs, strict=True))
        elif part in tiles:
            node = program.items[part].node  # type: ignore[union-attr]
            pairs = [(node, job) for tile in tiles[part] for job in tile.jobs]
        else:
            continue
        for node, job in pairs:
            spent[node] += estimate_cycles(job, machine) * 1e3 / hz
            on_chip.add(node)
    away = [n for n in range(len(graph.nodes)) if n not in on_chip]
    name = f"fpga {machine.rows}x{machine.columns} at {hz / 1e6:g} MHz, modelled"
    return Profile(graph.sha256, name, _prefixes(spent)), away


def _prefixes(spent: list[float]) -> tuple[float, ...]:
    return tuple(accumulate(spent, initial=0.0))
