"""Counting bits of 16 lanes: the processor's own counts, or carry-save adders before them.

Where the processor counts the bits of 32-bit lanes they are counted at once; where it counts those
of bytes (NEON), bytes of eight words are added up first. Elsewhere carry-save adders (Harley and
Seal) add eight words up by place, so that bits are counted for every eighth only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from . import processor
from . import vectors as v
from .steps import step

GROUP = 8  # words that go through the adders together
# Truth tables of three operands for `vpternlogd`: a ^ b ^ c, a ^ (b & c), a ? b : c, and whether
# two of them are 1.
ODD, ODD_OF_BOTH, CHOICE, MOST = 0x96, 0x78, 0xCA, 0xE8


def counts_lanes() -> bool:
    """Whether kernels may be compiled for a processor that counts the bits of 32-bit lanes."""
    own = processor.instruction_set() == processor.AVX512_VNNI and not processor.is_stated()
    return own and "avx512_vpopcntdq" in processor.flags()


def counts_bytes() -> bool:
    """Whether counting the bits of bytes takes one instruction."""
    return processor.SETS[processor.instruction_set()].machine == "aarch64"


def met(builder: Any, x: Any, w: Any, plain: bool) -> Any:
    """A pixel's word against a block's."""
    return builder.and_(x, w) if plain else builder.xor(x, w)


@dataclass(frozen=True, eq=False)
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
        """Eight words, whose bytes' counts add up to 64 at most."""
        builder = self.builder
        counts = [self.octets(met(builder, *word, plain)) for word in words]
        folded = self.folded(reduce(builder.add, counts))
        builder.store(builder.add(builder.load(self.total), folded), self.total)

    def add_pair(
        self, carries: list[tuple[int, Any]], words: Sequence[tuple[Any, Any]], plain: bool
    ) -> None:
        """Two words through the adders, whose carries wait for others of their weight."""
        half = self.half(self.builder.load(self.places[0]), *words[0], plain)
        carry = self.carry(self.places[0], half, met(self.builder, *words[1], plain))
        weight = 2
        while carries and carries[-1][0] == weight:
            _, other = carries.pop()
            carry = self.carried(self.places[weight.bit_length() - 1], other, carry)
            weight *= 2
        carries.append((weight, carry))

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

    def carried(self, slot: Any, a: Any, b: Any) -> Any:
        """The same of two carries."""
        builder, held = self.builder, self.builder.load(slot)
        if processor.instruction_set() != processor.AVX512_VNNI:
            return self.carry(slot, builder.xor(held, a), b)
        builder.store(self.of_three(held, a, b, ODD), slot)
        return self.of_three(held, a, b, MOST)

    def of_three(self, a: Any, b: Any, c: Any, table: int) -> Any:
        kinds = [v.SUMS, v.SUMS, v.SUMS, v.I32]
        function = v.intrinsic(self.builder, "llvm.x86.avx512.pternlog.d.512", v.SUMS, kinds)
        return self.builder.call(function, [a, b, c, v.I32(table)])

    def finish(self) -> Any:
        for level, slot in enumerate(self.places):
            self.add(1 << level, self.builder.load(slot))
        return self.builder.load(self.total)
