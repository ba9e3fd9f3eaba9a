"""The command words of a job: the one statement of the wire format, in plain Python.

A job is a whole int8 layer from scratchpad to scratchpad, or a piece of one: `Job` is a
convolution on the array (a fully connected layer is a 1x1 convolution of a 1x1 image), `VectorJob`
one pass of the vector engine. The words carry the geometry, and beside it the byte steps that
follow from it, so that the hardware needs no multiplier to walk an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from math import ceil
from typing import Any, ClassVar, TypeVar

from ..runtime.errors import TargetError
from .machine import CHAIN, Machine

VERSION = 3  # of the layouts below
POSITION_BITS = 20  # a byte's place in its image row, signed: padding is at negative places
ROW_BITS = 18  # an image row's number, signed
ADDRESS_BITS = 20  # of the activation scratchpad


class Opcode(IntEnum):
    """What a job does."""

    CONV2D = 1  # on the array
    SUM = 2  # vector engine: nine taps times their weights
    MAX = 3  # vector engine: greatest of the taps whose weight is not 0
    POOL = 4  # vector engine: sum over the whole image
    ADD = 5  # vector engine: two rescaled operands
    BCONV2D = 6  # on the array: bits that differ, counted
    BCONV2D_BITS = 7  # the same; of a result its sign alone is written, a bit a channel


ARRAY = (Opcode.CONV2D, Opcode.BCONV2D, Opcode.BCONV2D_BITS)  # what the array runs


class Transfer(IntEnum):
    """Commands of the DMA's queue that are no jobs: their first word."""

    READ = 16  # then: address in memory, address on the chip, words
    WRITE = 17  # then: the same
    WAIT = 18  # until all jobs before it are done
    INTERRUPT = 19  # the end


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


Layout = tuple[tuple[Field, ...], ...]


def _word(text: str) -> tuple[Field, ...]:
    """`_word("output_h:16 padding:16s")`: low bits first, an s says signed."""
    named = (item.split(":") for item in text.split())
    return tuple(Field(name, int(bits.rstrip("s")), bits.endswith("s")) for name, bits in named)


def _layout(*words: str) -> Layout:
    return tuple(map(_word, _COMMON + words))


# The blocks that all jobs use read these without asking for the opcode.
_COMMON = (
    "opcode:8 version:8 first:1 last:1",
    "input_address:20",
    "output_address:20",
    "weight_address:20",
    "parameter_address:16 output_pitch:16",
    "input_zero_point:8s output_zero_point:8s minimum:8s maximum:8s",
    "input_h:16 input_w:16",
    "input_c:16 output_c:16",
    "output_h:16 output_w:16",
)
LAYOUT = _layout(
    "kernel_h:8 kernel_w:8 stride_h:8 stride_w:8",
    "dilation_h:8 dilation_w:8 passes:8",
    "padding_top:16s padding_left:16s",
    # from here on what follows from the geometry
    "row_bytes:19",
    "row_step:20",
    "line_step:20",
    "column_step:19",
    "tap_step:20",
    "segment_step:19 segments:8",
    "segment_bytes:19",
    "first_position:20s",
    "first_row_address:24s",
)
VECTOR_LAYOUT = _layout(
    "stride_h:8 stride_w:8",
    "first_row:16s first_column:16s",
    "row_pixels:16",
    "delay:20",
    "first_address:24s",
    "row_bytes:19",
    "first_position:16s",
    "second_address:20",
    "a_multiplier:32s",
    "b_multiplier:32s",
    "a_offset:9s b_offset:9s a_right:5 b_right:5",
)
JOB_WORDS = max(len(LAYOUT), len(VECTOR_LAYOUT))

JobType = TypeVar("JobType", bound="JobWords")


