"""Runs whole stretches of a network by the accelerator's command queue. NumPy is all it needs.

It knows the device as a `Bus`: the same driver runs a simulation and a board.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..runtime.errors import ExecutionError, InputError
from .commands import Transfer
from .jobs import AnyJob, Job
from .machine import IDENTITY, REGION_BYTES, Interrupt, Machine, Region, Register, Status

ALIGNMENT = 64  # bytes, of what the DMA moves: a burst


_RESET_READS = 10_000  # of the status, until a reset is given up


class Buffer(Protocol):
    """Memory that processor and accelerator share, as seen by the processor."""

    array: np.ndarray  # uint32
    address: int  # on the bus

    def flush(self) -> None:
        """Make what the processor wrote visible to the accelerator."""

    def invalidate(self) -> None:
        """Make what the accelerator wrote visible to the processor."""


class Bus(Protocol):
    """How the driver reaches an `AxiAccelerator`."""

    def write(self, register: int, value: int) -> None:
        """Write a register."""

    def read(self, register: int) -> int:
        """Read a register."""

    def allocate(self, words: int) -> Buffer:
        """A shared buffer, aligned to `ALIGNMENT`."""

    def wait(self, cycles: int) -> None:
        """Let the device work until its interrupt, for about `cycles` of its clock at most."""


@dataclass(frozen=True)
class Place:
    """A tensor in the scratchpad: `rows` of `row_bytes`, `pitch` bytes apart."""

    tensor: int
    address: int
    rows: int
    row_bytes: int
    pitch: int
    fill: int = 0  # between the rows

    @property
    def words(self) -> int:
        """That the DMA moves."""
        return -(-self.rows * self.pitch // 4)


@dataclass(frozen=True, eq=False)
class Stretch:
    """Layers that run one after the other without the processor."""

    machine: Machine
    inputs: tuple[Place, ...]
    outputs: tuple[Place, ...]
    jobs: tuple[AnyJob, ...]
    weights: np.ndarray  # uint32 words of the address map, from the first weight word on
    parameters: np.ndarray  # likewise
    nodes: tuple[int, ...] = ()  # of the graph, one for each job; none if only the words are known

    @property
    def cycle_limit(self) -> int:
        """At least twice the time that it may take."""
        moved = sum(place.words for place in (*self.inputs, *self.outputs))
        return 16 * moved + sum(job_cycle_limit(job, self.machine) for job in self.jobs) + 10_000


def job_cycle_limit(job: AnyJob, machine: Machine) -> int:
    """At least twice the time that the job may take."""
    groups = job.column_tiles(machine)
    if isinstance(job, Job):
        return 2 * groups * job.depth_tiles(machine) * (job.pixels + machine.rows) + 1000
    rows = (job.output_h * job.stride_h + 1) * job.row_pixels
    return 4 * groups * (job.delay + rows + 20) + 1000


@dataclass(frozen=True)
class RunCounters:
    """What a run cost, in clock cycles."""

    cycles: int  # from the start to the interrupt
    busy: int  # in which a job ran
    memory_stalls: int  # in which the queue waited for memory
    engine_stalls: int  # in which the queue waited for jobs


class QueueDriver:
    """Loads stretches into an accelerator and runs them; never waits for ever."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        if (identity := bus.read(Register.IDENTITY)) != IDENTITY:
            raise ExecutionError(
                f"an accelerator answers with {IDENTITY:#010x}; this device with {identity:#010x}"
            )
        words = len(Machine().to_words())
        self.machine = Machine.from_words(
            [bus.read(Register.MACHINE + 4 * number) for number in range(words)]
        )
        self.counters = RunCounters(0, 0, 0, 0)
        self._loaded: Stretch | None = None
        self._prepared: dict[int, _Prepared] = {}
        bus.write(Register.INTERRUPT_ENABLE, 7)

    def load(self, stretch: Stretch) -> None:
        """Put weights and parameters on the chip, where they stay."""
        if stretch.machine != self.machine:
            raise ExecutionError(
                f"the network was compiled for {stretch.machine}; this device is {self.machine}"
            )
        if stretch is self._loaded:
            return
        prepared = self._prepare(stretch)
        limit = 16 * prepared.constant_words + 10_000
        self.execute(prepared.load_commands, prepared.load_commands.array.size, limit)
        self._loaded = stretch

    def run(self, stretch: Stretch, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """int8 arrays for the stretch's inputs, any shape; the outputs as flat int8 arrays."""
        self.load(stretch)
        prepared = self._prepare(stretch)
        for place, buffer, value in zip(stretch.inputs, prepared.inputs, inputs, strict=True):
            _fill(place, buffer, value)
        self.execute(prepared.commands, prepared.commands.array.size, stretch.cycle_limit)
        answers = []
        for place, buffer in zip(stretch.outputs, prepared.outputs, strict=True):
            buffer.invalidate()
            flat = buffer.array[: place.words].view(np.int8)
            answers.append(flat[: place.rows * place.row_bytes].copy())
        return answers

    def forget(self) -> None:
        """Somebody else is about to write to the chip: nothing counts as loaded."""
        self._loaded = None

    def _prepare(self, stretch: Stretch) -> _Prepared:
        if id(stretch) not in self._prepared:
            self._prepared[id(stretch)] = _Prepared(stretch, self._bus)
        return self._prepared[id(stretch)]

    def execute(self, commands: Buffer, words: int, limit: int) -> None:
        """Start the queue and wait for its interrupt, at most `limit` cycles."""
        bus = self._bus
        if not self._is_idle():
            raise ExecutionError(
                "the accelerator can't start: memory still owes it answers of a run that was "
                "dropped; make memory answer, or configure the device again"
            )
        bus.write(Register.INTERRUPT, 7)
        bus.write(Register.QUEUE_HEAD, commands.address)
        bus.write(Register.QUEUE_TAIL, commands.address + 4 * words)
        waited, step = 0, limit
        while not (cause := bus.read(Register.INTERRUPT)):
            if waited >= limit:
                raise self._failure(f"did not finish in {limit} cycles", commands)
            bus.wait(step)
            waited += step
        self.counters = RunCounters(
            *(
                bus.read(register)
                for register in (
                    Register.RUN_CYCLES, Register.BUSY_CYCLES, Register.MEMORY_STALLS,
                    Register.ENGINE_STALLS,
                )
            )
        )  # fmt: skip
        bus.write(Register.INTERRUPT, 7)
        if cause & 1 << Interrupt.BUS_ERROR:
            raise self._failure("got an error from memory", commands)
        if cause & 1 << Interrupt.BAD_COMMAND or bus.read(Register.STATUS) & Status.REFUSED:
            raise self._failure("refused a command", commands)

    def _failure(self, what: str, commands: Buffer) -> ExecutionError:
        """Everything that says why; then a reset."""
        read = self._bus.read
        status, queue = read(Register.STATUS), read(Register.QUEUE_STATUS)
        fetched = (read(Register.QUEUE_HEAD) - commands.address) // 4
        message = (
            f"the accelerator {what}: status {status:#x}, queue status {queue:#x}, "
            f"{fetched} of {commands.array.size} command words fetched, "
            f"{read(Register.JOBS_DONE)} jobs done, waited {read(Register.MEMORY_STALLS)} cycles "
            f"for memory and {read(Register.ENGINE_STALLS)} for the engine; it was reset"
        )
        self._bus.write(Register.CONTROL, 1)
        self._is_idle()
        self._bus.write(Register.INTERRUPT, 7)
        self._loaded = None
        return ExecutionError(message)

    def _is_idle(self) -> bool:
        """Whether the queue has ended; after a reset the bus's last answers may take their time."""
        reads = range(_RESET_READS)
        return any(not self._bus.read(Register.QUEUE_STATUS) & 3 for _ in reads)


class QueuePort:
    """The address map by way of the DMA (`hw.driver.Port`), registers by AXI4-Lite."""

    _FEW = 8  # words that are quicker one by one

    def __init__(self, driver: QueueDriver, bus: Bus) -> None:
        self._driver, self._bus = driver, bus
        self._commands = bus.allocate(5)
        self._data = bus.allocate(REGION_BYTES // 4)

    def write(self, address: int, words: np.ndarray) -> None:
        """Write uint32 words from an address on."""
        if address < REGION_BYTES or len(words) < self._FEW:
            for number, word in enumerate(words):
                self._bus.write(address + 4 * number, int(word))
            return
        self._data.array[: len(words)] = words
        self._data.flush()
        self._copy(Transfer.READ, address, len(words))

    def read(self, address: int, count: int) -> np.ndarray:
        """Read `count` uint32 words from an address on."""
        if address < REGION_BYTES or count < self._FEW:
            words = [self._bus.read(address + 4 * number) for number in range(count)]
            return np.array(words, np.uint32)
        self._copy(Transfer.WRITE, address, count)
        self._data.invalidate()
        return self._data.array[:count].copy()

    def step(self, cycles: int) -> None:
        """Let the device work."""
        self._bus.wait(cycles)

    def _copy(self, kind: Transfer, address: int, count: int) -> None:
        self._driver.forget()
        words = [kind, self._data.address, address, count, Transfer.INTERRUPT]
        self._commands.array[:5] = words
        self._commands.flush()
        self._driver.execute(self._commands, 5, 64 * count + 10_000)


class _Prepared:
    """A stretch's buffers and command words in shared memory."""

    def __init__(self, stretch: Stretch, bus: Bus) -> None:
        self.inputs = [bus.allocate(place.words) for place in stretch.inputs]
        self.outputs = [bus.allocate(place.words) for place in stretch.outputs]
        self.constant_words = len(stretch.weights) + len(stretch.parameters)
        constants = []
        for region, words in (
            (Region.WEIGHTS, stretch.weights), (Region.PARAMETERS, stretch.parameters)
        ):  # fmt: skip
            if len(words):
                buffer = _shared(bus, words)
                constants += [Transfer.READ, buffer.address, int(region), len(words)]
        self.load_commands = _shared(bus, np.array([*constants, Transfer.INTERRUPT], np.uint32))
        commands: list[int] = []
        for place, buffer in zip(stretch.inputs, self.inputs, strict=True):
            commands += _transfer(Transfer.READ, place, buffer)
        for job in stretch.jobs:
            commands += job.encode()
        commands.append(Transfer.WAIT)
        for place, buffer in zip(stretch.outputs, self.outputs, strict=True):
            commands += _transfer(Transfer.WRITE, place, buffer)
        self.commands = _shared(bus, np.array([*commands, Transfer.INTERRUPT], np.uint32))


def _transfer(kind: Transfer, place: Place, buffer: Buffer) -> list[int]:
    return [kind, buffer.address, Region.ACTIVATIONS + place.address, place.words]


def _shared(bus: Bus, words: np.ndarray) -> Any:
    buffer = bus.allocate(len(words))
    buffer.array[: len(words)] = words
    buffer.flush()
    return buffer


def _fill(place: Place, buffer: Buffer, value: np.ndarray) -> None:
    if value.dtype != np.int8 or value.size != place.rows * place.row_bytes:
        raise InputError(
            f"the accelerator takes int8 of {place.rows * place.row_bytes} elements here, "
            f"not {value.dtype} of {value.size}"
        )
    flat = buffer.array.view(np.int8)
    if place.pitch == place.row_bytes:
        flat[: value.size] = value.reshape(-1)
    else:
        rows = flat[: place.rows * place.pitch].reshape(place.rows, place.pitch)
        rows[:, : place.row_bytes] = value.reshape(place.rows, place.row_bytes)
        rows[:, place.row_bytes :] = place.fill
    buffer.flush()
