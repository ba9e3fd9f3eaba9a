"""Which calls of a program several threads make in pieces, and the words of each thread.

Every thread has words of its own, with scratch of its own. An entry is a range of them; a phase is
one entry that the leader runs, or as many as there are pieces. See `native/team.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..runtime.program import Call, Loop, Program
from .native.dispatch import Words, encode

LINE = 64
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


@dataclass(frozen=True, eq=False)
class Shares:
    """A program cut for some threads. `words` are theirs, alike but for the scratch; `phases` is
    int64 [items, 2], how many pieces an item has (0: the leader's alone) and its first entry.
    """

    words: tuple[Words, ...]
    phases: NDArray[np.int64]

    @property
    def entries(self) -> NDArray[np.int64]:
        """int64 [entries, 2]: where the words of each begin and end."""
        return np.array(list(pairwise(self.words[0].starts)), np.int64)


def shares_of(program: Program, threads: int) -> Shares | None:
    """How `threads` share a program; None if it is better left to one."""
    pieces = [pieces_of(program, item, threads) for item in program.items]
    shared_ns = sum(
        _duration_ns(program, item)
        for item, own in zip(program.items, pieces, strict=True)
        if own and isinstance(item, Call)
    )
    if threads < 2 or shared_ns < LEAST_SHARED_NS:
        return None
    flat: list[Call | Loop] = []
    for item, own in zip(program.items, pieces, strict=True):
        flat += own or [item]
    counts = [len(own) for own in pieces]
    firsts = np.cumsum([0, *(max(n, 1) for n in counts)])[:-1]
    phases = np.array(list(zip(counts, firsts, strict=True)), np.int64)
    size, base = scratch_bytes(program), program.arena_bytes + LINE
    followers = (_moved(flat, base + number * size) for number in range(threads - 1))
    return Shares(tuple(encode(items) for items in (flat, *followers)), phases)


def _moved(items: Sequence[Call | Loop], scratch: int) -> list[Call | Loop]:
    return [
        replace(item, args=dict(item.args) | {_SCRATCH: scratch})
        if isinstance(item, Call) and _SCRATCH in item.args
        else item
        for item in items
    ]
