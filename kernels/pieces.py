"""Which calls of a program several threads make in pieces, and the words of each thread.

Every thread has words of its own, with scratch of its own. An entry is a range of them; a phase is
one entry that the leader runs, or as many as there are pieces. See `native/team.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..runtime.program import Call, Loop, Program
from .native.dispatch import Words, encode

LINE = 64
LEAST_NS = 200  # of a piece, by estimate: less is not worth the way
LEAST_SHARED_NS = 15_000  # of all pieces: followers would be late to less
# Products in a nanosecond, about, on one thread of a PC. On a slower processor pieces take longer.
DENSE, DEPTHWISE = 100, 20
ELEMENTS = 3  # of a sum, in a nanosecond

# The cursors that move with the rows of a kernel's output, and by which field each steps.
_Cursors = Mapping[str, str | None]
_WINDOWS: _Cursors = {"y": None, "x": "stride_height"}
_UNARY: _Cursors = {"y": None, "x": None}
_BINARY: _Cursors = {"y": None, "a": None, "b": None}
_REPEATED: _Cursors = {"y": None, "a": None}  # b is the same for each row
_KERNELS: Mapping[str, _Cursors] = {
    "conv2d_vector_s8 conv2d_vector_s16 conv2d_vector_f32 depthwise_conv2d_vector_s8 "
    "depthwise_conv2d_vector_s16 depthwise_conv2d_vector_f32 bconv2d_vector_s8 bconv2d_vector_f32 "
    "bconv2d_vector_b1 average_pool2d_s8 average_pool2d_s16 average_pool2d_f32 max_pool2d_s8 "
    "l2_pool2d_f32 max_pool2d_s16 max_pool2d_f32 bmax_pool2d": _WINDOWS,
    "conv2d_winograd_s8 winograd_conv2d_f32 lookup_s8 flip_sign_s8 quantize_f32_s8 "
    "quantize_f32_u8 quantize_f32_s16 "
    "dequantize_s8_f32 dequantize_u8_f32 dequantize_s16_f32 softmax_s8 softmax_s8_s16 softmax_s16 "
    "softmax_f32 relu_s16 relu_f32 leaky_relu_s16 leaky_relu_f32 logistic_s16 logistic_f32 "
    "tanh_s16 hard_swish_f32 binarize_f32 binarize_s8 debinarize_f32 debinarize_s8": _UNARY,
    "add_vector_s8 add_linear_vector_s8 add_s8 add_s16 add_f32 add_pot_s16 mul_s8 mul_s16 "
    "mul_f32": _BINARY,
    "add_linear_row_vector_s8": _REPEATED,
}
_CURSORS = {kernel: cursors for names, cursors in _KERNELS.items() for kernel in names.split()}
_HEIGHTS = ("kernel_height", "window_height")
# Rows that are made together, of most kernels 1.
_LOTS = {"conv2d_winograd_s8": 4, "winograd_conv2d_f32": 4}
_SCRATCH = "buffer"
_ENTRY = 4  # bytes of a row table's entry


def pieces_of(program: Program, item: Call | Loop, threads: int, small: bool = False) -> list[Call]:
    """An item in pieces, each some rows of its output; none if it is better done by one thread.

    Pieces that take less than LEAST_NS by estimate are made only if `small` ones are asked for.
    """
    if isinstance(item, Loop) or item.kernel not in _CURSORS or _overlaps(program, item):
        return []
    rows, lot = item.args["rows"], _LOTS.get(item.kernel, 1)
    lots = -(-rows // lot)
    most = lots if small else _duration_ns(program, item) // LEAST_NS
    count = min(lots, threads, most)
    if count < 2:
        return []
    # The leader has the most.
    ends = [min(-(-lots * i // count) * lot, rows) for i in range(count + 1)]
    return [_some_rows(item, begin, end) for begin, end in pairwise(ends)]


def _some_rows(call: Call, begin: int, end: int) -> Call:
    args = dict(call.args) | {"rows": end - begin}
    for cursor, step in _CURSORS[call.kernel].items():
        args[cursor] += _ENTRY * begin * (args[step] if step else 1)
    return replace(call, args=args)


def _duration_ns(program: Program, call: Call) -> int:
    node = program.graph.nodes[call.node]
    y = program.graph.output(node)
    elements = y.elements // (y.shape[0] if y.shape else 1)
    if "conv2d" not in node.op:
        return elements // ELEMENTS
    weights = program.graph.input(node, 1)
    products = elements * (weights.elements // y.shape[-1])
    return products // (DEPTHWISE if node.op == "depthwise_conv2d" else DENSE)


def _overlaps(program: Program, call: Call) -> bool:
    """Whether the output lies over an operand: its rows must then be made in order."""
    node, tensors = program.graph.nodes[call.node], program.graph.tensors
    operands = [index for index in node.operands if tensors[index].data is None]
    if any(index not in program.addresses for index in (*operands, node.outputs[0])):
        return True  # something streams through a ring
    return _meet(_spans(program, node.outputs[:1]), _spans(program, operands))


def scratch_bytes(program: Program) -> int:
    """How much of its own each follower needs."""
    sizes = [buffer.size for buffer in program.buffers if buffer.kind == "scratch"]
    return -(-max(sizes, default=0) // LINE) * LINE + LINE


@dataclass
class Phase:
    """Items that threads run without waiting for one another. No pieces: the leader's alone."""

    items: list[int]
    pieces: list[list[Call | Loop]]  # calls of each piece, one after the other


