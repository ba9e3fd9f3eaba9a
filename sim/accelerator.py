"""The accelerator in compiled simulation, used through its own driver."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..hw.driver import Driver, TileJob
from ..hw.machine import Machine
from .cxxrtl import Simulation

_PATIENCE = 1 << 20  # cycles that a transfer may be held up by a job


class SimulatedPort:
    """The host port of an `Accelerator` under simulation (`hw.driver.Port`)."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def write(self, address: int, words: np.ndarray) -> None:
        """Write uint32 words from an address on."""
        self._transfer(address, len(words), write=True, words=words)

    def read(self, address: int, count: int) -> np.ndarray:
        """Read `count` uint32 words from an address on."""
        return self._transfer(address, count, write=False, words=np.zeros(count, np.uint32))

    def step(self, cycles: int) -> None:
        """Run clock cycles."""
        self._simulation.step(cycles)

    def _transfer(self, address: int, count: int, write: bool, words: np.ndarray) -> np.ndarray:
        inputs = {
            "host__valid": np.ones(count, np.uint32),
            "host__write": np.full(count, write, np.uint32),
            "host__address": address + 4 * np.arange(count, dtype=np.uint32),
            "host__write_data": words,
        }
        answer = self._simulation.play(
            count, inputs, ["host__read_data"], hold="host__ready", limit=_PATIENCE + 4 * count
        )
        self._simulation.set("host__valid", 0)
        return answer["host__read_data"]


class SimulatedAccelerator:
    """An accelerator of some size, simulated cycle by cycle.

    The first use of a size compiles it, which takes a C++ compiler about a minute.
    """

    def __init__(self, rows: int = 8, columns: int = 8, machine: Machine | None = None) -> None:
        from ..hw.accelerator import Accelerator  # needs Amaranth; the driver does not

        self.simulation = Simulation(Accelerator(machine or Machine(rows=rows, columns=columns)))
        self.driver = Driver(SimulatedPort(self.simulation))

    @property
    def machine(self) -> Machine:
        """The sizes, as the device reports them."""
        return self.driver.machine

    def run(self, tiles: Sequence[TileJob], *operands: np.ndarray) -> tuple[np.ndarray, int]:
        """(output, cycles) of one layer, as `Driver.run`."""
        return self.driver.run(tiles, *operands)

    def close(self) -> None:
        """Free the simulation."""
        self.simulation.close()
