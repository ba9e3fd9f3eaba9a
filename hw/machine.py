"""The sizes of one accelerator and its address map: what RTL, compiler and driver agree on."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from enum import IntEnum

from ..runtime.errors import TargetError

IDENTITY = 0x6567_646D  # "mdge", little-endian
REGION_BYTES = 1 << 20  # of the address map: registers and three memories, one region each
CHAIN = 4  # rows of the array that add up one below the other; an accumulator's update takes 3
TAPS = 9  # of the depthwise engine: a 3x3 window
PARAMETER_BYTES = 16  # a column: bias, multiplier, shift and one word unused, 4 bytes each


class Region(IntEnum):
    """Where in the address map each memory begins. Weights and parameters are write-only."""

    REGISTERS = 0
    ACTIVATIONS = 1 * REGION_BYTES
    WEIGHTS = 2 * REGION_BYTES
    PARAMETERS = 3 * REGION_BYTES


class Register(IntEnum):
    """Byte addresses of the 32-bit registers. All but the first two are read-only."""

    CONTROL = 0x00  # write 1: drop all jobs, clear status and counters; memories keep their data
    COMMAND = 0x04  # write: the next word of a job
    IDENTITY = 0x08
    STATUS = 0x0C
    ROOM = 0x10  # command words that fit in the queue now
    JOBS_DONE = 0x14  # since reset, modulo 2**32; refused jobs count
    JOB_CYCLES = 0x18  # from the last job's start to its last output
    CYCLES = 0x1C  # clock cycles since reset, modulo 2**32
    BUSY_CYCLES = 0x20  # in which a job ran, since reset
    # Of the DMA; absent behind a bare host port. All but the last four can be written.
    QUEUE_HEAD = 0x80  # address in memory of the next command; may be set while idle
    QUEUE_TAIL = 0x84  # end of the commands; a write starts an idle queue
    INTERRUPT = 0x88  # what happened (`Interrupt`); write 1 to clear
    INTERRUPT_ENABLE = 0x8C
    QUEUE_STATUS = 0x90  # bit 0 running, bit 1 being dropped, then the state of the commands
    RUN_CYCLES = 0x94  # from the start to the interrupt
    MEMORY_STALLS = 0x98  # of these, cycles that the commands waited for memory
    ENGINE_STALLS = 0x9C  # and for the engine
    QUEUE_LAST = 0x9C
    MACHINE = 0x40  # the fields of `Machine`, one word each


class Interrupt(IntEnum):
    """Bit numbers of the interrupt registers."""

    DONE = 0  # the queue ran to its INTERRUPT command
    BUS_ERROR = 1  # memory answered with an error
    BAD_COMMAND = 2  # the queue held an unknown command


class Status(IntEnum):
    """Bits of the status register."""

    BUSY = 1  # a job is being fetched or run
    REFUSED = 2  # a job was not of a known kind; cleared by reset


class SerialRequest(IntEnum):
    """The first byte of a request on a serial line; then address and words (`hw.uart`)."""

    READ = 1
    WRITE = 2
    DONE = 6  # the answer to a write


def power_of_two(least: int) -> int:
    """The smallest power of two that is not less than `least`."""
    return 1 << (least - 1).bit_length()


@dataclass(frozen=True)
class Machine:
    """Sizes of one build. An int8 array of `rows` x `columns`, and on-chip memories."""

    rows: int = 8  # input bytes that enter the array in a cycle
    columns: int = 8  # output channels that it makes at once
    activation_bytes: int = 1 << 16  # inputs and outputs share one scratchpad
    weight_words: int = 1 << 13  # of `columns` int8 weights for each chain of the array
    accumulators: int = 1 << 10  # output pixels of a job, an int32 for each column
    parameter_tiles: int = 1 << 8  # groups of `columns` output channels
    queue_jobs: int = 4
    line_pixels: int = 1 << 7  # width of the images that the depthwise engine takes
    packed: int = 0  # 1: two products in a DSP48E1; weights of -128 take two passes
    binary: int = 1  # 1: the array has a binary mode

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name not in ("packed", "binary"):
                self._check_size(field.name, getattr(self, field.name))
        if self.rows % CHAIN:
            raise TargetError(
                f"the rows of an accelerator must be a multiple of {CHAIN}, not {self.rows}: so "
                "many make a chain, whose weights are loaded one after the other"
            )
        if self.packed and self.columns % 2:
            raise TargetError(f"packed columns come in pairs, and {self.columns} is odd")
        for name in ("activation_bytes", "accumulators", "parameter_tiles", "line_pixels"):
            if (size := getattr(self, name)) != power_of_two(size):
                raise TargetError(f"{name} must be a power of two, not {size}")

    def _check_size(self, name: str, size: int) -> None:
        if size < 1:
            raise TargetError(f"{name} must be at least 1, not {size}")
        used = {
            "activation_bytes": self.activation_bytes,
            "weight_words": self.weight_words * self.weight_word_bytes,
            "parameter_tiles": self.parameter_tiles * self.parameter_tile_bytes,
        }.get(name, 0)
        if used > REGION_BYTES:
            raise TargetError(
                f"{name} takes {used} bytes of an address region that has {REGION_BYTES}"
            )

    @property
    def word_bytes(self) -> int:
        """Width of the activation scratchpad: an input vector, an output vector, a host word."""
        return power_of_two(max(self.rows, self.columns, 4))

    @property
    def write_bytes(self) -> int:
        """Width of what is written there at once."""
        return power_of_two(max(self.columns, 4))

    @property
    def chains(self) -> int:
        """Chains of `CHAIN` rows; each takes a row's weights from every weight word."""
        return self.rows // CHAIN

    @property
    def weight_word_values(self) -> int:
        """int8 weights in a word of the weight memory."""
        return self.chains * self.columns

    @property
    def weight_word_bytes(self) -> int:
        """Distance of two weight words in the address map."""
        return power_of_two(max(self.weight_word_values, 4))

    @property
    def tap_words(self) -> int:
        """Weight words that hold the depthwise engine's nine taps of `columns` channels."""
        return -(-TAPS // self.chains)

    @property
    def parameter_tile_bytes(self) -> int:
        """Distance of two column groups' parameters in the address map."""
        return power_of_two(self.columns) * PARAMETER_BYTES

    def to_words(self) -> list[int]:
        """What is read at `Register.MACHINE`."""
        return list(astuple(self))

    @classmethod
    def from_words(cls, words: list[int]) -> Machine:
        """The inverse of `to_words`."""
        return cls(*(int(word) for word in words))
