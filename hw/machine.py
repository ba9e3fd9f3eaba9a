"""The sizes of one accelerator and its address map: what RTL, compiler and driver agree on."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from enum import IntEnum

from ..runtime.errors import TargetError

IDENTITY = 0x6567_646D  # "mdge", little-endian
REGION_BYTES = 1 << 20  # of the address map: registers and three memories, one region each
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
    JOB_CYCLES = 0x18  # from the fetch of the last job's first command word to its last output
    CYCLES = 0x1C  # clock cycles since reset, modulo 2**32
    MACHINE = 0x20  # the fields of `Machine`, one word each


class Status(IntEnum):
    """Bits of the status register."""

    BUSY = 1  # a job is being fetched or run
    REFUSED = 2  # a job was not of a known kind; cleared by reset


def power_of_two(least: int) -> int:
    """The smallest power of two that is not less than `least`."""
    return 1 << (least - 1).bit_length()


@dataclass(frozen=True)
class Machine:
    """Sizes of one build. An int8 array of `rows` x `columns`, and on-chip memories."""

    rows: int = 8  # input bytes that enter the array in a cycle
    columns: int = 8  # output channels that it makes at once
    activation_bytes: int = 1 << 16  # inputs and outputs share one scratchpad
    weight_vectors: int = 1 << 13  # of `columns` int8 weights
    accumulators: int = 1 << 10  # output pixels of a job, an int32 for each column
    parameter_tiles: int = 1 << 6  # groups of `columns` output channels
    queue_jobs: int = 8

    def __post_init__(self) -> None:
        for field in fields(self):
            self._check_size(field.name, getattr(self, field.name))
        if self.rows < 4:
            raise TargetError(
                f"an accelerator needs at least 4 rows, not {self.rows}: an accumulator is read "
                "again after `rows` cycles, and its update takes 3"
            )
        for name in ("activation_bytes", "weight_vectors", "accumulators", "parameter_tiles"):
            if (size := getattr(self, name)) != power_of_two(size):
                raise TargetError(f"{name} must be a power of two, not {size}")

    def _check_size(self, name: str, size: int) -> None:
        if size < 1:
            raise TargetError(f"{name} must be at least 1, not {size}")
        used = {
            "activation_bytes": self.activation_bytes,
            "weight_vectors": self.weight_vectors * self.weight_vector_bytes,
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
    def weight_vector_bytes(self) -> int:
        """Distance of two weight vectors in the address map."""
        return power_of_two(max(self.columns, 4))

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
