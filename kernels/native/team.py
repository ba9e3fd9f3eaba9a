"""Several threads through one program: a leader, and followers that take pieces of its calls.

A call that can be made in pieces is a phase. The leader opens one phase after the other; whoever is
there takes pieces until none is left. A follower that comes late or not at all costs nothing: the
leader makes the pieces itself, and waits only for those that were taken.

The leader takes pieces from the front and followers from the back, so that rows stay in one core's
cache from layer to layer. `shared` is three cache lines: the ticket (number of the phase, pieces
taken from the back, from the front), how many pieces are done, and whether followers shall leave.
Phases are numbered through all inferences, so that a ticket is never seen twice. See
`kernels/threads.py` for the other tables.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..threads import CLOSED, DESCRIPTOR, DONE, LEAVE, PHASE_BITS, PIECE_BITS, TICKET
from .fixedpoint import inline
from .memory import INT64_POINTER, pointer_to
from .processor import SETS, instruction_set
from .registry import native
from .vectors import intrinsic as llvm_function

D = DESCRIPTOR
FRONT = (1 << PIECE_BITS) - 1  # the bits of a ticket that count pieces taken by the leader
BACK_ONE = 1 << PIECE_BITS  # a piece taken by a follower


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
def _count(typing_context, pointer):  # type: ignore[no-untyped-def]
    """Add one."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        builder.atomic_rmw("add", arguments[0], ir.IntType(64)(1), "acq_rel")
        return context.get_dummy_value()

    return types.void(INT64_POINTER), emit


@intrinsic
def _take(typing_context, pointer, seen, count):  # type: ignore[no-untyped-def]
    """Add `count` if it is still what was seen; whether it was."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        pointer, seen, count = arguments
        following = builder.add(seen, count)
        pair = builder.cmpxchg(pointer, seen, following, "acq_rel", "acquire")
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
def _shared(descriptor, line):  # type: ignore[no-untyped-def]
    return pointer_to(descriptor[D.shared] + line, INT64_POINTER)


@inline
def _front(ticket):  # type: ignore[no-untyped-def]
    return ticket & FRONT


@inline
def _back(ticket):  # type: ignore[no-untyped-def]
    return (ticket >> PIECE_BITS) & FRONT


@native(INT64_POINTER)
def lead(descriptor):  # type: ignore[no-untyped-def]
    """One inference."""
    ticket, done = _shared(descriptor, TICKET), _shared(descriptor, DONE)
    phases = pointer_to(descriptor[D.phases], INT64_POINTER)
    number = (_load(ticket) >> PHASE_BITS) + 1
    for phase in range(descriptor[D.phase_count]):
        pieces, first = phases[2 * phase], phases[2 * phase + 1]
        if pieces == 0:  # nothing to share: the ticket stays closed
            _store(ticket, (number + phase) << PHASE_BITS | CLOSED)
            _run(descriptor, first)
        else:
            _store(done, 0)
            _store(ticket, (number + phase) << PHASE_BITS)
            left = pieces
            while left > 0:
                seen = _load(ticket)
                left = pieces - _front(seen) - _back(seen)
                if left > 0 and _take(ticket, seen, 1):
                    _run(descriptor, first + _front(seen))
                    _count(done)
            while _load(done) < pieces:
                _pause()
    _store(ticket, (number + descriptor[D.phase_count] - 1) << PHASE_BITS | CLOSED)


@native(INT64_POINTER)
def follow(descriptor):  # type: ignore[no-untyped-def]
    """Take pieces until there were none for a while."""
    ticket, done = _shared(descriptor, TICKET), _shared(descriptor, DONE)
    leave = _shared(descriptor, LEAVE)
    phases, count = pointer_to(descriptor[D.phases], INT64_POINTER), descriptor[D.phase_count]
    patience = descriptor[D.patience]
    waited = 0
    while waited < patience and _load(leave) == 0:
        seen = _load(ticket)
        phase = ((seen >> PHASE_BITS) - 1) % count
        pieces, first = phases[2 * phase], phases[2 * phase + 1]
        taken = _front(seen) + _back(seen)
        if taken < pieces and _take(ticket, seen, BACK_ONE):
            _run(descriptor, first + pieces - 1 - _back(seen))
            _count(done)
            waited = 0
        else:
            _pause()
            waited += 1
