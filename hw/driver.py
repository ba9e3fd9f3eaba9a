"""The driver: moves data to and from an accelerator, and never waits for ever.

It knows a device only as a `Port`, so the same driver runs a simulation and a board.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..runtime.errors import ExecutionError, InputError
from .jobs import AnyJob
from .machine import IDENTITY, Machine, Region, Register, Status
from .queue import job_cycle_limit


class Port(Protocol):
    """How a host reaches the address map. Addresses are in bytes, data are 32-bit words."""

    def write(self, address: int, words: np.ndarray) -> None:
        """Write uint32 words from an address on."""

    def read(self, address: int, count: int) -> np.ndarray:
        """Read `count` uint32 words from an address on."""

    def step(self, cycles: int) -> None:
        """Let the device work for about so many of its clock cycles."""


@dataclass(frozen=True)
class Piece:
    """Rows of one of a layer's operands, dense at an address of the scratchpad."""

    operand: int
    address: int  # bytes
    rows: tuple[int, int]  # of the operand: first, last + 1


@dataclass(frozen=True, eq=False)
class TileJob:
    """Jobs and the data that they need: a layer, or as much of it as the memories hold."""

    jobs: tuple[AnyJob, ...]
    weights: np.ndarray  # uint32 words of the address map, from the first weight on
    parameters: np.ndarray  # uint32 words, from the first group of channels on
    inputs: tuple[Piece, ...]
    output_address: int
    output_shape: tuple[int, int, int]  # of this tile, dense
    output_rows: tuple[int, int]  # of the layer's output
    output_channels: tuple[int, int]

    @property
    def job(self) -> AnyJob:
        """The first job."""
        return self.jobs[0]

    @property
    def input_rows(self) -> tuple[int, int]:
        """Of the first operand."""
        return self.inputs[0].rows


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

    def run(self, tiles: Sequence[TileJob], *operands: np.ndarray) -> tuple[np.ndarray, int]:
        """(int8 [height, width, channels], cycles) of a layer over int8 [height, width, channels].

        The cycles are those of the jobs, not of the transfers.
        """
        _check_operands(tiles, operands)
        output = np.zeros(_output_shape(tiles), np.int8)
        cycles, there = 0, None
        for tile in tiles:
            if there is None or tile.inputs != there.inputs:
                for piece in tile.inputs:
                    self._write_bytes(piece.address, operands[piece.operand][slice(*piece.rows)])
            if there is None or tile.weights is not there.weights:
                self._write_constants(tile)
            there = tile
            for job in tile.jobs:
                cycles += self.run_job(job)
            output[slice(*tile.output_rows), :, slice(*tile.output_channels)] = self._read(tile)
        return output, cycles

    def _write_constants(self, tile: TileJob) -> None:
        self._port.write(Region.WEIGHTS, tile.weights)
        self._port.write(Region.PARAMETERS, tile.parameters)

    def run_job(self, job: AnyJob) -> int:
        """Run one job on what the memories hold; its cycles, from its start to its last output."""
        job.check(self.machine)
        before = self._register(Register.JOBS_DONE)
        for word in job.encode():
            self._port.write(Register.COMMAND, np.array([word], np.uint32))
        self._wait(job, (before + 1) % (1 << 32))
        if self._register(Register.STATUS) & Status.REFUSED:
            raise self._failure(job, "refused a job")
        return self._register(Register.JOB_CYCLES)

    def _wait(self, job: AnyJob, done: int) -> None:
        limit, waited, step = job_cycle_limit(job, self.machine), 0, 64
        while self._register(Register.JOBS_DONE) != done:
            if waited >= limit:
                raise self._failure(job, f"did not finish a job in {waited} cycles")
            self._port.step(step)
            waited += step
            step = min(2 * step, 4096)

    def _failure(self, job: AnyJob, what: str) -> ExecutionError:
        status = self._register(Register.STATUS)
        done, room = self._register(Register.JOBS_DONE), self._register(Register.ROOM)
        self.reset()
        return ExecutionError(
            f"the accelerator {what}: status {status:#x}, {done} jobs done, room for {room} "
            f"command words; it was reset; the job was {job}"
        )

    def _read(self, tile: TileJob) -> np.ndarray:
        size = int(np.prod(tile.output_shape))
        words = self._port.read(Region.ACTIVATIONS + tile.output_address, -(-size // 4))
        return words.astype("<u4").view(np.int8)[:size].reshape(tile.output_shape)

    def _write_bytes(self, address: int, values: np.ndarray) -> None:
        flat = np.ascontiguousarray(values, np.int8).reshape(-1)
        padded = np.pad(flat, (0, -flat.size % 4)).view("<u4").astype(np.uint32)
        self._port.write(Region.ACTIVATIONS + address, padded)

    def _register(self, register: Register) -> int:
        return int(self._port.read(register, 1)[0])


def _check_operands(tiles: Sequence[TileJob], operands: Sequence[np.ndarray]) -> None:
    rows = max(tile.input_rows[1] for tile in tiles)
    if len(tiles[0].inputs) > 1:
        return  # of an addition: any two of a shape
    row = (tiles[0].job.input_w, tiles[0].job.input_c)
    x = operands[0]
    if x.dtype != np.int8 or x.ndim != 3 or len(x) < rows or x.shape[1:] != row:
        raise InputError(
            f"the layer takes int8 [{rows}, {row[0]}, {row[1]}], not {x.dtype} {list(x.shape)}"
        )


def _output_shape(tiles: Sequence[TileJob]) -> tuple[int, int, int]:
    rows = max(tile.output_rows[1] for tile in tiles)
    return rows, tiles[0].output_shape[1], max(tile.output_channels[1] for tile in tiles)
