"""The `fpga-sim` target: what the accelerator can do runs there, the rest on the host's kernels."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...hw.driver import Driver, TileJob
from ...hw.machine import Machine
from ...hw.queue import QueueDriver, QueuePort, RunCounters, Stretch
from ...kernels.host import HostBackend, HostExecutor
from ...runtime.backend import Measurement, missing_package
from ...runtime.errors import Refusal, TargetError
from ...runtime.graph import Graph, Node
from ...runtime.lowering import Lowered
from ...runtime.program import Call, Program
from ...sim.board import SimulatedBoard, SimulatedBus
from ...sim.cxxrtl import QUICK, Recipe
from .layers import as_image, layer_jobs, operands
from .resident import Layer, layer_of, make_stretch


class FpgaSimBackend:
    """The accelerator in compiled RTL simulation, with the host for what it refuses."""

    strategy = None
    progress_bytes = 0
    several_memories = False
    rounds_in_floats = False

    def __init__(self, name: str = "fpga-sim") -> None:
        self.name = name
        self._host = HostBackend("host")
        self.alignment = self._host.alignment

    def refuse(self, graph: Graph, node: Node) -> Refusal | None:
        """What the host refuses: it runs all that the accelerator can't."""
        return self._host.refuse(graph, node)

    def lower(self, graph: Graph, node: Node) -> Lowered:
        return self._host.lower(graph, node)

    def elsewhere(self, graph: Graph, node: Node) -> Iterator[Lowered]:
        return self._host.elsewhere(graph, node)

    def build(self, program: Program, out: Path | None = None) -> FpgaExecutor:
        return FpgaExecutor(program)


@dataclass(frozen=True, eq=False)
class Resident:
    """Program items that run as one stretch, without the host."""

    items: tuple[int, ...]
    stretch: Stretch


@dataclass(frozen=True)
class PartCost:
    """What one part of an inference took, counted by the accelerator."""

    items: tuple[int, ...]
    cycles: int  # 0 on the host
    counters: RunCounters | None = None  # of a stretch
    span: tuple[int, int] = (0, 0)  # of the board's cycles, with loading and all transfers


