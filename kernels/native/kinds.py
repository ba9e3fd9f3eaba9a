"""What vector kernels compute with: int8, int16 or float32, and how a block's sums become outputs.

A kind is a step, the parameters of a block, and what is done with its sums: see
`kernels/vector/packing.py` for the parameters' rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..vector.packing import (
    BY_FLOATS,
    CARRIED,
    GENERAL,
    INT8_ROWS,
    INT16_ROWS,
    ONCE,
    PLAIN,
    ROW_BYTES,
    TWICE,
)
from . import vectors as v
from .rescaling import in_floats, narrowed, requantized
from .steps import FloatStep, Step, short_step, sign, step
from .vectors import BYTES, FLOATS, I32, I64, SHORTS, SUMS, Builder, Value

SUMS64 = ir.VectorType(I64, 16)
Limits = tuple[Value, Value]


class Kind:
    """One of them; all int8 kinds are one but for the bytes that they read."""

    itemsize: int  # bytes of an input or an output
    values: ir.VectorType  # 16 of them
    rows: int  # of a block's parameters
    sign = 0  # what turns a byte of a window into what a step takes, by exclusive or
    carries = False  # whether sums may have 64 bits

    @property
    def parameter_bytes(self) -> int:
        """Of a block."""
        return self.rows * ROW_BYTES

    def step(self) -> Step:
        raise NotImplementedError

    def bias(self, builder: Builder, parameters: Value, block: int) -> Value:
        """What a block's sums begin with."""
        return self.row(builder, parameters, block, 0)

    def row(
        self, builder: Builder, parameters: Value, block: int, number: int, kind: Any = SUMS
    ) -> Value:
        """One row of a block's parameters, or several as one vector."""
        offset = block * self.parameter_bytes + number * ROW_BYTES
        return v.load(builder, parameters, I64(offset), kind)

    def tap(self, builder: Builder, sums: Value, x: Value, weights: Value) -> Value:
        """Sums, and the products of 16 values with as many weights."""
        raise NotImplementedError

    def four(self, builder: Builder, bytes: Value) -> Value:
        """Four bytes as they stand in memory, as a step takes them."""
        return bytes

    def finish(
        self,
        builder: Builder,
        sums: Sequence[Sequence[Value]],
        parameters: Value,
        y: Value,
        y_pixel: Value,
        channels: Value,
        least: Value,
        greatest: Value,
        plain: Value,
    ) -> None:
        """Make outputs of [pixel][block] sums and store them."""
        raise NotImplementedError

    def store(
        self, builder: Builder, y: Value, y_pixel: Value, channels: Value, outputs: Any
    ) -> None:
        """Store [pixel][block] outputs."""
        for pixel, parts in enumerate(outputs):
            line = builder.gep(y, [builder.mul(y_pixel, I64(pixel))])
            store_blocks(builder, line, parts, channels, 16 * self.itemsize)


class Int8(Kind):
    """Windows in the form that steps take; or with `flips` q itself, which costs more."""

    itemsize = 1
    values = BYTES
    rows = INT8_ROWS

    def __init__(self, flips: bool = False) -> None:
        self.flips = flips and not step().signed
        self.sign = sign()

    def step(self) -> Step:
        return step()

    def bias(self, builder: Builder, parameters: Value, block: int) -> Value:
        """That of sums of q + 128, or of q."""
        return self.row(builder, parameters, block, int(step().signed))

    def four(self, builder: Builder, bytes: Value) -> Value:
        return builder.xor(bytes, I32(0x80808080)) if self.flips else bytes

    def finish(  # type: ignore[no-untyped-def]
        self, builder, sums, parameters, y, y_pixel, channels, least, greatest, plain
    ) -> None:
        """In the way that `plain` says."""
        for way in _ways(builder, plain, (PLAIN, GENERAL, BY_FLOATS)):
            columns = []
            for block in range(len(sums[0])):  # outside, so that parameters are loaded once
                given = [self.row(builder, parameters, block, row) for row in range(2, INT8_ROWS)]
                made = [_rescaled(builder, row[block], given, way) for row in sums]
                columns.append(made)
            outputs = [
                narrowed(builder, [column[pixel] for column in columns], least, greatest)
                for pixel in range(len(sums))
            ]
            self.store(builder, y, y_pixel, channels, outputs)


