"""The driver: moves data to and from an accelerator, and never waits for ever.

It knows a device only as a `Port`, so the same driver runs a simulation and a board.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..runtime.errors import ExecutionError, InputError
from .commands import Job
from .machine import IDENTITY, Machine, Region, Register, Status


class Port(Protocol):
    """How a host reaches the address map. Addresses are in bytes, data are 32-bit words."""

    def write(self, address: int, words: np.ndarray) -> None:
        """Write uint32 words from an address on."""

    def read(self, address: int, count: int) -> np.ndarray:
        """Read `count` uint32 words from an address on."""

    def step(self, cycles: int) -> None:
        """Let the device work for about so many of its clock cycles."""


@dataclass(frozen=True, eq=False)
class TileJob:
    """A job and the data that it needs: a layer, or as much of it as the memories hold."""

    job: Job
    weights: np.ndarray  # uint32 words, from job.weight_address on
    parameters: np.ndarray  # uint32 words, from job.parameter_address on
    input_rows: tuple[int, int]  # of the layer's input: first, last + 1
    output_rows: tuple[int, int]  # of the layer's output
    output_channels: tuple[int, int]


class Driver:
    """Runs layers on the accelerator behind a port."""

    def __init__(self, port: Port) -> None:
        self._port = port
        if (identity := self._register(Register.IDENTITY)) != IDENTITY:
            raise ExecutionError(
                f"an accelerator answers with {IDENTITY:#010x}; this device with {identity:#010x}"
            )
        sizes = port.read(Register.MACHINE, len(Machine().to_words()))
        self.machine = Machine.from_words(list(sizes))
        self.reset()

    def reset(self) -> None:
        """Drop all jobs and clear the counters."""
        self._port.write(Register.CONTROL, np.ones(1, np.uint32))
        self._port.step(2)

    def run(self, tiles: Sequence[TileJob], x: np.ndarray) -> tuple[np.ndarray, int]:
        """(int8 [height, width, channels], cycles) of a layer over int8 [height, width, channels].

        The cycles are those of the jobs, not of the transfers.
        """
        _check_input(tiles, x)
        output = np.zeros(_output_shape(tiles), np.int8)
        cycles, there = 0, None
        for tile in tiles:
            if there is None or tile.input_rows != there.input_rows:
                self._write_bytes(tile.job.input_address, x[slice(*tile.input_rows)])
            if there is None or tile.weights is not there.weights:
                self._write_constants(tile)
            there = tile
            cycles += self._run_job(tile.job)
            output[slice(*tile.output_rows), :, slice(*tile.output_channels)] = self._read(tile.job)
        return output, cycles

    def _write_constants(self, tile: TileJob) -> None:
        weights = tile.job.weight_address * self.machine.weight_vector_bytes
        parameters = tile.job.parameter_address * self.machine.parameter_tile_bytes
        self._port.write(Region.WEIGHTS + weights, tile.weights)
        self._port.write(Region.PARAMETERS + parameters, tile.parameters)

    def _run_job(self, job: Job) -> int:
        job.check(self.machine)
        before = self._register(Register.JOBS_DONE)
        for word in job.encode():
            self._port.write(Register.COMMAND, np.array([word], np.uint32))
        self._wait(job, (before + 1) % (1 << 32))
        if self._register(Register.STATUS) & Status.REFUSED:
            raise self._failure(job, "refused a job")
        return self._register(Register.JOB_CYCLES)

    def _wait(self, job: Job, done: int) -> None:
        limit, waited, step = _cycle_limit(job, self.machine), 0, 64
        while self._register(Register.JOBS_DONE) != done:
            if waited >= limit:
                raise self._failure(job, f"did not finish a job in {waited} cycles")
            self._port.step(step)
            waited += step
            step = min(2 * step, 4096)

    def _failure(self, job: Job, what: str) -> ExecutionError:
        status = self._register(Register.STATUS)
        done, room = self._register(Register.JOBS_DONE), self._register(Register.ROOM)
        self.reset()
        return ExecutionError(
            f"the accelerator {what}: status {status:#x}, {done} jobs done, room for {room} "
            f"command words; it was reset; the job was {job}"
        )

    def _read(self, job: Job) -> np.ndarray:
        size = job.pixels * job.output_pitch
        words = self._port.read(Region.ACTIVATIONS + job.output_address, -(-size // 4))
        pixels = words.astype("<u4").view(np.int8)[:size].reshape(-1, job.output_pitch)
        return pixels[:, : job.output_c].reshape(job.output_h, job.output_w, job.output_c)

    def _write_bytes(self, address: int, values: np.ndarray) -> None:
        flat = np.ascontiguousarray(values, np.int8).reshape(-1)
        padded = np.pad(flat, (0, -flat.size % 4)).view("<u4").astype(np.uint32)
        self._port.write(Region.ACTIVATIONS + address, padded)

    def _register(self, register: Register) -> int:
        return int(self._port.read(register, 1)[0])


def _check_input(tiles: Sequence[TileJob], x: np.ndarray) -> None:
    rows = max(tile.input_rows[1] for tile in tiles)
    row = (tiles[0].job.input_w, tiles[0].job.input_c)
    if x.dtype != np.int8 or x.ndim != 3 or len(x) < rows or x.shape[1:] != row:
        raise InputError(
            f"the layer takes int8 [{rows}, {row[0]}, {row[1]}], not {x.dtype} {list(x.shape)}"
        )


def _output_shape(tiles: Sequence[TileJob]) -> tuple[int, int, int]:
    rows = max(tile.output_rows[1] for tile in tiles)
    return rows, tiles[0].job.output_w, max(tile.output_channels[1] for tile in tiles)


def _cycle_limit(job: Job, machine: Machine) -> int:
    """Twice the time that the job may take."""
    tiles = job.column_tiles(machine) * job.depth_tiles(machine)
    return 2 * tiles * (job.pixels + machine.rows) + 1000
