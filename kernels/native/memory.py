"""Typed views of the arena and the constants inside native kernels.

A kernel is handed `int8*`; each `<dtype>_at(pointer, offset)` is a pointer to `<dtype>` at that
many bytes after it, to be indexed in elements. Nothing is checked: the memory plan has placed every
tensor, and aligned it to its element size.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic

INT8_POINTER = types.CPointer(types.int8)
INT32_POINTER = types.CPointer(types.int32)
INT64_POINTER = types.CPointer(types.int64)


@intrinsic
def pointer_to(typing_context, address, kind):  # type: ignore[no-untyped-def]
    """An address as a pointer of the type `kind` (a Numba type given as a global)."""
    target = kind.instance_type

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], context.get_value_type(target))

    return target(types.int64, kind), emit


def _pointer_at(element: types.Type) -> Any:
    target = types.CPointer(element)

    @intrinsic
    def at(typing_context, pointer, offset):  # type: ignore[no-untyped-def]
        def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            byte = builder.gep(arguments[0], [arguments[1]])
            return builder.bitcast(byte, context.get_value_type(target))

        return target(INT8_POINTER, types.int64), emit

    return at


int8_at = _pointer_at(types.int8)
uint8_at = _pointer_at(types.uint8)
int16_at = _pointer_at(types.int16)
int32_at = _pointer_at(types.int32)
int64_at = _pointer_at(types.int64)
uint32_at = _pointer_at(types.uint32)
uint64_at = _pointer_at(types.uint64)
float32_at = _pointer_at(types.float32)
float64_at = _pointer_at(types.float64)


BLOCK = 64  # elements of a block on the stack
PART = 16  # that are made together too, where fewer than a block are left


def _block_of(element: types.Type) -> Any:
    target = types.CPointer(element)

    @intrinsic
    def block(typing_context):  # type: ignore[no-untyped-def]
        def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            return cgutils.alloca_once(builder, context.get_value_type(element), BLOCK)

        return target(), emit

    return block


# Uninitialised stack room for BLOCK values, one for each place in the source that asks for it.
# LLVM knows that nothing else points there, so that loops over a block need no overlap checks.
int8_block = _block_of(types.int8)
int16_block = _block_of(types.int16)
int32_block = _block_of(types.int32)
int64_block = _block_of(types.int64)
float32_block = _block_of(types.float32)


@intrinsic
def copy_bytes(typing_context, target, source, count):  # type: ignore[no-untyped-def]
    """memmove of `count` bytes between two `int8*` (they may overlap)."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        cgutils.raw_memmove(builder, arguments[0], arguments[1], arguments[2], 1)
        return context.get_dummy_value()

    return types.void(INT8_POINTER, INT8_POINTER, types.int64), emit
