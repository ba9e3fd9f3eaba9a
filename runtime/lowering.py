"""How a backend says which kernel call makes a node: the vocabulary between kernels and schedule.

A backend's `lower(graph, node)` answers with a `Lowered`: a kernel's name and a value for each of
its fields, in the kernel's own order. A field's value is a number, or stands for an address that
only the schedule and the memory plan know. The schedule replaces them by numbers (`Call.args`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .program import Program


@dataclass(frozen=True, eq=False)
class Constant:
    """Becomes the byte offset of `array` (C order) in the program's constants."""

    array: np.ndarray
    alignment: int = 16  # bytes


@dataclass(frozen=True)
class Address:
    """Becomes the byte offset of a whole contiguous activation or variable in the arena.

    For a constant tensor use `Constant`. With `image` true the address moves on by one image's
    share when a row kernel is called once for each image of a batch.
    """

    tensor: int
    image: bool = False


@dataclass(frozen=True)
class Cursor:
    """Becomes a byte offset into the constants: the tensor's row table, at the first row needed.

    The table is int32: the arena offset of each row of the tensor, and -1 for a padding row, which
    holds the zero point and is not stored. Output row r needs rows
    `first + r * step` to `first + r * step + extent - 1`; those outside the tensor are padding.
    A kernel thus reads entry `cursor + 4 * (r * step + tap)` and knows neither rings nor height.
    """

    tensor: int
    first: int = 0
    step: int = 1
    extent: int = 1


@dataclass(frozen=True)
class Scratch:
    """Becomes the arena offset of `size` bytes that are the kernel's own during its call."""

    size: int
    alignment: int = 16


@dataclass(frozen=True)
class Rows:
    """Becomes the number of output rows that a call makes."""


@dataclass(frozen=True)
class FirstRow:
    """Becomes the number of the first row that a call makes, or takes (`Lowered.takes`)."""


@dataclass(frozen=True)
class Sums:
    """Becomes the arena offset of `size` bytes that are a node's own from first to last call."""

    size: int


Field = int | Constant | Address | Cursor | Scratch | Rows | FirstRow | Sums

NUMPY_CALL = "in_numpy"  # the kernel's name in a call that the host hands to the NumPy reference

# How far a kernel has written when it last reads: what may lie over its own input.
ELEMENT = "element"  # output element i is written after input element i was last read, in order
PIXEL = "pixel"  # an output pixel (all channels) may be written while its own window is still read
ROW = "row"  # likewise an output row
TENSOR = "tensor"  # reads anything at any time: no overlap


@dataclass(frozen=True, eq=False)
class Lowered:
    """One node as a call of `kernel`; `fields` in the order of the kernel's parameter words.

    A call makes `Rows` rows of the output. If `takes` isn't 0, it takes `Rows` of that many rows of
    the input instead, and the output is there after the last; the input then needs no more room
    than a row. `by_row` is such a call for the same node, where the node's own isn't one. `frugal`
    is a slower call for it that takes less scratch, for plans with no room for this one's. `lavish`
    is a call for it that takes more bytes of constants, for plans that may spend them on fewer
    `instructions`, which a model of the kernels counts, to compare calls for one node. `lot` is how
    many rows a call should make if few bytes are not all that counts. `parts` are the condition and
    the body of a loop (`while_loop.py`).
    """

    kernel: str
    fields: Mapping[str, Field]
    granularity: str = TENSOR
    takes: int = 0
    lot: int = 1
    by_row: Lowered | None = None
    frugal: Lowered | None = None
    lavish: Lowered | None = None
    instructions: int = 0
    parts: tuple[Program, ...] = ()

    @property
    def choices(self) -> tuple[Lowered, ...]:
        """This call, then those that take less scratch, the most frugal last."""
        return (self, *(self.frugal.choices if self.frugal is not None else ()))

    @property
    def ways(self) -> Iterator[Lowered]:
        """Every call by which a program may make the node, this one first."""
        yield self
        for other in (self.by_row, self.frugal, self.lavish):
            if other is not None:
                yield from other.ways

    @property
    def by_rows(self) -> bool:
        """True if a call can make any range of output rows (or take one of input rows)."""
        return any(isinstance(value, Rows) for value in self.fields.values())


def image_rows(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(images, rows in an image, elements in a row) of a tensor.

    NHWC tensors have H rows of W*C elements; any other rank is one image of one row.
    """
    if len(shape) == 4:
        return shape[0], shape[1], shape[2] * shape[3]
    return 1, 1, int(np.prod(shape, dtype=np.int64))
