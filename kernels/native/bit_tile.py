"""Register tiles of the bit product: a few pixels by a few blocks of 16 filters.

A step compares one word of each pixel with one word of each filter. Where the processor counts the
bits of 32-bit lanes they are counted at once; where it counts those of bytes (NEON), bytes of eight
words are added up first. Elsewhere carry-save adders (Harley and Seal) add eight words up by place,
so that bits are counted for every eighth only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from . import processor
from . import vectors as v
from .memory import INT8_POINTER, INT32_POINTER
from .steps import step

GROUP = 8  # words that go through the adders together
# Truth tables of three operands for `vpternlogd`: a ^ b ^ c, a ^ (b & c), and a ? b : c.
ODD, ODD_OF_BOTH, CHOICE = 0x96, 0x78, 0xCA

Finish = Callable[..., None]


def counts_lanes() -> bool:
    """Whether kernels may be compiled for a processor that counts the bits of 32-bit lanes."""
    own = processor.instruction_set() == processor.AVX512_VNNI and not processor.is_stated()
    return own and "avx512_vpopcntdq" in processor.flags()


def counts_bytes() -> bool:
    """Whether counting the bits of bytes takes one instruction."""
    return processor.instruction_set() in (processor.NEON, processor.NEON_DOT)


def shapes() -> Mapping[int, tuple[int, ...]]:
    """Blocks -> pixels of the tiles that are compiled, the largest first; 1 must be among both."""
    if counts_lanes():
        return {2: (7, 3, 1), 1: (7, 1)}
    if processor.instruction_set() == processor.AVX512_VNNI:
        return {2: (2, 1), 1: (2, 1)}
    return {2: (1,), 1: (1,)}


@dataclass(frozen=True)
class Counter:
    """The state of one pixel and block in stack slots, which LLVM keeps in registers."""

    builder: Any
    places: Sequence[Any]  # bits of weight 1, 2 and 4; none where there are no adders
    total: Any

    def start(self) -> None:
        for slot in (*self.places, self.total):
            self.builder.store(v.constant(v.SUMS, 0), slot)

    def add(self, weight: int, word: Any) -> None:
        """Count `word`, whose bits weigh so much each."""
        builder = self.builder
        known = builder.load(self.total)
        if counts_lanes():
            name = "llvm.ctpop.v16i32"
            count = builder.call(v.intrinsic(builder, name, v.SUMS, [v.SUMS]), [word])
            builder.store(builder.add(known, count), self.total)
            return
        octets = self.octets(word)
        if counts_bytes():
            builder.store(builder.add(known, self.folded(octets)), self.total)
            return
        rule = step()
        weights = rule.weights(builder, v.constant(v.SUMS, weight * 0x01010101))
        bytes_of = rule.activations(builder, builder.bitcast(octets, v.SUMS))
        builder.store(rule.add(builder, known, bytes_of, weights), self.total)

    def octets(self, word: Any) -> Any:
        """Bits of each byte."""
        count = v.intrinsic(self.builder, "llvm.ctpop.v64i8", v.QUADS, [v.QUADS])
        return self.builder.call(count, [self.builder.bitcast(word, v.QUADS)])

    def folded(self, octets: Any) -> Any:
        """Sums of the four bytes of each lane."""
        builder = self.builder
        for kind, half in ((v.PAIRS, 8), (v.SUMS, 16)):
            wide = builder.bitcast(octets, kind)
            low = builder.and_(wide, v.constant(kind, (1 << half) - 1))
            octets = builder.add(low, builder.lshr(wide, v.constant(kind, half)))
        return octets

    def add_group(self, words: Sequence[tuple[Any, Any]], plain: bool) -> None:
        """Eight words through the adders; what carries out of them is counted."""
        builder = self.builder
        if counts_bytes():  # eight words add up to 64 at most
            counts = [self.octets(met(builder, *word, plain)) for word in words]
            folded = self.folded(reduce(builder.add, counts))
            builder.store(builder.add(builder.load(self.total), folded), self.total)
            return
        ones, twos, fours = self.places
        second = []
        for i in range(0, GROUP, 2):
            half = self.half(builder.load(ones), *words[i], plain)
            second.append(self.carry(ones, half, met(builder, *words[i + 1], plain)))
        fourth = []
        for a, b in (second[:2], second[2:]):
            half = builder.xor(builder.load(twos), a)
            fourth.append(self.carry(twos, half, b))
        half = builder.xor(builder.load(fours), fourth[0])
        self.add(GROUP, self.carry(fours, half, fourth[1]))

    def half(self, held: Any, x: Any, w: Any, plain: bool) -> Any:
        """held ^ (x ^ w), or held ^ (x & w): one instruction where there is one."""
        if processor.instruction_set() == processor.AVX512_VNNI:
            return self.of_three(held, x, w, ODD_OF_BOTH if plain else ODD)
        return self.builder.xor(held, met(self.builder, x, w, plain))

    def carry(self, slot: Any, half: Any, b: Any) -> Any:
        """Add a and b to a slot by place, `half` being slot ^ a: the low bit stays there, the carry
        is the answer: b where half is 1, else what the slot held, which is a then."""
        builder, held = self.builder, self.builder.load(slot)
        builder.store(builder.xor(half, b), slot)
        if processor.instruction_set() == processor.AVX512_VNNI:
            return self.of_three(half, b, held, CHOICE)
        return builder.xor(held, builder.and_(half, builder.xor(held, b)))

    def of_three(self, a: Any, b: Any, c: Any, table: int) -> Any:
        kinds = [v.SUMS, v.SUMS, v.SUMS, v.I32]
        function = v.intrinsic(self.builder, "llvm.x86.avx512.pternlog.d.512", v.SUMS, kinds)
        return self.builder.call(function, [a, b, c, v.I32(table)])

    def finish(self) -> Any:
        for weight, slot in zip((1, 2, 4), self.places, strict=False):
            self.add(weight, self.builder.load(slot))
        return self.builder.load(self.total)


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
        for number, start in enumerate(self.blocks):
            columns = [
                v.load(builder, weights, builder.add(start, v.I64(64 * i)), v.SUMS)
                for i in range(count)
            ]
            for far, counters in zip(self.far, self.counters, strict=True):
                words = [(self.word(x, far, i), column) for i, column in enumerate(columns)]
                if count == 1:
                    counters[number].add(1, met(builder, *words[0], self.plain))
                else:
                    counters[number].add_group(words, self.plain)
        builder.store(builder.gep(x, [v.I64(4 * count)]), line)
        builder.store(builder.gep(weights, [v.I64(64 * count)]), place)

    def word(self, x: Any, far: Any, step: int) -> Any:
        """A pixel's word, in all lanes."""
        at = self.builder.add(far, v.I64(4 * step))
        return v.splat(self.builder, v.load(self.builder, x, at, v.I32), v.SUMS)


def met(builder: Any, x: Any, w: Any, plain: bool) -> Any:
    """A pixel's word against a block's."""
    return builder.and_(x, w) if plain else builder.xor(x, w)


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