class FpgaExecutor:
    """Walks the program: stretches that fit the chip, layers in tiles, and calls of the host.

    With a `driver` the accelerator is the one behind it, layer by layer; otherwise it is simulated,
    and has a bus and DMA.
    """

    def __init__(
        self, program: Program, machine: Machine | None = None, driver: Driver | None = None,
        recipe: Recipe = QUICK,
    ) -> None:  # fmt: skip
        self.measurement = Measurement()
        self.remarks: list[str] = []
        self.costs: list[PartCost] = []  # of the last inference, in the order of `parts`
        self.program = program
        self._host = HostExecutor(program)
        self.machine = driver.machine if driver else machine or Machine()
        self.tiles = tiled(program, self.machine)
        self.parts: Sequence[Resident | int] = range(len(program.items))
        self.board: SimulatedBoard | None = None
        if driver is not None:
            self._driver = driver
            return
        self.parts = divide(program, self.machine, self.tiles)
        # Simulating takes seconds to start: not for a program that has nothing for the array.
        self.board = _simulate(self.machine, recipe) if self.tiles else None
        if self.board is not None:
            bus = SimulatedBus(self.board)
            self._queue = QueueDriver(bus)
            self._driver = Driver(QueuePort(self._queue, bus))

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference. `measurement.cycles`: of stretches from start to interrupt, transfers
        of inputs and outputs included; of layers in tiles those of the jobs."""
        started = time.perf_counter()
        self._host.copy_in(inputs)
        self.costs = [self._part(part) for part in self.parts]
        cycles = sum(cost.cycles for cost in self.costs)
        outputs = self._host.copy_out()
        latency_ms = (time.perf_counter() - started) * 1e3
        self.measurement = Measurement(latency_ms=latency_ms, cycles=cycles)
        self.remarks = [
            f"{len(self.tiles)} of {len(self.program.items)} calls on the accelerator",
            *(
                f"calls {part.items[0]} to {part.items[-1]} run on the chip as one stretch"
                for part in self.parts
                if isinstance(part, Resident)
            ),
        ]
        return outputs

    def trace(self, inputs: Sequence[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
        """Item by item, so that each tensor comes back from the chip."""
        self._host.copy_in(inputs)
        for number in range(len(self.program.items)):
            self._item(number)
            yield from self._host.finished(number)

    def _part(self, part: Resident | int) -> PartCost:
        began = self.board.cycles if self.board else 0
        if isinstance(part, Resident):
            cost = self._stretch(part)
        else:
            cost = PartCost((part,), self._item(part))
        return replace(cost, span=(began, self.board.cycles if self.board else 0))

    def _stretch(self, part: Resident) -> PartCost:
        stretch = part.stretch
        values = [self._octets(place.tensor) for place in stretch.inputs]
        answers = self._queue.run(stretch, values)
        for place, answer in zip(stretch.outputs, answers, strict=True):
            y = self._host.tensor(place.tensor)
            y[...] = answer.view(y.dtype).reshape(y.shape)
        counters = self._queue.counters
        return PartCost(part.items, counters.cycles, counters)

    def _item(self, number: int) -> int:
        """Run one item; the accelerator's cycles."""
        if number not in self.tiles:
            self._host.run_item(number)
            return 0
        call = self.program.items[number]
        assert isinstance(call, Call)
        graph, node = self.program.graph, self.program.graph.nodes[call.node]
        images = [
            self._octets(index).reshape(as_image(graph, node, index))
            for index in operands(graph, node)
        ]
        y = self._host.tensor(node.outputs[0])
        answer, cycles = self._driver.run(self.tiles[number], *images)
        y[...] = np.ascontiguousarray(answer).view(y.dtype).reshape(y.shape)
        return cycles

    def _octets(self, tensor: int) -> np.ndarray:
        """A tensor's bytes as int8, flat."""
        return np.ascontiguousarray(self._host.tensor(tensor)).reshape(-1).view(np.int8)

    def count_jobs(self, part: Resident) -> list[int]:
        """Cycles of each of a stretch's jobs, counted by the accelerator, which runs them again one
        by one. Data are what is there: no job's cycles depend on them."""
        self._queue.load(part.stretch)
        return [self._driver.run_job(job) for job in part.stretch.jobs]

    def reset(self) -> None:
        self._host.reset()

    def close(self) -> None:
        if self.board is not None:
            self.board.close()


def _simulate(machine: Machine, recipe: Recipe) -> SimulatedBoard:
    try:
        return SimulatedBoard(machine, recipe=recipe)
    except ModuleNotFoundError as error:
        raise missing_package(error, "target fpga-sim") from None


def tiled(program: Program, machine: Machine) -> Mapping[int, list[TileJob]]:
    """Program item -> the jobs of the layer that it runs, for every item that the chip can take.

    A loop streams rows through rings, which the accelerator does not know: it stays here.
    """
    jobs = {}
    for number, item in enumerate(program.items):
        if isinstance(item, Call):
            node = program.graph.nodes[item.node]
            try:
                jobs[number] = layer_jobs(program.graph, node, machine)
            except TargetError:
                continue  # no such operator there, or too large for this machine's memories
    return jobs


def divide(
    program: Program, machine: Machine, tiles: Mapping[int, list[TileJob]]
) -> list[Resident | int]:
    """The program's items in order, neighbours on the accelerator in stretches as long as fit."""
    parts: list[Resident | int] = []
    layers = {number: _layer(program, number, machine) for number in tiles}
    number = 0
    while number < len(program.items):
        end = number
        while layers.get(end) is not None:
            end += 1
        resident = _longest(program, layers, number, end, machine)
        parts.append(resident or number)
        number = resident.items[-1] + 1 if resident else number + 1
    return parts


def _layer(program: Program, number: int, machine: Machine) -> Layer | None:
    call = program.items[number]
    assert isinstance(call, Call)
    try:
        return layer_of(program.graph, call.node, machine)
    except TargetError:
        return None


def _longest(
    program: Program, layers: Mapping[int, Layer | None], first: int, end: int, machine: Machine
) -> Resident | None:
    """The longest stretch from item `first` on, at most to `end`."""
    for last in range(end, first, -1):
        chosen = [layer for layer in (layers[n] for n in range(first, last)) if layer]
        try:
            stretch = make_stretch(program.graph, chosen, machine)
        except TargetError:
            continue
        return Resident(tuple(range(first, last)), stretch)
    return None
