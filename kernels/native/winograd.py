"""What the kernels of Winograd's F(4x4, 3x3) share: the transforms, of integers and of floats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..winograd_conv2d import PATCH, TILE, forward, twice
from . import vectors as v
from .kinds import Kind, store_blocks
from .memory import INT8_POINTER
from .vectors import I64, Builder, Value


class Lanes:
    """A vector with Python's operators, for formulas that NumPy's arrays take too."""

    def __init__(self, builder: Builder, value: Value) -> None:
        self.builder, self.value = builder, value

    def __add__(self, other: Lanes) -> Lanes:
        return self._with("add", other.value)

    def __sub__(self, other: Lanes) -> Lanes:
        return self._with("sub", other.value)

    def __mul__(self, factor: int) -> Lanes:
        return self._with("mul", v.constant(self.value.type, factor))

    def _with(self, operation: str, other: Value) -> Lanes:
        of_floats = isinstance(self.value.type.element, ir.FloatType)
        combine = getattr(self.builder, f"f{operation}" if of_floats else operation)
        return Lanes(self.builder, combine(self.value, other))


def in_lanes(
    builder: Builder, transform: Callable[[Sequence[Any]], list[Any]], values: Any
) -> list[Value]:
    """[column][row] vectors, transformed along both axes: row after row."""
    given = [[Lanes(builder, each) for each in column] for column in values]
    return [lanes.value for row in twice(transform, given) for lanes in row]


def patch_transform(read: ir.VectorType, wide: ir.VectorType) -> Any:
    """The intrinsic that takes 16 channels of a patch from x on, read as `read` and computed with
    as `wide`, to 36 vectors `distance` bytes apart. `pixel` and `pitch` are bytes to the next pixel
    and to the next row of x."""

    @intrinsic
    def transform(typing_context, x, pixel, pitch, inputs, distance):  # type: ignore[no-untyped-def]
        def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            x, pixel, pitch, inputs, distance = arguments
            patch = [
                [_read(builder, x, (pitch, row), (pixel, column)) for row in range(PATCH)]
                for column in range(PATCH)
            ]
            for number, value in enumerate(in_lanes(builder, forward, patch)):
                v.store(builder, inputs, builder.mul(distance, I64(number)), value)
            return context.get_dummy_value()

        integer = types.int64
        return types.void(INT8_POINTER, integer, integer, INT8_POINTER, integer), emit

    def _read(builder: Builder, x: Value, *steps: tuple[Value, int]) -> Value:
        value = v.load(builder, x, builder.add(*(builder.mul(n, I64(i)) for n, i in steps)), read)
        return value if read == wide else builder.sext(value, wide)

    return transform


def load_sums(builder: Builder, sums: Value, distance: Value, kind: ir.VectorType) -> Any:
    """36 vectors that are `distance` bytes apart, [column][row]."""
    return [
        [
            v.load(builder, sums, builder.mul(distance, I64(PATCH * row + column)), kind)
            for row in range(PATCH)
        ]
        for column in range(PATCH)
    ]


class InTile(Kind):
    """A kind whose outputs are a tile's: 16 channels of each pixel, in rows of their own.

    Rows `skipped` .. height-1 of the tile and `width` columns are inside the image, or wanted.
    """

    def place(
        self, arena: Value, y_rows: Value, skipped: Value, height: Value, width: Value
    ) -> None:
        self.arena, self.y_rows, self.skipped = arena, y_rows, skipped
        self.height, self.width = height, width

    def store(  # type: ignore[no-untyped-def]
        self, builder, offset, y_pixel, channels, outputs
    ) -> None:
        """At `offset` bytes in the rows of the table `y_rows`."""
        for row in range(TILE):
            wanted = builder.and_(
                builder.icmp_signed(">", self.height, I64(row)),
                builder.icmp_signed("<=", self.skipped, I64(row)),
            )
            with cgutils.if_likely(builder, wanted):
                start = builder.load(builder.gep(self.y_rows, [I64(row)]))
                line = builder.gep(self.arena, [builder.add(builder.sext(start, I64), offset)])
                for column in range(TILE):
                    inside = builder.icmp_signed(">", self.width, I64(column))
                    with cgutils.if_likely(builder, inside):
                        y = builder.gep(line, [builder.mul(y_pixel, I64(column))])
                        parts = outputs[TILE * row + column]
                        store_blocks(builder, y, parts, channels, 16 * self.itemsize)
