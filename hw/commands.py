"""The command words: the one statement of the wire format, in plain Python.

The words of a job (`hw.jobs`) carry its geometry, and beside it the byte steps that follow from it,
so that the hardware needs no multiplier to walk an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

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


def pack(layout: Sequence[Field], values: Any) -> int:
    """A word of the fields, which are attributes of `values`."""
    word, place = 0, 0
    for field in layout:
        word |= (int(getattr(values, field.name)) & (1 << field.bits) - 1) << place
        place += field.bits
    return word


def unpack(layout: Sequence[Field], word: int) -> dict[str, int]:
    """The inverse of `pack`."""
    values, place = {}, 0
    for field in layout:
        value = word >> place & (1 << field.bits) - 1
        values[field.name] = value - (1 << field.bits) if value > field.greatest else value
        place += field.bits
    return values
