"""Several threads through one program: a leader, and followers that make pieces of its calls.

A call that can be made in pieces is a phase. Each follower has a box, a cache line that says what
it does: it waits there (IDLE), the leader puts the number of a piece into it (GIVEN), the follower
takes that (TAKEN), makes the piece, and is idle again. When a phase begins the leader gives pieces
to those that wait, makes the others itself, and takes back what was not taken by then: a follower
that is late, or has no processor, costs nothing but what it has begun. Pieces are given from the
back, so that rows stay in one core's cache from layer to layer. See `kernels/pieces.py` for the
tables.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..threads import ACTIVE, ASLEEP, BOX, DESCRIPTOR, GIVEN, IDLE, STATE_BITS, TAKEN
from .fixedpoint import inline
from .memory import INT64_POINTER, pointer_to
from .processor import SETS, instruction_set
from .registry import native
from .vectors import intrinsic as llvm_function

D = DESCRIPTOR
STATE = (1 << STATE_BITS) - 1
QUICK = 200  # looks at a box before each is followed by a pause


@intrinsic
def _load(typing_context, pointer):  # type: ignore[no-untyped-def]
    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.load_atomic(arguments[0], "acquire", 8)

    return types.int64(INT64_POINTER), emit


@intrinsic
def _store(typing_context, pointer, value):  # type: ignore[no-untyped-def]
    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        builder.store_atomic(arguments[1], arguments[0], "release", 8)
        return context.get_dummy_value()

    return types.void(INT64_POINTER, types.int64), emit


@intrinsic
def _swap(typing_context, pointer, seen, value):  # type: ignore[no-untyped-def]
    """Store a value if what is there is still what was seen; whether it was."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        pair = builder.cmpxchg(*arguments, "acq_rel", "acquire")
        return builder.extract_value(pair, 1)

    return types.boolean(INT64_POINTER, types.int64, types.int64), emit


@intrinsic
def _pause(typing_context):  # type: ignore[no-untyped-def]
    """Tell the processor that this is a loop that waits."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        nothing: Any = ir.VoidType()
        if SETS[instruction_set()].machine == "aarch64":
            number = ir.IntType(32)
            wait = llvm_function(builder, "llvm.aarch64.hint", nothing, [number])
            builder.call(wait, [number(1)])  # yield
        else:
            builder.call(llvm_function(builder, "llvm.x86.sse2.pause", nothing, []), [])
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def _dispatch(typing_context, address, descriptor):  # type: ignore[no-untyped-def]
    """Call the dispatch loop."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        kind = ir.FunctionType(ir.VoidType(), [arguments[1].type])
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), [arguments[1]])
        return context.get_dummy_value()

    return types.void(types.int64, INT64_POINTER), emit


@inline
def _run(descriptor, entry):  # type: ignore[no-untyped-def]
    """One entry of this thread's: a range of words."""
    entries = pointer_to(descriptor[D.entries], INT64_POINTER)
    descriptor[D.begin], descriptor[D.end] = entries[2 * entry], entries[2 * entry + 1]
    _dispatch(descriptor[D.dispatch], descriptor)


@inline
def _box(descriptor, number):  # type: ignore[no-untyped-def]
    """Of follower `number`, from 1 on."""
    return pointer_to(descriptor[D.shared] + BOX * number, INT64_POINTER)


@native(INT64_POINTER)
def lead(descriptor):  # type: ignore[no-untyped-def]
    """One inference."""
    phases = pointer_to(descriptor[D.phases], INT64_POINTER)
    followers = descriptor[D.followers]
    _store(pointer_to(descriptor[D.shared] + ACTIVE, INT64_POINTER), followers)
    for phase in range(descriptor[D.phase_count]):
        own, first = phases[2 * phase], phases[2 * phase + 1]
        for number in range(1, followers + 1):
            box = _box(descriptor, number)
            if own > 1 and _load(box) == IDLE:
                own -= 1
                _store(box, (first + own) << STATE_BITS | GIVEN)
        _run(descriptor, first)
        for piece in range(1, own):
            _run(descriptor, first + piece)
        for number in range(1, followers + 1):
            _collect(descriptor, _box(descriptor, number))
    _store(pointer_to(descriptor[D.shared] + ACTIVE, INT64_POINTER), 0)


@inline
def _collect(descriptor, box):  # type: ignore[no-untyped-def]
    """Wait for what a follower has begun, and make what it hasn't."""
    looks = 0
    seen = _load(box)
    while seen & STATE != IDLE and seen & STATE != ASLEEP:
        if seen & STATE == GIVEN:
            if _swap(box, seen, IDLE):
                _run(descriptor, seen >> STATE_BITS)
        else:
            looks += 1
            if looks > QUICK:
                _pause()
        seen = _load(box)


@native(INT64_POINTER)
def follow(descriptor):  # type: ignore[no-untyped-def]
    """Make pieces until there were none for a while."""
    box, leave = _box(descriptor, descriptor[D.number]), _box(descriptor, 0)
    active = pointer_to(descriptor[D.shared] + ACTIVE, INT64_POINTER)
    patience = descriptor[D.patience]
    waited = 0
    _store(box, IDLE)
    while waited < patience or not _swap(box, IDLE, ASLEEP):
        seen = _load(box)
        if seen & STATE == GIVEN and _swap(box, seen, TAKEN):
            _run(descriptor, seen >> STATE_BITS)
            _store(box, IDLE)
            waited = 0
        elif _load(leave) != 0:
            waited = patience
        else:
            waited = min(waited + 1, QUICK) if _load(active) != 0 else waited + 1
            if waited >= QUICK:
                _pause()
