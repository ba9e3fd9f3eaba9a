"""A step of the vector kernels: each lane of a block takes four bytes of products.

Those are four of int8, where activations are q + 128 without a sign on x86-64 and q on AArch64, two
of int16, or one of float32. Instruction sets differ in how.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llvmlite import ir

from .processor import (
    AVX2,
    AVX512_VNNI,
    AVX_VNNI,
    NEON,
    NEON_DOT,
    NEON_I8MM,
    PORTABLE,
    own_of,
)
from .vectors import (
    BYTES,
    F32,
    FLOATS,
    I8,
    I16,
    I32,
    PAIRS,
    QUADS,
    QUARTER,
    SUMS,
    Builder,
    Value,
    constant,
    intrinsic,
    joined,
    pick,
    splat,
)

TWICE = ir.VectorType(I32, 32)


class Step:
    """VNNI: one instruction a step."""

    signed = False  # whether activations are q rather than q + 128
    pairs = False  # whether two steps of two pixels are taken at once
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


class HalfStep(Step):
    """The same with registers of 256 bits."""

    def add(self, builder: Builder, sums: Value, activations: Any, weights: Any) -> Value:
        half, octets = ir.VectorType(I32, 8), ir.VectorType(I8, 32)
        function = intrinsic(builder, "llvm.x86.avx512.vpdpbusd.256", half, [half, octets, octets])
        parts = []
        for i in (0, 1):
            lanes, bytes = range(8 * i, 8 * i + 8), range(32 * i, 32 * i + 32)
            given = [pick(builder, v, v, bytes) for v in (activations, weights)]
            parts.append(builder.call(function, [pick(builder, sums, sums, lanes), *given]))
        return joined(builder, parts)


class PairStep(Step):
    """Even and odd bytes as int16, multiplied in pairs, which is exact where `vpmaddubsw` isn't."""

    def activations(self, builder: Builder, quads: Value) -> Any:
        """Split in registers: four bytes go from memory to all lanes in one load."""
        lanes = quads if quads.type == SUMS else splat(builder, quads, SUMS)
        low = builder.and_(lanes, constant(SUMS, 0x00FF00FF))
        high = builder.lshr(builder.bitcast(lanes, PAIRS), constant(PAIRS, 8))
        return builder.bitcast(low, PAIRS), high

    def weights(self, builder: Builder, quads: Value) -> Any:
        pairs, eight = builder.bitcast(quads, PAIRS), constant(PAIRS, 8)
        return builder.ashr(builder.shl(pairs, eight), eight), builder.ashr(pairs, eight)

    def add(self, builder: Builder, sums: Value, activations: Any, weights: Any) -> Value:
        for x, w in zip(activations, weights, strict=True):
            sums = builder.add(sums, pair_products(builder, x, w))
        return sums


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


