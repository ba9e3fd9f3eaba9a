"""Plain LLVM vector code that the host's vector kernels are put together from.

Everything here builds LLVM IR while Numba lowers a kernel. A block is 16 lanes of 32 bits; LLVM
splits the vectors where registers are narrower.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from .processor import machine

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
F32 = ir.FloatType()
SUMS = ir.VectorType(I32, 16)
FLOATS = ir.VectorType(F32, 16)
QUADS = ir.VectorType(I8, 64)  # four bytes for each lane
PAIRS = ir.VectorType(I16, 32)  # two int16 for each lane
BYTES = ir.VectorType(I8, 16)
SHORTS = ir.VectorType(I16, 16)
WIDE = ir.VectorType(I64, 8)
QUARTER = ir.VectorType(I32, 4)  # an AArch64 register
FOREIGN = "midge.other."  # stands for "llvm." where an instruction is not this machine's

Builder = Any  # llvmlite's builders and values carry no types
Value = Any


# ---- plain vector code -------------------------------------------------------------------------


def constant(kind: ir.VectorType, *values: float) -> Value:
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
    """The first `count` of 16 lanes, or all, to any address; nothing behind them is touched."""
    lanes, most = constant(BYTES, *range(16)), count.type(16)
    few = builder.select(builder.icmp_unsigned("<", count, most), count, most)
    mask = builder.icmp_unsigned("<", lanes, splat(builder, few, BYTES))  # that takes 8 bits
    kinds = [value.type, value.type.as_pointer(), I32, mask.type]
    name = {I8: "i8", I16: "i16", F32: "f32"}[value.type.element]
    function = intrinsic(builder, f"llvm.masked.store.v16{name}.p0", ir.VoidType(), kinds)
    target = place(builder, pointer, offset, value.type)
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


def joined(builder: Builder, parts: Sequence[Value]) -> Value:
    """Vectors of one length, a power of two of them, as one."""
    while len(parts) > 1:
        lanes = range(2 * parts[0].type.count)
        parts = [pick(builder, a, b, lanes) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]
