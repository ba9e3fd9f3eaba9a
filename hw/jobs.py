"""Jobs: a whole int8 layer from scratchpad to scratchpad, or a piece of one.

`Job` is a convolution on the array (a fully connected layer is a 1x1 convolution of a 1x1 image),
`VectorJob` one pass of the vector engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, ClassVar

from ..runtime.errors import TargetError
from .commands import (
    ARRAY,
    LAYOUT,
    POSITION_BITS,
    ROW_BITS,
    VECTOR_LAYOUT,
    VERSION,
    Layout,
    Opcode,
)
from .job_words import JobWords
from .machine import CHAIN, Machine


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
