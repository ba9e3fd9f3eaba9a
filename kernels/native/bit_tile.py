"""Register tiles of the bit product: a few pixels by a few blocks of 16 filters.

A step compares one word of each pixel with one word of each filter, and counts the bits that differ
(`bit_counter.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from . import processor
from . import vectors as v
from .bit_counter import GROUP, Counter, counts_bytes, counts_lanes, met
from .memory import INT8_POINTER, INT32_POINTER

Finish = Callable[..., None]


def shapes() -> Mapping[int, tuple[int, ...]]:
    """Blocks -> pixels of the tiles that are compiled, the largest first; 1 must be among both."""
    if counts_lanes():
        return {2: (7, 3, 1), 1: (7, 1)}
    if processor.instruction_set() == processor.AVX512_VNNI:
        return {2: (2, 1), 1: (2, 1)}
    return {2: (1,), 1: (1,)}


@cache
def tile(pixels: int, blocks: int, plain: bool, finish: Finish) -> Any:
    """The intrinsic for one tile. Arguments: x (first pixel), pixel (bytes to the next one),
    segments, segment_count, steps, pairs, pair_count, weights, block_bytes (of a block's weights),
    parameters, y, y_pixel, channels (that are stored; more than all but 15 of the tile's), least,
    greatest."""
    integer = types.int64
    signature = types.void(
        *(INT8_POINTER, integer, INT32_POINTER, integer, integer, INT32_POINTER, integer),
        *(INT8_POINTER, integer, INT8_POINTER, INT8_POINTER, integer, integer, integer, integer),
    )

    @intrinsic
    def run(  # type: ignore[no-untyped-def]
        typing_context, x, pixel, segments, segment_count, steps, pairs, pair_count, weights,
        block_bytes, parameters, y, y_pixel, channels, least, greatest,
    ):  # fmt: skip
        def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            sums = _Product(builder, pixels, blocks, plain, *arguments[:9]).sums()
            finish(builder, sums, *arguments[9:])
            return context.get_dummy_value()

        return signature, emit

    return run


class _Product:
    """Emits the sums v of a tile."""

    def __init__(
        self, builder: Any, pixels: int, blocks: int, plain: bool, x: Any, pixel: Any,
        segments: Any, segment_count: Any, steps: Any, pairs: Any, pair_count: Any, weights: Any,
        block_bytes: Any,
    ) -> None:  # fmt: skip
        self.builder, self.plain, self.x = builder, plain, x
        self.segments, self.segment_count, self.steps = segments, segment_count, steps
        self.pairs, self.pair_count, self.weights = pairs, pair_count, weights
        self.far = [builder.mul(pixel, v.I64(number)) for number in range(pixels)]
        self.blocks = [builder.mul(block_bytes, v.I64(number)) for number in range(blocks)]
        self.counters = [[self.counter() for _ in range(blocks)] for _ in range(pixels)]
        self.totals = [[self.slot() for _ in range(blocks)] for _ in range(pixels)]

    def slot(self) -> Any:
        return cgutils.alloca_once(self.builder, v.SUMS)

    def counter(self) -> Counter:
        adders = not counts_lanes() and not counts_bytes()
        places = tuple(self.slot() for _ in range(3 * adders))
        return Counter(self.builder, places, self.slot())

    def sums(self) -> list[list[Any]]:
        """[pixel][block] v."""
        builder = self.builder
        for row in self.totals:
            for slot in row:
                builder.store(v.constant(v.SUMS, 0), slot)
        with cgutils.for_range(builder, self.pair_count) as pair:
            first = builder.mul(pair.index, v.I64(3))
            plane, own, coefficient = (
                builder.load(builder.gep(self.pairs, [builder.add(first, v.I64(i))]))
                for i in range(3)
            )
            start, there = (builder.sext(value, v.I64) for value in (plane, own))
            self.count_pair(builder.gep(self.x, [start]), builder.gep(self.weights, [there]))
            for row, counters in zip(self.totals, self.counters, strict=True):
                for slot, counter in zip(row, counters, strict=True):
                    scaled = builder.mul(counter.finish(), v.splat(builder, coefficient, v.SUMS))
                    builder.store(builder.add(builder.load(slot), scaled), slot)
        return [[builder.load(slot) for slot in row] for row in self.totals]

    def count_pair(self, x: Any, weights: Any) -> None:
        builder = self.builder
        for row in self.counters:
            for counter in row:
                counter.start()
        place = cgutils.alloca_once(builder, weights.type)
        builder.store(weights, place)
        with cgutils.for_range(builder, self.segment_count) as segment:
            offset = builder.load(builder.gep(self.segments, [segment.index]))
            line = cgutils.alloca_once(builder, x.type)
            builder.store(builder.gep(x, [builder.sext(offset, v.I64)]), line)
            left = self.steps
            if not counts_lanes():
                with cgutils.for_range(builder, builder.lshr(self.steps, v.I64(3))):
                    self.run_steps(line, place, GROUP)
                left = builder.and_(self.steps, v.I64(GROUP - 1))
            with cgutils.for_range(builder, left):
                self.run_steps(line, place, 1)

    def run_steps(self, line: Any, place: Any, count: int) -> None:
        """One step, or a group of them, of all pixels and blocks."""
        builder = self.builder
        x, weights = builder.load(line), builder.load(place)
        numbers = list(range(len(self.blocks)))
        if count == 1 or counts_bytes():
            self.all_words(x, weights, count)
        elif processor.instruction_set() == processor.AVX512_VNNI:
            self.by_pairs(x, weights, numbers)
        else:  # too few registers for the adders of two blocks
            for number in numbers:
                self.by_pairs(x, weights, [number])
        builder.store(builder.gep(x, [v.I64(4 * count)]), line)
        builder.store(builder.gep(weights, [v.I64(64 * count)]), place)

    def all_words(self, x: Any, weights: Any, count: int) -> None:
        for number in range(len(self.blocks)):
            columns = [self.column(weights, number, i) for i in range(count)]
            for far, counters in zip(self.far, self.counters, strict=True):
                words = [(self.word(x, far, i), column) for i, column in enumerate(columns)]
                if count == 1:
                    counters[number].add(1, met(self.builder, *words[0], self.plain))
                else:
                    counters[number].add_group(words, self.plain)

    def by_pairs(self, x: Any, weights: Any, blocks: Sequence[int]) -> None:
        """A group of these blocks through the adders, two words of each at a time, so that few are
        held in registers; what carries out is counted."""
        chosen = [(far, [row[b] for b in blocks]) for far, row in zip(self.far, self.counters)]
        carries: dict[Counter, list[tuple[int, Any]]] = defaultdict(list)
        for i in range(0, GROUP, 2):
            columns = [[self.column(weights, b, i + k) for k in range(2)] for b in blocks]
            for far, counters in chosen:
                words = [self.word(x, far, i + k) for k in range(2)]
                for counter, column in zip(counters, columns, strict=True):
                    pair = list(zip(words, column, strict=True))
                    counter.add_pair(carries[counter], pair, self.plain)
        for counter, own in carries.items():
            counter.add(*own[0])

    def column(self, weights: Any, number: int, step: int) -> Any:
        """A word of each of a block's filters."""
        at = self.builder.add(self.blocks[number], v.I64(64 * step))
        return v.load(self.builder, weights, at, v.SUMS)

    def word(self, x: Any, far: Any, step: int) -> Any:
        """A pixel's word, in all lanes."""
        at = self.builder.add(far, v.I64(4 * step))
        return v.splat(self.builder, v.load(self.builder, x, at, v.I32), v.SUMS)


# ---- sums to outputs ---------------------------------------------------------------------------

FLOATS = ir.VectorType(ir.FloatType(), 16)


def _constant(value: float) -> Any:
    return ir.Constant(FLOATS, [ir.Constant(ir.FloatType(), value)] * 16)


def _affine(builder: Any, sums: Any, parameters: Any, block: int, least: Any, greatest: Any) -> Any:
    """v * m + b in float32, v clamped: two operations, never one."""
    low, high = (v.splat(builder, bound, v.SUMS) for bound in (least, greatest))
    clamped = builder.sitofp(v.limited(builder, sums, low, high), FLOATS)
    m, b = (v.load(builder, parameters, v.I64(128 * block + at), FLOATS) for at in (0, 64))
    return builder.fadd(builder.fmul(clamped, m), b)


def finish_f32(
    builder: Any, sums: Any, parameters: Any, y: Any, y_pixel: Any, channels: Any, least: Any,
    greatest: Any,
) -> None:  # fmt: skip
    """Store 16 float32 of each block, of the last one as many as there are channels."""
    for number, row in enumerate(sums):
        line = builder.gep(y, [builder.mul(y_pixel, v.I64(number))])
        for block, own in enumerate(row):
            real = _affine(builder, own, parameters, block, least, greatest)
            left = builder.sub(channels, v.I64(16 * block))
            lanes = v.constant(v.SUMS, *range(16))
            mask = builder.icmp_signed("<", lanes, v.splat(builder, left, v.SUMS))
            pointer = v.place(builder, line, v.I64(64 * block), FLOATS)
            kinds = [FLOATS, pointer.type, v.I32, mask.type]
            name = "llvm.masked.store.v16f32.p0"
            store = v.intrinsic(builder, name, ir.VoidType(), kinds)
            builder.call(store, [real, pointer, v.I32(1), mask])


def finish_s8(
    builder: Any, sums: Any, parameters: Any, y: Any, y_pixel: Any, channels: Any, least: Any,
    greatest: Any,
) -> None:  # fmt: skip
    """Round half away from zero to int8, and store."""
    for number, row in enumerate(sums):
        line = builder.gep(y, [builder.mul(y_pixel, v.I64(number))])
        for block, own in enumerate(row):
            real = _affine(builder, own, parameters, block, least, greatest)
            for bound, wrong in ((-128.0, "<"), (127.0, ">")):
                beyond = builder.fcmp_ordered(wrong, real, _constant(bound))
                real = builder.select(beyond, _constant(bound), real)
            whole = builder.fptosi(real, v.SUMS)
            rest = builder.fsub(real, builder.sitofp(whole, FLOATS))
            for bound, which, by in ((0.5, ">=", 1), (-0.5, "<=", -1)):
                over = builder.fcmp_ordered(which, rest, _constant(bound))
                moved = builder.add(whole, v.constant(v.SUMS, by))
                whole = builder.select(over, moved, whole)
            left = builder.sub(channels, v.I64(16 * block))
            place = builder.gep(line, [v.I64(16 * block)])
            v.store_first(builder, place, v.I64(0), builder.trunc(whole, v.BYTES), left)


def finish_b1(
    builder: Any, sums: Any, parameters: Any, y: Any, y_pixel: Any, channels: Any, least: Any,
    greatest: Any,
) -> None:  # fmt: skip
    """A bit for each filter, 16 of a block at once; those beyond the channels are 0."""
    for number, row in enumerate(sums):
        line = builder.gep(y, [builder.mul(y_pixel, v.I64(number))])
        for block, own in enumerate(row):
            limit = v.load(builder, parameters, v.I64(64 * block), v.SUMS)
            over = builder.icmp_signed(">", own, limit)
            v.store(builder, line, v.I64(2 * block), builder.bitcast(over, v.I16))