@dataclass(frozen=True)
class JobWords:
    """What all jobs share: addresses, the output's form, and how they become words."""

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
        words = [self._pack(word) for word in self.LAYOUT]
        return words + [0] * (JOB_WORDS - len(words))

    def _pack(self, layout: Sequence[Field]) -> int:
        word, place = 0, 0
        for field in layout:
            word |= (int(getattr(self, field.name)) & (1 << field.bits) - 1) << place
            place += field.bits
        return word

    @classmethod
    def decode(cls: type[JobType], words: Sequence[int]) -> JobType:
        """The inverse of `encode`; words that no such job has are refused."""
        if len(words) != JOB_WORDS:
            raise TargetError(f"a job has {JOB_WORDS} command words, not {len(words)}")
        values: dict[str, int] = {}
        for layout, word in zip(cls.LAYOUT, words, strict=False):
            values.update(_unpack(layout, int(word)))
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


@dataclass(frozen=True)
class Job(JobWords):
    """One convolution from scratchpad to scratchpad. Images are dense NHWC with N = 1.

    Of a convolution of bits, `input_c` counts bytes of 8 channels, and padding is a byte of them.

    With 2 `passes` a window's bytes meet two sets of weights, one after the other, which add up: so
    an array that has no weight of -128 multiplies with it. With `line_step` the image is one long
    row: an output row's windows start so many bytes after those of the row before it, and
    `stride_h` is 0.
    """

    opcode: int = Opcode.CONV2D  # type: ignore[misc]
    kernel_h: int = 1
    kernel_w: int = 1
    stride_h: int = 1
    stride_w: int = 1
    dilation_h: int = 1
    dilation_w: int = 1
    passes: int = 1
    padding_top: int = 0  # rows above the image; negative skips rows of it
    padding_left: int = 0
    input_zero_point: int = 0  # the value of padding
    output_zero_point: int = 0
    minimum: int = -128  # clamp of the output
    maximum: int = 127
    line_step: int = 0

    LAYOUT: ClassVar[Layout] = LAYOUT
    first: ClassVar[int] = 1  # sums start from the bias
    last: ClassVar[int] = 1  # sums are complete

    def _check_reach(self) -> None:
        """The counters that walk the image must not wrap."""
        super()._check_reach()
        if self.passes > 1 and self.dilation_w > 1:
            raise TargetError("a job's passes go over runs of a whole kernel row, undilated")
        row = (self.output_h - 1) * self.stride_h + (self.kernel_h - 1) * self.dilation_h
        column = (self.output_w - 1) * self.stride_w + self.kernel_w * self.dilation_w
        byte = column * self.input_c + (self.output_h - 1) * self.line_step
        if row >= 1 << ROW_BITS - 1:
            raise TargetError(f"a job's window must end before row {1 << ROW_BITS - 1}, not {row}")
        if byte >= 1 << POSITION_BITS - 1:
            raise TargetError(
                f"a job's window must end before byte {1 << POSITION_BITS - 1} of a row, not {byte}"
            )

    # What the hardware adds up instead of multiplying.
    @property
    def row_bytes(self) -> int:
        """Bytes of an input row."""
        return self.input_w * self.input_c

    @property
    def row_step(self) -> int:
        """Bytes from one output row's window to the next one's, before `line_step`."""
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
        return self.kernel_w if self.dilation_w > 1 else self.passes

    @property
    def segment_bytes(self) -> int:
        """Bytes of such a run."""
        return self.input_c if self.dilation_w > 1 else self.kernel_w * self.input_c

    @property
    def segment_step(self) -> int:
        """Bytes from one run to the next."""
        return self.dilation_w * self.input_c if self.passes == 1 else 0

    @property
    def first_position(self) -> int:
        """Place in its row of the first window's first byte."""
        return -self.padding_left * self.input_c

    @property
    def first_row_address(self) -> int:
        """Address of the first window's first row, which may be padding."""
        return self.input_address - self.padding_top * self.row_bytes

    @property
    def macs(self) -> int:
        """Multiplications of the layer, those with padding counted."""
        return self.pixels * self.output_c * self.kernel_h * self.kernel_w * self.input_c

    def depth_tiles(self, machine: Machine) -> int:
        """Array loads of weights that one group of output channels needs."""
        return self.kernel_h * self.segments * ceil(self.segment_bytes / machine.rows)

    def check(self, machine: Machine) -> None:
        """Raise unless the job stays inside the memories of `machine`."""
        input_end = self.input_address + self.input_h * self.row_bytes
        tiles = self.column_tiles(machine) * self.depth_tiles(machine)
        words = self.weight_address + tiles * CHAIN
        if self.opcode != Opcode.CONV2D and not machine.binary:
            raise TargetError("this accelerator was built without the array's binary mode")
        if self.opcode == Opcode.BCONV2D_BITS and machine.columns % 8:
            raise TargetError(f"bits are written by bytes, and {machine.columns} columns are not")
        self._check_memories(
            machine,
            (
                ("activation bytes for its input", input_end, machine.activation_bytes),
                ("weight words", words, machine.weight_words),
                ("accumulators", self.pixels, machine.accumulators),
            ),
        )