def phases_of(program: Program, threads: int) -> list[Phase]:
    """All items, in their order. Threads wait for each other between two phases.

    An item joins those before it if its pieces need but what the same piece of them made, and write
    over nothing that another piece of them may still read.
    """
    phases: list[Phase] = []
    for number, item in enumerate(program.items):
        last = phases[-1] if phases else None
        small = pieces_of(
            program, item, threads, small=True
        )  # a way that is gone anyway costs nothing
        if last and small and _joins(program, last, number, len(small)):
            last.items.append(number)
            last.pieces = [[*before, call] for before, call in zip(last.pieces, small)]
            continue
        own = pieces_of(program, item, threads)
        if last and not own and not last.pieces:
            last.items.append(number)
        else:
            phases.append(Phase([number], [[call] for call in own]))
    return phases


def _joins(program: Program, phase: Phase, number: int, pieces: int) -> bool:
    call = program.items[number]
    assert isinstance(call, Call)
    if len(phase.pieces) != pieces:
        return False
    reads, makes = _reads(program, number), _makes(program, number)
    for other in phase.items:
        before = program.items[other]
        assert isinstance(before, Call)
        made = _makes(program, other)
        if _meet(makes + _scratch(program, number), made + _reads(program, other)):
            return False
        if _meet(makes, _scratch(program, other)):  # a thread's own scratch never minds
            return False
        same_rows = before.args["rows"] == call.args["rows"]
        if _meet(reads, made) and not (same_rows and _by_rows(program, call)):
            return False
    return True


def _by_rows(program: Program, call: Call) -> bool:
    """Whether a row of the output needs but the same row of each operand."""
    if call.kernel in _LOTS:
        return False
    if _CURSORS[call.kernel] is _WINDOWS:
        heights = [call.args[name] for name in _HEIGHTS if name in call.args]
        return heights == [1] and call.args["stride_height"] == 1
    y = program.graph.output(program.graph.nodes[call.node])
    inputs = program.graph.nodes[call.node].operands
    return all(
        program.graph.tensors[index].elements == y.elements
        for index in inputs
        if program.graph.is_activation(index)
    )


def _reads(program: Program, number: int) -> list[range]:
    """What an item reads of the arena."""
    item = program.items[number]
    assert isinstance(item, Call)
    operands = program.graph.nodes[item.node].operands
    return _spans(program, [i for i in operands if program.graph.tensors[i].data is None])


def _makes(program: Program, number: int) -> list[range]:
    """Where an item's output lies."""
    item = program.items[number]
    assert isinstance(item, Call)
    return _spans(program, program.graph.nodes[item.node].outputs)


def _scratch(program: Program, number: int) -> list[range]:
    """The leader's scratch of an item."""
    item = program.items[number]
    assert isinstance(item, Call)
    at = item.args.get(_SCRATCH, -1)
    return [
        range(buffer.offset, buffer.offset + buffer.size)
        for buffer in program.buffers
        if buffer.kind == "scratch"
        and buffer.first <= number <= buffer.last
        and 0 <= at - buffer.offset < buffer.size
    ]


def _spans(program: Program, tensors: Sequence[int]) -> list[range]:
    places = ((program.addresses[index], program.graph.tensors[index].bytes) for index in tensors)
    return [range(begin, begin + size) for begin, size in places]


def _meet(some: Sequence[range], others: Sequence[range]) -> bool:
    return any(max(a.start, b.start) < min(a.stop, b.stop) for a in some for b in others)


@dataclass(frozen=True, eq=False)
class Shares:
    """A program cut for some threads. `words` are theirs, alike but for the scratch; `phases` is
    int64 [phases, 2], how many pieces each has (0: the leader's alone) and its first entry;
    `entries` int64 [entries, 2], where the words of each piece begin and end.
    """

    words: tuple[Words, ...]
    phases: NDArray[np.int64]
    entries: NDArray[np.int64]


def shares_of(program: Program, threads: int) -> Shares | None:
    """How `threads` share a program; None if it is better left to one."""
    phases = phases_of(program, threads)
    shared = [program.items[n] for phase in phases if phase.pieces for n in phase.items]
    shared_ns = sum(_duration_ns(program, item) for item in shared if isinstance(item, Call))
    if threads < 2 or shared_ns < LEAST_SHARED_NS:
        return None
    runs = [run for phase in phases for run in phase.pieces or [_alone(program, phase)]]
    flat = [item for run in runs for item in run]
    counts = [len(phase.pieces) for phase in phases]
    firsts = np.cumsum([0, *(max(n, 1) for n in counts)])[:-1]
    size, base = scratch_bytes(program), program.arena_bytes + LINE
    followers = (_moved(flat, base + number * size) for number in range(threads - 1))
    words = tuple(encode(items) for items in (flat, *followers))
    ends = np.array(words[0].starts)[np.cumsum([0, *map(len, runs)])]
    entries = np.stack([ends[:-1], ends[1:]], axis=1).astype(np.int64)
    return Shares(words, np.stack([counts, firsts], axis=1).astype(np.int64), entries)


def _alone(program: Program, phase: Phase) -> list[Call | Loop]:
    return [program.items[number] for number in phase.items]


def _moved(items: Sequence[Call | Loop], scratch: int) -> list[Call | Loop]:
    return [
        replace(item, args=dict(item.args) | {_SCRATCH: scratch})
        if isinstance(item, Call) and _SCRATCH in item.args
        else item
        for item in items
    ]
