"""What all jobs share: addresses, the output's form, and how they become command words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from math import ceil
from typing import ClassVar, TypeVar

from ..runtime.errors import TargetError
from .commands import JOB_WORDS, VERSION, Field, Layout, Opcode, pack, unpack
from .machine import Machine

JobType = TypeVar("JobType", bound="JobWords")


@dataclass(frozen=True)
class JobWords:
    """A job's memories and its output's form."""

    input_address: int  # bytes, in the activation scratchpad
    output_address: int  # bytes, in the activation scratchpad
    weight_address: int  # weight words
    parameter_address: int  # groups of `Machine.columns` output channels
    input_h: int
    input_w: int
    input_c: int
    output_h: int
    output_w: int
    output_c: int
    output_pitch: int  # bytes from one output pixel to the next; output_c if dense

    LAYOUT: ClassVar[Layout]
    version: ClassVar[int] = VERSION
    opcode: ClassVar[int]

    def __post_init__(self) -> None:
        signed = {field.name for word in self.LAYOUT for field in word if field.signed}
        for field in fields(self):
            least = 0 if field.name.endswith("_address") or field.name in _MAY_BE_ZERO else 1
            if field.name not in signed and getattr(self, field.name) < least:
                raise TargetError(
                    f"a job's {field.name} must be at least {least}, "
                    f"not {getattr(self, field.name)}"
                )
        for word in self.LAYOUT:
            for item in word:
                self._check_range(item)
        self._check_reach()

    def _check_range(self, field: Field) -> None:
        if not field.least <= getattr(self, field.name) <= field.greatest:
            raise TargetError(
                f"a job's {field.name} must be {field.least} to {field.greatest}, "
                f"not {getattr(self, field.name)}"
            )

    def _check_reach(self) -> None:
        minimum, maximum = getattr(self, "minimum", 0), getattr(self, "maximum", 0)
        if minimum > maximum:
            raise TargetError(f"a job's clamp is empty: {minimum} to {maximum}")
        if self.output_pitch < self.pixel_bytes:
            raise TargetError(
                f"a job's output_pitch must hold its {self.output_c} channels, "
                f"not {self.output_pitch}"
            )

    @property
    def pixel_bytes(self) -> int:
        """Bytes of an output pixel."""
        return ceil(self.output_c / 8) if self.opcode == Opcode.BCONV2D_BITS else self.output_c

    @property
    def pixels(self) -> int:
        """Output pixels."""
        return self.output_h * self.output_w

    def column_tiles(self, machine: Machine) -> int:
        """Groups of output channels."""
        return ceil(self.output_c / machine.columns)

    def _check_memories(self, machine: Machine, needs: Sequence[tuple[str, int, int]]) -> None:
        output_end = self.output_address + (self.pixels - 1) * self.output_pitch + self.pixel_bytes
        groups = self.parameter_address + self.column_tiles(machine)
        for what, needed, present in (
            *needs,
            ("activation bytes for its output", output_end, machine.activation_bytes),
            ("parameter tiles", groups, machine.parameter_tiles),
        ):
            if needed > present:
                raise TargetError(f"a job needs {needed} {what}; the accelerator has {present}")

    def encode(self) -> list[int]:
        """The job as unsigned 32-bit command words."""
        words = [pack(word, self) for word in self.LAYOUT]
        return words + [0] * (JOB_WORDS - len(words))

    @classmethod
    def decode(cls: type[JobType], words: Sequence[int]) -> JobType:
        """The inverse of `encode`; words that no such job has are refused."""
        if len(words) != JOB_WORDS:
            raise TargetError(f"a job has {JOB_WORDS} command words, not {len(words)}")
        values: dict[str, int] = {}
        for layout, word in zip(cls.LAYOUT, words, strict=False):
            values.update(unpack(layout, int(word)))
        job = cls(**{field.name: values[field.name] for field in fields(cls)})
        for name, value in values.items():
            if getattr(job, name) != value:
                raise TargetError(
                    f"a job's {name} must be {getattr(job, name)} for its geometry, not {value}"
                )
        return job

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in asdict(self).items())


_MAY_BE_ZERO = {
    "first", "last", "stride_h", "line_step", "delay", "a_multiplier", "b_multiplier", "a_right",
    "b_right",
}  # fmt: skip
