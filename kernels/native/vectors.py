"""LLVM vector code that the host's vector kernels are put together from, for each instruction set.

Everything here builds LLVM IR while Numba lowers a kernel. A block is 16 int32 lanes; a step adds
four products to each: activations times signed weights, where activations are q + 128 without a
sign on x86-64, and q on AArch64. Sets differ in the step and in how sums become bytes; LLVM splits
the vectors where registers are narrower.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from .processor import AVX2, AVX512_VNNI, NEON, NEON_DOT, SETS, instruction_set, machine

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
SUMS = ir.VectorType(I32, 16)
QUADS = ir.VectorType(I8, 64)  # four bytes for each lane
PAIRS = ir.VectorType(I16, 32)  # two int16 for each lane
BYTES = ir.VectorType(I8, 16)
WIDE = ir.VectorType(I64, 8)
QUARTER = ir.VectorType(I32, 4)  # an AArch64 register
FOREIGN = "midge.other."  # stands for "llvm." where an instruction is not this machine's

Builder = Any  # llvmlite's builders and values carry no types
Value = Any


# ---- plain vector code -------------------------------------------------------------------------


def constant(kind: ir.VectorType, *values: int) -> Value:
    """A vector constant: one value for all lanes, or one for each."""
    lanes = values if len(values) > 1 else values * kind.count
    return ir.Constant(kind, [ir.Constant(kind.element, value) for value in lanes])


def pick(builder: Builder, a: Value, b: Value, lanes: Sequence[int]) -> Value:
    """A vector of the stated lanes of a, then b."""
    mask = ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes))
    return builder.shuffle_vector(a, b, mask)


def splat(builder: Builder, value: Value, kind: ir.VectorType) -> Value:
    """A vector with `value`, cut to the lanes' width, in all lanes."""
    if value.type != kind.element:
        value = builder.trunc(value, kind.element)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, I32(0))
    return pick(builder, first, first, [0] * kind.count)


def place(builder: Builder, pointer: Value, offset: Value, kind: Any) -> Value:
    """A typed pointer at `offset` bytes from an `int8*`."""
    return builder.bitcast(builder.gep(pointer, [offset]), kind.as_pointer())


def load(builder: Builder, pointer: Value, offset: Value, kind: Any) -> Value:
    """A value from any address."""
    return builder.load(place(builder, pointer, offset, kind), align=1)


def store(builder: Builder, pointer: Value, offset: Value, value: Value) -> None:
    """A value to any address."""
    builder.store(value, place(builder, pointer, offset, value.type), align=1)


def store_first(
    builder: Builder, pointer: Value, offset: Value, value: Value, count: Value
) -> None:
    """The first `count` of 16 bytes to any address; nothing behind them is touched."""
    lanes = constant(BYTES, *range(16))
    mask = builder.icmp_unsigned("<", lanes, splat(builder, count, BYTES))
    kinds = [BYTES, BYTES.as_pointer(), I32, mask.type]
    function = intrinsic(builder, "llvm.masked.store.v16i8.p0", ir.VoidType(), kinds)
    target = place(builder, pointer, offset, BYTES)
    builder.call(function, [value, target, I32(1), mask])


