"""The `fpga-sim` target: convolutions and fully connected layers on the array, the rest here."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ...hw.driver import TileJob
from ...hw.machine import Machine
from ...kernels.convolution import requantization
from ...kernels.host import HostBackend, HostExecutor
from ...runtime.backend import Measurement, missing_package
from ...runtime.errors import Refusal, TargetError
from ...runtime.graph import Graph, Node
from ...runtime.lowering import Lowered
from ...runtime.ops import Padding
from ...runtime.program import Call, Program
from ...sim.accelerator import SimulatedAccelerator
from .lower import conv2d_job, fully_connected_job


class FpgaSimBackend:
    """The accelerator in compiled RTL simulation, with the host for what the array refuses."""

    strategy = None
    progress_bytes = 0

    def __init__(self, name: str = "fpga-sim") -> None:
        self.name = name
        self._host = HostBackend("host")
        self.alignment = self._host.alignment

    def refuse(self, graph: Graph, node: Node) -> Refusal | None:
        """What the host refuses: it runs all that the array can't."""
        return self._host.refuse(graph, node)

    def lower(self, graph: Graph, node: Node) -> Lowered:
        return self._host.lower(graph, node)

    def build(self, program: Program, out: Path | None = None) -> FpgaExecutor:
        return FpgaExecutor(program)


class FpgaExecutor:
    """Walks the program's items; those that the array takes go to the accelerator."""

    def __init__(self, program: Program) -> None:
        self.measurement = Measurement()
        self.remarks: list[str] = []
        self.program = program
        self._host = HostExecutor(program)
        self._jobs = accelerated(program, Machine())
        # Simulating takes seconds to start: not for a program that has nothing for the array.
        self._accelerator = _simulate() if self._jobs else None

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference. `measurement.cycles` are those of the accelerator's jobs."""
        started = time.perf_counter()
        self._host.copy_in(inputs)
        cycles = sum(self._item(number) for number in range(len(self.program.items)))
        outputs = self._host.copy_out()
        latency_ms = (time.perf_counter() - started) * 1e3
        self.measurement = Measurement(latency_ms=latency_ms, cycles=cycles)
        self.remarks = [f"{len(self._jobs)} of {len(self.program.items)} calls on the array"]
        return outputs

    def trace(self, inputs: Sequence[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
        self._host.copy_in(inputs)
        for number in range(len(self.program.items)):
            self._item(number)
            yield from self._host.finished(number)

    def _item(self, number: int) -> int:
        """Run one item; the accelerator's cycles."""
        if self._accelerator is None or number not in self._jobs:
            self._host.run_item(number)
            return 0
        call = self.program.items[number]
        assert isinstance(call, Call)
        node = self.program.graph.nodes[call.node]
        x, y = (self._host.tensor(index) for index in (node.operands[0], node.outputs[0]))
        image = x.reshape(1, 1, -1) if node.op == "fully_connected" else x[0]
        answer, cycles = self._accelerator.run(self._jobs[number], image)
        y[...] = answer.reshape(y.shape)
        return cycles

    def reset(self) -> None:
        self._host.reset()

    def close(self) -> None:
        if self._accelerator is not None:
            self._accelerator.close()


def _simulate() -> SimulatedAccelerator:
    try:
        return SimulatedAccelerator(machine=Machine())
    except ModuleNotFoundError as error:
        raise missing_package(error, "target fpga-sim") from None


def accelerated(program: Program, machine: Machine) -> Mapping[int, list[TileJob]]:
    """Program item -> the jobs of the layer that it runs, for every item that the array can take.

    A loop streams rows through rings, which the array's driver does not know yet: it stays here.
    """
    jobs = {}
    for number, item in enumerate(program.items):
        if isinstance(item, Call):
            node = program.graph.nodes[item.node]
            if fits_the_array(program.graph, node):
                try:
                    jobs[number] = layer_jobs(program.graph, node, machine)
                except TargetError:
                    continue  # too large for this machine's memories
    return jobs


def fits_the_array(graph: Graph, node: Node) -> bool:
    """int8 convolutions of one image and group, and fully connected layers, with int8 weights."""
    if node.op not in ("conv2d", "fully_connected"):
        return False
    x, weights = graph.input(node), graph.input(node, 1)
    if x.dtype != "int8" or weights.dtype != "int8":
        return False
    if weights.quantization is None or weights.quantization.zero_points.any():
        return False
    if node.op == "fully_connected":
        return x.elements == weights.shape[1]
    return x.shape[0] == 1 and x.shape[3] == weights.shape[3]


def layer_jobs(graph: Graph, node: Node, machine: Machine) -> list[TileJob]:
    """The accelerator's jobs for a node that fits; `TargetError` if its memories are too small."""
    x, weights = graph.input(node), graph.input(node, 1).data
    assert weights is not None
    rule = requantization(graph, node, len(weights))
    constants = (weights, rule.bias, rule.multiplier, rule.shift)
    quantized = {
        "input_zero_point": x.zero_point,
        "output_zero_point": rule.zero_point,
        "clamp": (rule.least, rule.greatest),
        "machine": machine,
    }
    if node.op == "fully_connected":
        return fully_connected_job(*constants, **quantized)
    pad: Padding = node.attrs.padding
    return conv2d_job(
        x.shape[1:],
        *constants,
        stride=node.attrs.stride,
        dilation=node.attrs.dilation,
        padding=(pad.top, pad.bottom, pad.left, pad.right),
        **quantized,
    )
