"""The dispatch loop itself, compiled: walks the words that `dispatch.py` writes."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .memory import (
    INT8_POINTER,
    INT32_POINTER,
    INT64_POINTER,
    copy_bytes,
    int8_at,
    pointer_to,
)
from .opcodes import (
    CALL,
    CALL_HEADER,
    COPY,
    COPY_WORDS,
    GOTO,
    LEFT,
    LOOP,
    LOOP_HEADER,
    MOVE,
    MOVE_WORDS,
    NEXT,
    OVER,
    STEP_WORDS,
    TURN,
    TURN_WORDS,
    TURNS,
    TURNS_WORDS,
    UNLESS,
    UNLESS_WORDS,
)
from .registry import native


@intrinsic
def _call(typing_context, address, arena, constants, words, offset):  # type: ignore[no-untyped-def]
    """Call the kernel at `address` with its words at `words + offset`."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        target, *pointers, first, skipped = arguments
        pointers.append(builder.gep(first, [skipped]))
        kind = ir.FunctionType(ir.VoidType(), [pointer.type for pointer in pointers])
        builder.call(builder.inttoptr(target, kind.as_pointer()), pointers)
        return context.get_dummy_value()

    signature = types.void(types.int64, INT8_POINTER, INT8_POINTER, INT32_POINTER, types.int64)
    return signature, emit


@native(INT64_POINTER)
def dispatch(descriptor):  # type: ignore[no-untyped-def]
    """Run words begin .. end-1. `descriptor`: arena, constants, words, kernels, begin, end."""
    arena, constants = (
        pointer_to(descriptor[0], INT8_POINTER),
        pointer_to(descriptor[1], INT8_POINTER),
    )
    words, kernels = (
        pointer_to(descriptor[2], INT32_POINTER),
        pointer_to(descriptor[3], INT64_POINTER),
    )
    pc, end = descriptor[4], descriptor[5]
    while pc < end:
        code = words[pc]
        if code == CALL:
            _call(kernels[words[pc + 1]], arena, constants, words, pc + CALL_HEADER)
            pc += CALL_HEADER + words[pc + 2]
        elif code == LOOP:
            words[pc + 2] = words[pc + 1]
            step = pc + LOOP_HEADER
            pc = step + STEP_WORDS * words[pc + 3]
            while step < pc:
                words[words[step]] = words[step + 1]
                step += STEP_WORDS
        elif code == NEXT:
            loop = words[pc + 1]
            pc += 2
            words[loop + 2] -= 1
            if words[loop + 2] > 0:
                step = loop + LOOP_HEADER
                pc = step + STEP_WORDS * words[loop + 3]
                while step < pc:
                    words[words[step]] += words[step + 2]
                    step += STEP_WORDS
        elif code == COPY:
            origin = constants if words[pc + 4] else arena
            target, source = int8_at(arena, words[pc + 1]), int8_at(origin, words[pc + 2])
            copy_bytes(target, source, words[pc + 3])
            pc += COPY_WORDS
        elif code == MOVE:
            arena = int8_at(arena, words[pc + 1])
            constants = int8_at(constants, words[pc + 2])
            pc += MOVE_WORDS
        elif code == TURNS:
            words[pc + LEFT] = words[pc + 1]
            pc += TURNS_WORDS
        elif code == TURN:
            turns = words[pc + 1]
            if words[turns + LEFT] > 0:
                words[turns + LEFT] -= 1
                pc += TURN_WORDS
            else:
                words[turns + OVER] = 1
                pc = words[pc + 2]
        elif code == UNLESS:
            pc = pc + UNLESS_WORDS if arena[words[pc + 1]] else words[pc + 2]
        elif code == GOTO:
            pc = words[pc + 1]