def _rescaled(builder: Builder, sums: Value, given: Sequence[Value], way: int) -> Value:
    if way == BY_FLOATS:
        return in_floats(builder, sums, given)
    return requantized(builder, sums, given, way == PLAIN)


class Int16(Kind):
    """Sums rescaled as int8's are, or in 64 bits once: `plain` says which."""

    itemsize = 2
    values = SHORTS
    rows = INT16_ROWS

    def __init__(self, carries: bool = True) -> None:
        self.carries = carries

    def step(self) -> Step:
        return short_step()

    def tap(self, builder: Builder, sums: Value, x: Value, weights: Value) -> Value:
        return builder.add(sums, builder.mul(builder.sext(x, SUMS), builder.sext(weights, SUMS)))

    def finish(  # type: ignore[no-untyped-def]
        self, builder, sums, parameters, y, y_pixel, channels, least, greatest, plain
    ) -> None:
        limits = v.splat(builder, least, SUMS), v.splat(builder, greatest, SUMS)
        for way in _ways(builder, plain, (ONCE, CARRIED, TWICE) if self.carries else (ONCE, TWICE)):
            columns = []
            for block in range(len(sums[0])):
                rule = self._twice if way == TWICE else self._once
                made = rule(builder, [row[block] for row in sums], parameters, block, way)
                columns.append([self._narrowed(builder, each, limits) for each in made])
            self.store(builder, y, y_pixel, channels, list(zip(*columns, strict=True)))

    def _twice(self, builder, sums, parameters, block, way) -> list[Value]:  # type: ignore[no-untyped-def]
        given = [self.row(builder, parameters, block, row) for row in range(1, INT16_ROWS)]
        return [requantized(builder, _total(each), given) for each in sums]

    def _once(self, builder, sums, parameters, block, way) -> list[Value]:  # type: ignore[no-untyped-def]
        multiplier = builder.sext(self.row(builder, parameters, block, 1), SUMS64)
        added, right = (self.row(builder, parameters, block, n, SUMS64) for n in (2, 4))
        made = []
        for each in sums:
            carried = way == CARRIED
            wide = builder.load(each[1]) if carried else builder.sext(_total(each), SUMS64)
            product = builder.add(builder.mul(wide, multiplier), added)
            made.append(builder.trunc(builder.ashr(product, right), SUMS))
        return made

    def _narrowed(self, builder: Builder, value: Value, limits: Limits) -> Value:
        return builder.trunc(v.limited(builder, value, *limits), SHORTS)


class Sums(Kind):
    """Sums of 32 bits are stored as they are: they begin with 0, and what is added comes later."""

    itemsize = 4

    def finish(  # type: ignore[no-untyped-def]
        self, builder, sums, parameters, y, y_pixel, channels, least, greatest, plain
    ) -> None:
        """All lanes of each block, side by side."""
        for pixel, row in enumerate(sums):
            line = builder.gep(y, [builder.mul(y_pixel, I64(pixel))])
            for block, total in enumerate(row):
                v.store(builder, line, I64(ROW_BYTES * block), total)


class Products(Sums, Int16):
    """Those of int16."""

    def __init__(self) -> None:
        super().__init__(carries=False)

    def bias(self, builder: Builder, parameters: Value, block: int) -> Value:
        return v.constant(SUMS, 0)


def _total(each: Any) -> Value:
    """The sums of 32 bits, of those that have a carry too."""
    return each[0] if isinstance(each, tuple) else each