def interleaved(builder: Builder, parts: Sequence[Value]) -> Value:
    """Four <16 x i8> to one vector whose lane i holds byte i of each."""
    low, high = (
        pick(builder, parts[i], parts[i + 1], [n // 2 + 16 * (n % 2) for n in range(32)])
        for i in (0, 2)
    )
    pair = ir.VectorType(I16, 16)
    low, high = builder.bitcast(low, pair), builder.bitcast(high, pair)
    both = pick(builder, low, high, [n // 2 + 16 * (n % 2) for n in range(32)])
    return builder.bitcast(both, SUMS)


def intrinsic(builder: Builder, name: str, result: Any, kinds: Sequence[Any]) -> Value:
    """An LLVM function by name, declared in the module if it isn't yet."""
    if name.startswith("llvm.aarch64.") and machine() != "aarch64":
        name = name.replace("llvm.", FOREIGN, 1)
        llvm.add_symbol(name, 1)  # Numba's own code generator wants an address; none is called
    known = builder.module.globals.get(name)
    return known or ir.Function(builder.module, ir.FunctionType(result, kinds), name)


def limited(builder: Builder, value: Value, least: Value, greatest: Value) -> Value:
    """Signed lanes held in [least, greatest]."""
    raised = builder.select(builder.icmp_signed(">", value, least), value, least)
    return builder.select(builder.icmp_signed("<", raised, greatest), raised, greatest)


# ---- a step: four products into each lane ------------------------------------------------------


class Step:
    """VNNI: one instruction a step."""

    signed = False  # whether activations are q rather than q + 128
    sums: ir.VectorType = SUMS  # of a block, while steps add to them

    def start(self, builder: Builder, bias: Value) -> Value:
        """A block's sums before the first step."""
        return bias

    def total(self, builder: Builder, sums: Value) -> Value:
        """A block's 16 sums after the last."""
        return sums

    def activations(self, builder: Builder, quads: Value) -> Any:
        """Prepare bytes: `quads` of all lanes, or an int32 of four for every lane."""
        vector = quads if quads.type == SUMS else splat(builder, quads, SUMS)
        return builder.bitcast(vector, QUADS)

    def weights(self, builder: Builder, quads: Value) -> Any:
        """Prepare a block's signed bytes."""
        return builder.bitcast(quads, QUADS)

    def add(self, builder: Builder, sums: Value, activations: Any, weights: Any) -> Value:
        name = "llvm.x86.avx512.vpdpbusd.512"
        function = intrinsic(builder, name, SUMS, [SUMS, QUADS, QUADS])
        return builder.call(function, [sums, activations, weights])


class PairStep(Step):
    """Even and odd bytes as int16, multiplied in pairs, which is exact where `vpmaddubsw` isn't."""

    def activations(self, builder: Builder, quads: Value) -> Any:
        """Split the int32 as a number, before it goes to all lanes."""
        low, eight = (
            (constant(SUMS, value) if quads.type == SUMS else I32(value))
            for value in (0x00FF00FF, 8)
        )
        parts = builder.and_(quads, low), builder.and_(builder.lshr(quads, eight), low)
        if quads.type != SUMS:
            parts = tuple(splat(builder, part, SUMS) for part in parts)
        return [builder.bitcast(part, PAIRS) for part in parts]

    def weights(self, builder: Builder, quads: Value) -> Any:
        pairs, eight = builder.bitcast(quads, PAIRS), constant(PAIRS, 8)
        return builder.ashr(builder.shl(pairs, eight), eight), builder.ashr(pairs, eight)

    def add(self, builder: Builder, sums: Value, activations: Any, weights: Any) -> Value:
        for x, w in zip(activations, weights, strict=True):
            sums = builder.add(sums, self.products(builder, x, w))
        return sums

    def products(self, builder: Builder, x: Value, w: Value) -> Value:
        """x[2i] * w[2i] + x[2i + 1] * w[2i + 1] in int32, by plain vector code."""
        wide = ir.VectorType(I32, 32)
        product = builder.mul(builder.sext(x, wide), builder.sext(w, wide))
        even, odd = (pick(builder, product, product, range(i, 32, 2)) for i in (0, 1))
        return builder.add(even, odd)


class Avx2Step(PairStep):
    """`vpmaddwd` on each half."""

    def products(self, builder: Builder, x: Value, w: Value) -> Value:
        half, sums = ir.VectorType(I16, 16), ir.VectorType(I32, 8)
        function = intrinsic(builder, "llvm.x86.avx2.pmadd.wd", sums, [half, half])
        low, high = (
            builder.call(function, [pick(builder, v, v, range(i, i + 16)) for v in (x, w)])
            for i in (0, 16)
        )
        return pick(builder, low, high, range(16))


class DotStep(Step):
    """`sdot` on each quarter."""

    signed = True

    def add(self, builder: Builder, sums: Value, activations: Any, weights: Any) -> Value:
        name = "llvm.aarch64.neon.sdot.v4i32.v16i8"
        function = intrinsic(builder, name, QUARTER, [QUARTER, BYTES, BYTES])
        return joined(
            builder,
            [
                builder.call(
                    function,
                    [
                        pick(builder, sums, sums, range(i, i + 4)),
                        *(
                            pick(builder, v, v, range(4 * i, 4 * i + 16))
                            for v in (weights, activations)
                        ),
                    ],
                )
                for i in range(0, 16, 4)
            ],
        )


class LongStep(Step):
    """`smull` of eight bytes, whose neighbouring products `sadalp` adds in int32.

    A lane has two sums until the last step: no product is added in 16 bits, where two of
    -128 * -128 don't fit.
    """

    signed = True
    sums = ir.VectorType(I32, 32)

    def start(self, builder: Builder, bias: Value) -> Value:
        return pick(builder, bias, constant(SUMS, 0), [i // 2 + 16 * (i % 2) for i in range(32)])

    def total(self, builder: Builder, sums: Value) -> Value:
        even, odd = (pick(builder, sums, sums, range(i, 32, 2)) for i in (0, 1))
        return builder.add(even, odd)

    def add(self, builder: Builder, sums: Value, activations: Any, weights: Any) -> Value:
        half, products = ir.VectorType(I8, 8), ir.VectorType(I16, 8)
        multiply = intrinsic(builder, "llvm.aarch64.neon.smull.v8i16", products, [half, half])
        name = "llvm.aarch64.neon.saddlp.v4i32.v8i16"
        add_pairs = intrinsic(builder, name, QUARTER, [products])
        parts = []
        for i in range(0, 64, 8):
            pair = [pick(builder, v, v, range(i, i + 8)) for v in (weights, activations)]
            added = builder.call(add_pairs, [builder.call(multiply, pair)])
            before = pick(builder, sums, sums, range(i // 2, i // 2 + 4))
            parts.append(builder.add(before, added))
        return joined(builder, parts)


def joined(builder: Builder, parts: Sequence[Value]) -> Value:
    """Vectors of one length, a power of two of them, as one."""
    while len(parts) > 1:
        lanes = range(2 * parts[0].type.count)
        parts = [pick(builder, a, b, lanes) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


_STEPS = {AVX512_VNNI: Step, AVX2: Avx2Step, NEON_DOT: DotStep, NEON: LongStep}


def step() -> Step:
    """The step of the instruction set that is compiled for."""
    return _STEPS.get(instruction_set(), PairStep)()


def sign() -> int:
    """What turns q into the byte that a step takes, by exclusive or."""
    return 0 if step().signed else -128


# ---- sums to bytes -----------------------------------------------------------------------------

PARAMETER_BYTES = 11 * 64  # of a block: see `kernels/vector/packing.py`


def block_parameters(builder: Builder, pointer: Value, block: int) -> list[Value]:
    """left, multiplier, half, tie and right of a block, and its `WIDE_PARAMETERS`."""
    return [_parameter(builder, pointer, block, row) for row in range(2, 11)]


def bias_of(builder: Builder, pointer: Value, block: int) -> Value:
    """The bias of a block's sums of q + 128, or of q."""
    return _parameter(builder, pointer, block, int(step().signed))


def _parameter(builder: Builder, pointer: Value, block: int, row: int) -> Value:
    return load(builder, pointer, I64(block * PARAMETER_BYTES + 64 * row), SUMS)


def requantized(
    builder: Builder, sums: Value, parameters: Sequence[Value], plain: bool = False
) -> Value:
    """Sums to output units, output zero point included, rounded twice as the reference does.

    `plain` is for lanes without a left shift whose values below the zero point are held there
    afterwards: which way a negative tie rounds doesn't matter then.
    """
    left, multiplier, half, tie, right = parameters[:5]
    if plain and instruction_set() == AVX512_VNNI:
        return _plain(builder, sums, multiplier, parameters[5:])
    if plain:
        return builder.ashr(builder.add(_high_of(builder, sums, multiplier), half), right)
    high = _high_of(builder, builder.shl(sums, left), multiplier)
    negative = builder.and_(builder.ashr(high, constant(SUMS, 31)), tie)
    return builder.ashr(builder.add(builder.add(high, half), negative), right)


def _plain(builder: Builder, sums: Value, multiplier: Value, wide: Sequence[Value]) -> Value:
    """Both roundings at once, in 64 bits."""
    even, odd = (
        builder.ashr(
            builder.add(
                builder.mul(lanes(builder, sums), lanes(builder, multiplier)),
                builder.bitcast(added, WIDE),
            ),
            builder.bitcast(shift, WIDE),
        )
        for lanes, added, shift in ((_even, wide[0], wide[2]), (_odd, wide[1], wide[3]))
    )
    even, odd = builder.bitcast(even, SUMS), builder.bitcast(odd, SUMS)
    return pick(builder, even, odd, [i + 16 * (i % 2) for i in range(16)])


def _high_of(builder: Builder, sums: Value, multiplier: Value) -> Value:
    """Doubling high products, rounded."""
    neon = SETS[instruction_set()].machine == "aarch64"
    return (_high_neon if neon else _high)(builder, sums, multiplier)


def _high(builder: Builder, sums: Value, multiplier: Value) -> Value:
    """A floor for both signs.

    The 64-bit products are of even and of odd lanes, from which the middle 32 bits are put together
    again.
    """
    rounding = constant(WIDE, 1 << 30)
    even, odd = (
        builder.add(builder.mul(lanes(builder, sums), lanes(builder, multiplier)), rounding)
        for lanes in (_even, _odd)
    )
    even = builder.bitcast(builder.lshr(even, constant(WIDE, 31)), SUMS)
    odd = builder.bitcast(builder.shl(odd, constant(WIDE, 1)), SUMS)
    return pick(builder, even, odd, [i + 16 * (i % 2) for i in range(16)])


def _high_neon(builder: Builder, sums: Value, multiplier: Value) -> Value:
    """The same by `sqrdmulh`."""
    name = "llvm.aarch64.neon.sqrdmulh.v4i32"
    function = intrinsic(builder, name, QUARTER, [QUARTER, QUARTER])
    quarters = [
        builder.call(function, [pick(builder, v, v, range(i, i + 4)) for v in (sums, multiplier)])
        for i in range(0, 16, 4)
    ]
    return joined(builder, quarters)


def _even(builder: Builder, value: Value) -> Value:
    """Even lanes as int64, in the form that LLVM takes for a signed 32-bit product."""
    wide, bits = builder.bitcast(value, WIDE), constant(WIDE, 32)
    return builder.ashr(builder.shl(wide, bits), bits)


def _odd(builder: Builder, value: Value) -> Value:
    return builder.ashr(builder.bitcast(value, WIDE), constant(WIDE, 32))


def narrowed(
    builder: Builder, blocks: Sequence[Value], least: Value, greatest: Value
) -> list[Value]:
    """One <16 x i8> for each block of int32 lanes, or one vector of all, held in [least, greatest].

    They are held in a byte's range first: that is what instructions which narrow do anyway.
    """
    if len(blocks) == 4 and instruction_set() == AVX512_VNNI:
        return [_packed(builder, blocks, least, greatest)]
    low, high = splat(builder, least, BYTES), splat(builder, greatest, BYTES)
    return [limited(builder, saturated(builder, block), low, high) for block in blocks]


def _packed(builder: Builder, blocks: Sequence[Value], least: Value, greatest: Value) -> Value:
    """Four blocks as one <64 x i8>, by packs that work on quarters of a register."""
    words = intrinsic(builder, "llvm.x86.avx512.packssdw.512", PAIRS, [SUMS, SUMS])
    octets = intrinsic(builder, "llvm.x86.avx512.packsswb.512", QUADS, [PAIRS, PAIRS])
    halves = [builder.call(words, list(blocks[i : i + 2])) for i in (0, 2)]
    mixed = builder.bitcast(builder.call(octets, halves), SUMS)
    ordered = pick(builder, mixed, mixed, [4 * (i % 4) + i // 4 for i in range(16)])
    low, high = splat(builder, least, QUADS), splat(builder, greatest, QUADS)
    return limited(builder, builder.bitcast(ordered, QUADS), low, high)


def saturated(builder: Builder, block: Value) -> Value:
    """int32 lanes as <16 x i8>, held in its range."""
    byte = limited(builder, block, constant(SUMS, -128), constant(SUMS, 127))
    return builder.trunc(byte, BYTES)