@dataclass(frozen=True)
class VectorJob(JobWords):
    """One pass of the vector engine, in `columns` channels at once.

    The engine streams pixels `first_column` to `first_column + row_pixels - 1` of the image rows
    from `first_row` on, and makes an output pixel each `stride` of them from the pixel numbered
    `delay` on. See `hw.vector`.
    """

    opcode: int = Opcode.SUM  # type: ignore[misc]
    first: int = 1  # sums start from the bias, not from the accumulators
    last: int = 1  # sums are complete, and leave as int8
    input_zero_point: int = 0
    output_zero_point: int = 0
    minimum: int = -128
    maximum: int = 127
    stride_h: int = 1
    stride_w: int = 1
    first_row: int = 0
    first_column: int = 0
    row_pixels: int = 1  # streamed of each image row
    delay: int = 0  # pixels streamed before the first output
    first_position: int = 0  # column of the first window's first tap
    second_address: int = 0  # of the second operand of ADD
    a_multiplier: int = 0  # ADD: of the operand, once `offset` was added
    b_multiplier: int = 0
    a_offset: int = 0
    b_offset: int = 0
    a_right: int = 0  # ADD: rounding right shift
    b_right: int = 0

    LAYOUT: ClassVar[Layout] = VECTOR_LAYOUT

    @property
    def row_bytes(self) -> int:
        """Bytes of an input row."""
        return self.input_w * self.input_c

    @property
    def first_address(self) -> int:
        """Of the first pixel that is streamed, which may be padding."""
        skipped = self.first_row * self.row_bytes + self.first_column * self.input_c
        return self.input_address + skipped

    @property
    def macs(self) -> int:
        """Multiplications of a depthwise pass."""
        return self.pixels * self.output_c * 9 if self.opcode == Opcode.SUM else 0

    @property
    def needs_weights(self) -> bool:
        """True if the pass takes nine taps' weights from the weight memory."""
        return self.opcode in (Opcode.SUM, Opcode.MAX)

    def check(self, machine: Machine) -> None:
        """Raise unless the job stays inside the memories of `machine`."""
        input_end = self.input_address + self.input_h * self.row_bytes
        words = self.column_tiles(machine) * machine.tap_words if self.needs_weights else 0
        kept = self.pixels if not (self.first and self.last) else 0
        line = self.row_pixels if self.needs_weights else 0
        needs: list[tuple[str, int, int]] = [
            ("activation bytes for its input", input_end, machine.activation_bytes),
            ("weight words", self.weight_address + words, machine.weight_words),
            ("accumulators", kept, machine.accumulators),
            ("pixels of a line buffer", line, machine.line_pixels),
        ]
        self._check_memories(machine, needs)


AnyJob = Job | VectorJob


def decode_job(words: Sequence[int]) -> Job | VectorJob:
    """The job of some command words."""
    opcode, version = (int(words[0]) & 0xFF, int(words[0]) >> 8 & 0xFF) if len(words) else (0, 0)
    if version != VERSION or opcode not in list(Opcode):
        raise TargetError(
            f"a job must have opcode 1 to {max(Opcode)} of version {VERSION}, "
            f"not {opcode} of {version}"
        )
    kind: Any = Job if opcode in ARRAY else VectorJob
    return kind.decode(words)


def _unpack(layout: Sequence[Field], word: int) -> dict[str, int]:
    values, place = {}, 0
    for field in layout:
        value = word >> place & (1 << field.bits) - 1
        values[field.name] = value - (1 << field.bits) if value > field.greatest else value
        place += field.bits
    return values
