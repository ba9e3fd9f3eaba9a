"""A program for several threads: which calls are made in pieces, and by whom.

Every thread has words of its own, with scratch of its own. An entry is a range of them; a phase is
one entry that the leader runs, or as many as there are pieces. See `native/team.py`.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections import namedtuple
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..runtime.program import Call, Loop, Program

# int64 each. The first six are those of `dispatch`.
Descriptor = namedtuple(
    "Descriptor",
    "arena constants words kernels begin end dispatch phases phase_count entries shared patience",
)
DESCRIPTOR = Descriptor(*range(len(Descriptor._fields)))  # by position
LINE = 64
TICKET, DONE, LEAVE = 0, 2 * LINE, 4 * LINE  # bytes; processors fetch lines in pairs
PIECE_BITS = 12  # of a ticket, for pieces taken from the front, and as many from the back
PHASE_BITS = 2 * PIECE_BITS  # where the number of a phase begins
CLOSED = (1 << PHASE_BITS) - 1  # no piece is left
PATIENCE = 5000  # pauses that a follower waits for work before it sleeps: about 0.2 ms
PIECES = 1  # of a call for each thread: with more, rows wander between the cores' caches
LEAST_NS = 200  # of a piece, by estimate: less is not worth the way
LEAST_SHARED_NS = 15_000  # of all pieces: followers would be late to less
# Products in a nanosecond, about, on one thread of a PC. On a slower processor pieces take longer.
DENSE, DEPTHWISE = 100, 20
ELEMENTS = 3  # of a sum, in a nanosecond

# Kernel -> the cursors that move with the rows of its output, and by which field each steps.
_CURSORS: dict[str, dict[str, str | None]] = {
    "conv2d_vector_s8": {"y": None, "x": "stride_height"},
    "depthwise_conv2d_vector_s8": {"y": None, "x": "stride_height"},
    "add_vector_s8": {"y": None, "a": None, "b": None},
    "lookup_s8": {"y": None, "x": None},
    "flip_sign_s8": {"y": None, "x": None},
    "quantize_f32_s8": {"y": None, "x": None},
}
_SCRATCH = "buffer"
_ENTRY = 4  # bytes of a row table's entry


def pieces_of(program: Program, item: Call | Loop, threads: int) -> list[Call]:
    """An item in pieces, each some rows of its output; none if it is better done by one thread."""
    if isinstance(item, Loop) or item.kernel not in _CURSORS or _overlaps(program, item):
        return []
    rows = item.args["rows"]
    count = min(rows, PIECES * threads, _duration_ns(program, item) // LEAST_NS)
    if count < 2:
        return []
    ends = [rows * i // count for i in range(count + 1)]
    return [_some_rows(item, begin, end) for begin, end in pairwise(ends)]


def _some_rows(call: Call, begin: int, end: int) -> Call:
    args = dict(call.args) | {"rows": end - begin}
    for cursor, step in _CURSORS[call.kernel].items():
        args[cursor] += _ENTRY * begin * (args[step] if step else 1)
    return replace(call, args=args)


def _duration_ns(program: Program, call: Call) -> int:
    node = program.graph.nodes[call.node]
    y = program.graph.output(node)
    elements = y.elements // y.shape[0]
    if "conv2d" not in node.op:
        return elements // ELEMENTS
    weights = program.graph.input(node, 1)
    products = elements * (weights.elements // y.shape[-1])
    return products // (DEPTHWISE if node.op == "depthwise_conv2d" else DENSE)


def _overlaps(program: Program, call: Call) -> bool:
    """Whether the output lies over an operand: its rows must then be made in order."""
    node, tensors = program.graph.nodes[call.node], program.graph.tensors

    def span(index: int) -> range | None:
        begin = program.addresses.get(index)
        return None if begin is None else range(begin, begin + tensors[index].bytes)

    spans = [span(index) for index in node.operands if tensors[index].data is None]
    y = span(node.outputs[0])
    if y is None or None in spans:
        return True  # something streams through a ring
    return any(max(s.start, y.start) < min(s.stop, y.stop) for s in spans if s is not None)


def scratch_bytes(program: Program) -> int:
    """How much of its own each follower needs."""
    sizes = [buffer.size for buffer in program.buffers if buffer.kind == "scratch"]
    return -(-max(sizes, default=0) // LINE) * LINE + LINE


def with_scratch(call: Call, offset: int) -> Call:
    """The same call with its scratch elsewhere in the arena."""
    return replace(call, args=dict(call.args) | {_SCRATCH: offset})


class Team:
    """The threads of one program. `run` makes an inference, with all that are awake."""

    def __init__(
        self,
        program: Program,
        arena: NDArray[np.int8],
        constants: NDArray[np.int8],
        threads: int,
    ) -> None:
        from .native.dispatch import encode
        from .native.library import addresses

        pieces = [pieces_of(program, item, threads) for item in program.items]
        shared_ns = sum(
            _duration_ns(program, item)
            for item, own in zip(program.items, pieces, strict=True)
            if own and isinstance(item, Call)
        )
        self.shares = shared_ns >= LEAST_SHARED_NS
        flat: list[Call | Loop] = []
        for item, own in zip(program.items, pieces, strict=True):
            flat += own or [item]
        counts = [len(own) for own in pieces]
        firsts = np.cumsum([0, *(max(n, 1) for n in counts)])[:-1]
        phases = np.array(list(zip(counts, firsts, strict=True)), np.int64)
        shared = np.zeros(6 * LINE, np.int64).view(np.int8)
        skipped = -shared.ctypes.data % LINE
        leave = shared[skipped + LEAVE :][:8].view(np.int64)
        shared[skipped + TICKET :][:8].view(np.int64)[0] = CLOSED
        self._held: list[np.ndarray] = [arena, constants, phases, shared]
        self._descriptors = []
        size, base = scratch_bytes(program), program.arena_bytes
        for thread in range(threads):
            items = flat if thread == 0 else _moved(flat, base + LINE + (thread - 1) * size)
            encoded = encode(items)
            known = addresses((*encoded.kernels, "dispatch", "lead", "follow"))
            kernels = np.array([known[name] for name in encoded.kernels], np.int64)
            entries = np.array(list(pairwise(encoded.starts)), np.int64)
            self._held += [encoded.words, kernels, entries]
            fields = Descriptor(
                arena=arena.ctypes.data,
                constants=constants.ctypes.data,
                words=encoded.words.ctypes.data,
                kernels=kernels.ctypes.data,
                begin=0,
                end=0,
                dispatch=known["dispatch"],
                phases=phases.ctypes.data,
                phase_count=len(phases),
                entries=entries.ctypes.data,
                shared=shared.ctypes.data + skipped,
                patience=PATIENCE,
            )
            self._descriptors.append(np.array(fields, np.int64))
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        self._lead, self._follow = function(known["lead"]), function(known["follow"])
        self._first = ctypes.c_void_p(self._descriptors[0].ctypes.data)
        followed = self._descriptors[1:] if self.shares else []
        self._followers = [_Follower(self._follow, d) for d in followed]
        # Followers don't hold on to their team: they end with it.
        self.close = weakref.finalize(self, _dismiss, leave, self._followers, self._held)

    def run(self) -> None:
        """One inference; followers that sleep are woken, and not waited for."""
        for follower in self._followers:
            follower.wake()
        self._lead(self._first)


def _dismiss(
    leave: NDArray[np.int64], followers: Sequence[_Follower], held: Sequence[np.ndarray]
) -> None:
    """End followers; until then they need what is held."""
    leave[0] = 1
    for follower in followers:
        follower.end()


def _moved(items: Sequence[Call | Loop], scratch: int) -> list[Call | Loop]:
    return [
        with_scratch(item, scratch) if isinstance(item, Call) and _SCRATCH in item.args else item
        for item in items
    ]


class _Follower:
    """A thread that sleeps in Python, and works in native code without the GIL."""

    def __init__(self, function: object, descriptor: NDArray[np.int64]) -> None:
        self._function, self._descriptor = function, descriptor
        self._asleep, self._ended = True, False
        self._bell = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, name="midge", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        if self._asleep:
            self._asleep = False
            self._bell.release()

    def end(self) -> None:
        self._ended = True
        self._bell.release()
        self._thread.join()

    def _work(self) -> None:
        place = ctypes.c_void_p(self._descriptor.ctypes.data)
        while True:
            self._bell.acquire()
            if self._ended:
                return
            self._function(place)  # type: ignore[operator]
            self._asleep = True
