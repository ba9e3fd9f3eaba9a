"""From int32 sums to outputs, rounded twice as the reference does, for each instruction set."""

from __future__ import annotations

from collections.abc import Sequence

from .fixedpoint import ROUNDER
from .processor import AVX512_VNNI, SETS, instruction_set
from .vectors import (
    BYTES,
    FLOATS,
    PAIRS,
    QUADS,
    QUARTER,
    SUMS,
    WIDE,
    Builder,
    Value,
    constant,
    intrinsic,
    joined,
    limited,
    pick,
    splat,
)


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


def in_floats(builder: Builder, sums: Value, parameters: Sequence[Value]) -> Value:
    """Sums times float32s, to the nearest whole number, ties to even; zero point included.

    Adding so large a number rounds: the packing keeps products small enough for that.
    """
    _, multiplier, point = parameters[:3]
    rounder = constant(FLOATS, float(ROUNDER))
    product = builder.fmul(builder.sitofp(sums, FLOATS), builder.bitcast(multiplier, FLOATS))
    whole = builder.fsub(builder.fadd(product, rounder), rounder)
    return builder.add(builder.fptosi(whole, SUMS), point)


def _plain(builder: Builder, sums: Value, multiplier: Value, wide: Sequence[Value]) -> Value:
    """Both roundings at once, in 64 bits: the upper half is taken, and shifted by what is left."""
    even, odd = (
        builder.bitcast(
            builder.add(
                builder.mul(lanes(builder, sums), lanes(builder, multiplier)),
                builder.bitcast(added, WIDE),
            ),
            SUMS,
        )
        for lanes, added in ((_even, wide[0]), (_odd, wide[1]))
    )
    upper = pick(builder, even, odd, [i + (16 if i % 2 else 1) for i in range(16)])
    return builder.ashr(upper, wide[2])


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
