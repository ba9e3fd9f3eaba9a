"""The command words of a job: the one statement of the wire format, in plain Python.

A job is a whole int8 convolution, int8 in and int8 out. A fully connected layer is a 1x1
convolution of a 1x1 image. The words carry the geometry, and beside it the byte steps that follow
from it, so that the hardware needs no multiplier to walk an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from math import ceil

from ..runtime.errors import TargetError
from .machine import Machine

CONV2D = 1  # the opcode
VERSION = 1  # of the layout below
POSITION_BITS = 20  # a byte's place in its image row, signed: padding is at negative places
ROW_BITS = 18  # an image row's number, signed
ADDRESS_BITS = 20  # of the activation scratchpad


@dataclass(frozen=True)
class Field:
    """Some bits of a command word."""

    name: str
    bits: int
    signed: bool = False

    @property
    def least(self) -> int:
        """The least value that it can hold."""
        return -(1 << self.bits - 1) if self.signed else 0

    @property
    def greatest(self) -> int:
        """The greatest value that it can hold."""
        return (1 << self.bits - self.signed) - 1


def _word(text: str) -> tuple[Field, ...]:
    """`_word("output_h:16 padding:16s")`: low bits first, an s says signed."""
    named = (item.split(":") for item in text.split())
    return tuple(Field(name, int(bits.rstrip("s")), bits.endswith("s")) for name, bits in named)


LAYOUT: tuple[tuple[Field, ...], ...] = tuple(
    map(
        _word,
        (
            "opcode:8 version:8",
            "input_address:20",
            "output_address:20",
            "weight_address:20",
            "parameter_address:16 output_pitch:16",
            "input_h:16 input_w:16",
            "input_c:16 output_c:16",
            "output_h:16 output_w:16",
            "kernel_h:8 kernel_w:8 stride_h:8 stride_w:8",
            "dilation_h:8 dilation_w:8",
            "padding_top:16s padding_left:16s",
            "input_zero_point:8s output_zero_point:8s minimum:8s maximum:8s",
            # from here on what follows from the geometry
            "row_bytes:19",
            "row_step:20",
            "column_step:19",
            "tap_step:20",
            "segment_step:19 segments:8",
            "segment_bytes:19",
            "first_position:20s",
            "first_row_address:24s",
        ),
    )
)
JOB_WORDS = len(LAYOUT)


@dataclass(frozen=True)
class Job:
    """One convolution from scratchpad to scratchpad. Images are dense NHWC with N = 1."""

    input_address: int  # bytes, in the activation scratchpad
    output_address: int  # bytes, in the activation scratchpad
    weight_address: int  # weight vectors
    parameter_address: int  # groups of `Machine.columns` output channels
    input_h: int
    input_w: int
    input_c: int
    output_h: int
    output_w: int
    output_c: int
    output_pitch: int  # bytes from one output pixel to the next; output_c if dense
    kernel_h: int = 1
    kernel_w: int = 1
    stride_h: int = 1
    stride_w: int = 1
    dilation_h: int = 1
    dilation_w: int = 1
    padding_top: int = 0  # rows above the image; negative skips rows of it
    padding_left: int = 0
    input_zero_point: int = 0  # the value of padding
    output_zero_point: int = 0
    minimum: int = -128  # clamp of the output
    maximum: int = 127

    def __post_init__(self) -> None:
        for field in fields(self):
            least = 0 if field.name.endswith("_address") else 1
            if field.name not in _ANY_SIGN and getattr(self, field.name) < least:
                raise TargetError(
                    f"a job's {field.name} must be at least {least}, "
                    f"not {getattr(self, field.name)}"
                )
        for field in _FIELDS:
            self._check_range(field)
        self._check_reach()

    def _check_range(self, field: Field) -> None:
        if not field.least <= getattr(self, field.name) <= field.greatest:
            raise TargetError(
                f"a job's {field.name} must be {field.least} to {field.greatest}, "
                f"not {getattr(self, field.name)}"
            )

    def _check_reach(self) -> None:
        """The counters that walk the image must not wrap."""
        row = (self.output_h - 1) * self.stride_h + (self.kernel_h - 1) * self.dilation_h
        column = (self.output_w - 1) * self.stride_w + self.kernel_w * self.dilation_w
        if row >= 1 << ROW_BITS - 1:
            raise TargetError(f"a job's window must end before row {1 << ROW_BITS - 1}, not {row}")
        if (byte := column * self.input_c) >= 1 << POSITION_BITS - 1:
            raise TargetError(
                f"a job's window must end before byte {1 << POSITION_BITS - 1} of a row, not {byte}"
            )
        if self.minimum > self.maximum:
            raise TargetError(f"a job's clamp is empty: {self.minimum} to {self.maximum}")
        if self.output_pitch < self.output_c:
            raise TargetError(
                f"a job's output_pitch must hold its {self.output_c} channels, "
                f"not {self.output_pitch}"
            )

    # What the hardware adds up instead of multiplying.
    opcode = CONV2D
    version = VERSION

    @property
    def row_bytes(self) -> int:
        """Bytes of an input row."""
        return self.input_w * self.input_c

    @property
    def row_step(self) -> int:
        """Bytes from one output row's window to the next one's."""
        return self.stride_h * self.row_bytes

    @property
    def column_step(self) -> int:
        """Bytes from one output pixel's window to the next one's."""
        return self.stride_w * self.input_c

    @property
    def tap_step(self) -> int:
        """Bytes from one kernel row to the next."""
        return self.dilation_h * self.row_bytes

    @property
    def segments(self) -> int:
        """Runs of adjacent bytes in a kernel row: one, or with horizontal dilation one a tap."""
        return self.kernel_w if self.dilation_w > 1 else 1

    @property
    def segment_bytes(self) -> int:
        """Bytes of such a run."""
        return self.kernel_w * self.input_c // self.segments

    @property
    def segment_step(self) -> int:
        """Bytes from one run to the next."""
        return self.dilation_w * self.input_c

    @property
    def first_position(self) -> int:
        """Place in its row of the first window's first byte."""
        return -self.padding_left * self.input_c

    @property
    def first_row_address(self) -> int:
        """Address of the first window's first row, which may be padding."""
        return self.input_address - self.padding_top * self.row_bytes

    @property
    def pixels(self) -> int:
        """Output pixels."""
        return self.output_h * self.output_w

    @property
    def macs(self) -> int:
        """Multiplications of the layer, those with padding counted."""
        return self.pixels * self.output_c * self.kernel_h * self.kernel_w * self.input_c

    def depth_tiles(self, machine: Machine) -> int:
        """Array loads of weights that one group of output channels needs."""
        return self.kernel_h * self.segments * ceil(self.segment_bytes / machine.rows)

    def column_tiles(self, machine: Machine) -> int:
        """Groups of output channels."""
        return ceil(self.output_c / machine.columns)

    def check(self, machine: Machine) -> None:
        """Raise unless the job stays inside the memories of `machine`."""
        input_end = self.input_address + self.input_h * self.row_bytes
        output_end = self.output_address + (self.pixels - 1) * self.output_pitch + self.output_c
        tiles = self.column_tiles(machine)
        vectors = self.weight_address + tiles * self.depth_tiles(machine) * machine.rows
        for what, needed, present in (
            ("activation bytes for its input", input_end, machine.activation_bytes),
            ("activation bytes for its output", output_end, machine.activation_bytes),
            ("weight vectors", vectors, machine.weight_vectors),
            ("accumulators", self.pixels, machine.accumulators),
            ("parameter tiles", self.parameter_address + tiles, machine.parameter_tiles),
        ):
            if needed > present:
                raise TargetError(f"a job needs {needed} {what}; the accelerator has {present}")

    def encode(self) -> list[int]:
        """The job as unsigned 32-bit command words."""
        return [self._pack(word) for word in LAYOUT]

    @classmethod
    def decode(cls, words: Sequence[int]) -> Job:
        """The inverse of `encode`; words that no job has are refused."""
        if len(words) != JOB_WORDS:
            raise TargetError(f"a job has {JOB_WORDS} command words, not {len(words)}")
        values: dict[str, int] = {}
        for layout, word in zip(LAYOUT, words, strict=True):
            values.update(_unpack(layout, int(word)))
        if (values["opcode"], values["version"]) != (CONV2D, VERSION):
            raise TargetError(
                f"a job must have opcode {CONV2D} of version {VERSION}, "
                f"not {values['opcode']} of {values['version']}"
            )
        job = cls(**{field.name: values[field.name] for field in fields(cls)})
        for name, value in values.items():
            if getattr(job, name) != value:
                raise TargetError(
                    f"a job's {name} must be {getattr(job, name)} for its geometry, not {value}"
                )
        return job

    def _pack(self, layout: Sequence[Field]) -> int:
        word, place = 0, 0
        for field in layout:
            word |= (int(getattr(self, field.name)) & (1 << field.bits) - 1) << place
            place += field.bits
        return word

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in asdict(self).items())


_FIELDS = tuple(field for word in LAYOUT for field in word)
_ANY_SIGN = {
    "padding_top", "padding_left", "input_zero_point", "output_zero_point", "minimum", "maximum",
}  # fmt: skip


def _unpack(layout: Sequence[Field], word: int) -> dict[str, int]:
    values, place = {}, 0
    for field in layout:
        value = word >> place & (1 << field.bits) - 1
        values[field.name] = value - (1 << field.bits) if value > field.greatest else value
        place += field.bits
    return values