class MatrixStep(DotStep):
    """`sdot` too, and `smmla`: eight products of two pixels into each of two channels at once."""

    pairs = True

    def start_pair(self, builder: Builder, bias: Value) -> Value:
        """The sums of two pixels: of each in turn those of two channels."""
        return pick(builder, bias, bias, [2 * (i // 4) + i % 2 for i in range(32)])

    def pair_totals(self, builder: Builder, sums: Value) -> list[Value]:
        """Each pixel's 16."""
        return [
            pick(builder, sums, sums, [4 * (i // 2) + i % 2 + 2 * pixel for i in range(16)])
            for pixel in (0, 1)
        ]

    def pair_weights(self, builder: Builder, first: Value, second: Value) -> Value:
        """Those of two steps side by side for each channel."""
        lanes = [i // 2 + 16 * (i % 2) for i in range(32)]
        return builder.bitcast(pick(builder, first, second, lanes), ir.VectorType(I8, 128))

    def add_pair(self, builder: Builder, sums: Value, activations: Value, weights: Value) -> Value:
        """`activations`: eight bytes of each pixel."""
        name = "llvm.aarch64.neon.smmla.v4i32.v16i8"
        function = intrinsic(builder, name, QUARTER, [QUARTER, BYTES, BYTES])
        parts = []
        for i in range(8):
            before = pick(builder, sums, sums, range(4 * i, 4 * i + 4))
            column = pick(builder, weights, weights, range(16 * i, 16 * i + 16))
            parts.append(builder.call(function, [before, activations, column]))
        return joined(builder, parts)


class LongStep(Step):
    """`smull` of eight bytes, whose neighbouring products `sadalp` adds in int32.

    A lane has two sums until the last step: no product is added in 16 bits, where two of
    -128 * -128 don't fit.
    """

    signed = True
    sums = TWICE

    def start(self, builder: Builder, bias: Value) -> Value:
        return apart(builder, bias)

    def total(self, builder: Builder, sums: Value) -> Value:
        return together(builder, sums)

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


class ShortStep(Step):
    """Two int16 of each: `vpdpwssd`."""

    def activations(self, builder: Builder, quads: Value) -> Any:
        return builder.bitcast(splat(builder, quads, SUMS), PAIRS)

    def weights(self, builder: Builder, quads: Value) -> Any:
        return builder.bitcast(quads, PAIRS)

    def add(self, builder: Builder, sums: Value, activations: Any, weights: Any) -> Value:
        name = "llvm.x86.avx512.vpdpwssd.512"
        function = intrinsic(builder, name, SUMS, [SUMS, PAIRS, PAIRS])
        return builder.call(function, [sums, activations, weights])


class ShortPairStep(ShortStep):
    """The same by `vpmaddwd` of what registers hold."""

    def add(self, builder: Builder, sums: Value, activations: Any, weights: Any) -> Value:
        return builder.add(sums, pair_products(builder, activations, weights))


class ShortLongStep(ShortStep):
    """`smlal`: a lane has two sums until the last step, as in `LongStep`."""

    sums = TWICE

    def start(self, builder: Builder, bias: Value) -> Value:
        return apart(builder, bias)

    def total(self, builder: Builder, sums: Value) -> Value:
        return together(builder, sums)

    def add(self, builder: Builder, sums: Value, activations: Any, weights: Any) -> Value:
        half = ir.VectorType(I16, 4)
        multiply = intrinsic(builder, "llvm.aarch64.neon.smull.v4i32", QUARTER, [half, half])
        parts = []
        for i in range(0, 32, 4):
            lanes = range(i, i + 4)
            pair = [pick(builder, v, v, lanes) for v in (weights, activations)]
            before = pick(builder, sums, sums, lanes)
            parts.append(builder.add(before, builder.call(multiply, pair)))
        return joined(builder, parts)


class FloatStep(Step):
    """A product, rounded, and a sum, rounded: never one fused instruction."""

    sums = FLOATS

    def activations(self, builder: Builder, quads: Value) -> Any:
        return splat(builder, builder.bitcast(quads, F32), FLOATS)

    def weights(self, builder: Builder, quads: Value) -> Any:
        return builder.bitcast(quads, FLOATS)

    def add(self, builder: Builder, sums: Value, activations: Any, weights: Any) -> Value:
        return builder.fadd(sums, builder.fmul(activations, weights))


def apart(builder: Builder, bias: Value) -> Value:
    """Two sums for each lane, the second one 0."""
    return pick(builder, bias, constant(SUMS, 0), [i // 2 + 16 * (i % 2) for i in range(32)])


def together(builder: Builder, sums: Value) -> Value:
    """The two sums of each lane, added."""
    even, odd = (pick(builder, sums, sums, range(i, 32, 2)) for i in (0, 1))
    return builder.add(even, odd)


# int32 lanes of a register, and the instruction.
_PAIR_PRODUCTS = {AVX2: (8, "avx2.pmadd.wd"), PORTABLE: (4, "sse2.pmadd.wd")}


def pair_products(builder: Builder, x: Value, w: Value) -> Value:
    """x[2i] * w[2i] + x[2i + 1] * w[2i + 1] of <32 x i16> in int32."""
    lanes, name = own_of(_PAIR_PRODUCTS)
    part, sums = ir.VectorType(I16, 2 * lanes), ir.VectorType(I32, lanes)
    function = intrinsic(builder, f"llvm.x86.{name}", sums, [part, part])
    return joined(
        builder,
        [
            builder.call(function, [pick(builder, v, v, range(i, i + 2 * lanes)) for v in (x, w)])
            for i in range(0, 32, 2 * lanes)
        ],
    )


_STEPS: Mapping[str, type[Step]] = {
    AVX512_VNNI: Step,
    AVX_VNNI: HalfStep,
    AVX2: PairStep,
    PORTABLE: PairStep,
    NEON_I8MM: MatrixStep,
    NEON_DOT: DotStep,
    NEON: LongStep,
}
_SHORT_STEPS: Mapping[str, type[Step]] = {
    AVX512_VNNI: ShortStep,
    AVX2: ShortPairStep,
    PORTABLE: ShortPairStep,
    NEON_DOT: ShortLongStep,
    NEON: ShortLongStep,
}


def step() -> Step:
    """int8's, with the instruction set that is compiled for."""
    return own_of(_STEPS)()


def short_step() -> Step:
    """int16's."""
    return own_of(_SHORT_STEPS)()


def sign() -> int:
    """What turns q into the byte that a step takes, by exclusive or."""
    return 0 if step().signed else -128