class Float(Kind):
    """The bias is added last."""

    itemsize = 4
    values = FLOATS
    rows = 1

    def step(self) -> Step:
        return FloatStep()

    def bias(self, builder: Builder, parameters: Value, block: int) -> Value:
        return v.constant(FLOATS, 0)

    def tap(self, builder: Builder, sums: Value, x: Value, weights: Value) -> Value:
        return builder.fadd(sums, builder.fmul(x, weights))

    def finish(  # type: ignore[no-untyped-def]
        self, builder, sums, parameters, y, y_pixel, channels, least, greatest, plain
    ) -> None:
        """`least` and `greatest` are the bits of floats."""
        limits = [
            v.splat(builder, builder.bitcast(builder.trunc(bits, I32), v.F32), FLOATS)
            for bits in (least, greatest)
        ]
        biases = [self.row(builder, parameters, n, 0, FLOATS) for n in range(len(sums[0]))]
        outputs = [
            [
                held(builder, builder.fadd(total, bias), *limits)
                for total, bias in zip(row, biases, strict=True)
            ]
            for row in sums
        ]
        self.store(builder, y, y_pixel, channels, outputs)


class FloatSums(Sums, Float):
    """Those of floats."""


def held(builder: Builder, value: Value, least: Value, greatest: Value) -> Value:
    """Floats held in [least, greatest] as C++'s `min(max(...))` does: what isn't a number stays."""
    raised = builder.select(builder.fcmp_ordered("<", value, least), least, value)
    return builder.select(builder.fcmp_ordered(">", raised, greatest), greatest, raised)


def _ways(builder: Builder, chosen: Value, ways: Sequence[int]) -> Any:
    """Build code for each of `ways`; that of the `chosen` one runs, of the last for any other."""
    if len(ways) == 1:
        yield ways[0]
        return
    first = builder.icmp_signed("==", chosen, I64(ways[0]))
    with builder.if_else(first, likely=True) as (then, otherwise):
        with then:
            yield ways[0]
        with otherwise:
            yield from _ways(builder, chosen, ways[1:])


def store_blocks(
    builder: Builder, y: Value, parts: Sequence[Value], channels: Value, size: int
) -> None:
    """Store all `size` bytes of each block; of a single block only as many lanes as there are
    channels."""
    if len(parts) > 1 or parts[0].type.count != 16:
        for block, part in enumerate(parts):
            v.store(builder, y, I64(size * block), part)
        return
    whole = builder.icmp_signed(">=", channels, I64(16))
    with builder.if_else(whole, likely=True) as (then, otherwise):
        with then:
            v.store(builder, y, I64(0), parts[0])
        with otherwise:
            v.store_first(builder, y, I64(0), parts[0], builder.trunc(channels, I32))


class Accumulator:
    """A block's sums of one pixel, which LLVM keeps in registers; with a carry of 64 bits."""

    def __init__(self, builder: Builder, kind: Kind) -> None:
        self.kind, self.rule = kind, kind.step()
        self.place = cgutils.alloca_once(builder, self.rule.sums)
        self.carry = cgutils.alloca_once(builder, SUMS64) if kind.carries else None

    def start(self, builder: Builder, bias: Value) -> None:
        builder.store(self.rule.start(builder, bias), self.place)
        if self.carry is not None:
            builder.store(v.constant(SUMS64, 0), self.carry)

    def add(self, builder: Builder, activations: Any, weights: Any) -> None:
        """One step."""
        total = self.rule.add(builder, builder.load(self.place), activations, weights)
        builder.store(total, self.place)

    def move(self, builder: Builder) -> None:
        """Take the sums over into the carry, before 32 bits are too few."""
        total = builder.sext(self.rule.total(builder, builder.load(self.place)), SUMS64)
        builder.store(builder.add(builder.load(self.carry), total), self.carry)
        builder.store(self.rule.start(builder, v.constant(SUMS, 0)), self.place)

    def total(self, builder: Builder) -> Any:
        """The 16 sums; of a kind that carries, and where its carry is."""
        total = self.rule.total(builder, builder.load(self.place))
        return total if self.carry is None else (total, self.carry)


INT8, INT8_AS_IT_IS, FLOAT = Int8(), Int8(flips=True), Float()
INT16, INT16_SHORT = Int16(), Int16(carries=False)  # sums of a few taps need no carry
PRODUCTS, FLOAT_SUMS = Products(), FloatSums()
