"""What each call has written, dumped by the board after the call and put together here.

So every tensor is seen whole, also one that streams through a ring and is never whole in the arena.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ...runtime.backend import find_backend
from ...runtime.feeding import FEED, unrolled_calls
from ...runtime.graph import DTYPES, Graph, Node
from ...runtime.lowering import Address, Cursor, Lowered, Rows
from ...runtime.pipeline import lower_nodes
from ...runtime.places import is_view, row_bytes
from ...runtime.program import Call, Program
from ...runtime.schedule import output_rows
from .addresses import Addresses
from .calls import Steps


@dataclass(frozen=True)
class Dump:
    """What a call leaves of one tensor: `size` bytes, or `rows` rows of that many."""

    tensor: int
    word: str  # where it is: an address, or a row table's cursor
    size: int
    rows: int | None = None
    last_counts: bool = False  # each call leaves the same bytes, and the last of them is right


class Tracer:
    """Knows what each call of a program writes."""

    def __init__(self, program: Program, addresses: Addresses | None = None) -> None:
        self.program, self.graph, self._addresses = program, program.graph, addresses
        self._lowered = lower_nodes(program.graph, find_backend(program.target))

    def dumps(self, call: Call) -> Iterator[Dump]:
        """What is to be dumped after a call; nothing for rows that are handed in."""
        if call.kernel == FEED:
            return
        outputs, how = self.graph.nodes[call.node].outputs, self._how(call)
        images, _ = output_rows(self.graph, call.node)
        for word, field in how.fields.items():
            if not isinstance(field, Address | Cursor) or field.tensor not in outputs:
                continue
            if isinstance(field, Cursor) and not how.takes:
                rows = next(call.args[n] for n, f in how.fields.items() if isinstance(f, Rows))
                yield Dump(field.tensor, word, row_bytes(self.graph, field.tensor), rows)
                continue
            share = images if isinstance(field, Address) and field.image else 1
            size = self.graph.tensors[field.tensor].bytes // share
            rows_of_one = 1 if isinstance(field, Cursor) else None
            yield Dump(field.tensor, word, size, rows_of_one, bool(how.takes))

    def _how(self, call: Call) -> Lowered:
        return next(how for how in self._lowered[call.node].ways if how.kernel == call.kernel)

    def statements(self, call: Call, steps: Steps) -> Iterator[str]:
        """C that dumps what the call has left; in a loop, `pass` is the number of the pass."""
        for dump in self.dumps(call):
            assert self._addresses is not None
            at = self._addresses.word(call, dump.word)
            at += "".join(f" + pass * {by}" for name, by in steps if name == dump.word)
            if dump.rows is None:
                yield f"midge_trace(arena + {at}, {dump.size});"
            else:
                table = f"midge_int32_at(constants, {at})"
                yield f"midge_trace_rows(arena, {table}, {dump.rows}, {dump.size});"

    def collect(self, take: Callable[[int], bytes]) -> Iterator[tuple[int, int, np.ndarray]]:
        """(node, tensor, value) in the graph's order; `take` reads so many bytes of the dumps."""
        pieces: dict[int, list[bytes]] = {}
        known: dict[int, list[Dump]] = {}
        for number, call in unrolled_calls(self.program):
            if number not in known:
                known[number] = list(self.dumps(call))
            for dump in known[number]:
                content = take(dump.size * (dump.rows or 1))
                if dump.last_counts:
                    pieces[dump.tensor] = [content]
                else:
                    pieces.setdefault(dump.tensor, []).append(content)
        yield from _whole(self.graph, pieces)


def _whole(
    graph: Graph, pieces: Mapping[int, list[bytes]]
) -> Iterator[tuple[int, int, np.ndarray]]:
    values: dict[int, np.ndarray] = {}
    for index, node in enumerate(graph.nodes):
        for tensor in node.outputs:
            value = _value(graph, tensor, pieces, values, node)
            if value is not None:
                values[tensor] = value
                yield index, tensor, value


def _value(
    graph: Graph,
    tensor: int,
    pieces: Mapping[int, list[bytes]],
    values: Mapping[int, np.ndarray],
    node: Node,
) -> np.ndarray | None:
    wanted = graph.tensors[tensor]
    if is_view(graph, node):
        return _view(node, [values.get(t) for t in node.operands], wanted.shape)
    content = b"".join(pieces.get(tensor, ()))
    if len(content) != wanted.bytes:  # rows that nothing needs aren't made
        return None
    return np.frombuffer(content, DTYPES[wanted.dtype]).reshape(wanted.shape).copy()


def _view(
    node: Node, sources: list[np.ndarray | None], shape: tuple[int, ...]
) -> np.ndarray | None:
    if node.op == "reshape":
        return None if sources[0] is None else sources[0].reshape(shape)
    if node.op == "tile" or any(source is None for source in sources):
        return None
    whole: np.ndarray | None = None
    for part, (top, left) in zip(sources, node.attrs.corners, strict=True):
        assert part is not None
        whole = np.zeros(shape, part.dtype) if whole is None else whole
        whole[:, top : top + part.shape[1], left : left + part.shape[2]] = part
    return whole
