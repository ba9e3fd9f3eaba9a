"""Is a saved program's every word what its own graph says? Asked before any of it is run.

A program carries its graph. So each call is lowered again, as when it was compiled, and each of its
words must be the number that it would have been, or an address at which all that the kernel touches
lies inside the arena or the constants. Then a kernel can't be made to leave them, whoever wrote the
file.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .backend import Backend, elsewhere, find_backend
from .errors import MissingTool, ProgramError
from .feeding import FEED, unrolled_calls
from .graph import Graph
from .lowering import (
    Address,
    Constant,
    Cursor,
    Field,
    FirstRow,
    Lowered,
    Rows,
    Scratch,
    Sums,
    image_rows,
)
from .pipeline import lower_nodes
from .places import is_view, row_bytes
from .program import Call, Loop, Program
from .schedule import output_rows
from .while_loop import lower_while

MOST_BYTES = 2**31 - 1  # of arena and constants: offsets are int32
TABLE_ENTRY = 4  # bytes of a row table's int32
PADDING_ROW = -1


def check_program(program: Program, name: str) -> None:
    """Raise `ProgramError` at the first word that its graph doesn't account for."""
    for what, size in (("arena", program.arena_bytes), ("constants", len(program.constants))):
        if type(size) is not int or not 0 <= size <= MOST_BYTES:
            raise ProgramError(f"{name}: {what} of {size} bytes; at most {MOST_BYTES} are possible")
    try:
        _check_regions(program)
        _check_items(program)
        backend = find_backend(program.target)
        _check_supported(program.graph, backend)
        checker = _Checker(program, lower_nodes(program.graph, backend), backend)
        for _, call in unrolled_calls(program):
            checker.check(call)
    except MissingTool:
        raise
    except (
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        AssertionError,
    ) as e:
        raise ProgramError(
            f"{name}: its calls are not those of its graph ({e}); compile the model again"
        ) from None


def _check_regions(program: Program) -> None:
    """Several memories follow one another in the arena, from its start to its end."""
    end = 0
    for region in program.regions:
        if not end <= region.offset <= end + 15 or region.bytes <= 0:
            raise ValueError(f"memory {region.name!r} has {region.bytes} bytes at {region.offset}")
        end = region.offset + region.bytes
    if program.regions and (program.regions[0].offset or end != program.arena_bytes):
        raise ValueError(f"its memories end at {end}, its arena at {program.arena_bytes}")
    end, whole = 0, len(program.constants)
    for at, count in program.spread.row_tables if program.spread is not None else ():
        if not end <= at <= at + TABLE_ENTRY * count <= whole or at % TABLE_ENTRY:
            raise ValueError(f"a row table of {count} entries at {at} of {whole} bytes")
        end = at + TABLE_ENTRY * count


def _check_supported(graph: Graph, backend: Backend) -> None:
    for node in graph.nodes:
        if node.op != FEED and not is_view(graph, node):
            refusal = backend.refuse(graph, node)
            if refusal is not None:
                raise ValueError(str(refusal))


def _check_items(program: Program) -> None:
    """What must hold before loops are unrolled: their form, and that they end."""
    for number, item in enumerate(program.items):
        for call in item.body if isinstance(item, Loop) else (item,):
            if not 0 <= call.node < len(program.graph.nodes):
                raise ValueError(f"item {number} is for node {call.node}, which there is not")
        if isinstance(item, Loop):
            _check_loop(item, number)


def _check_loop(loop: Loop, number: int) -> None:
    if type(loop.count) is not int or loop.count < 1 or not loop.body:
        raise ValueError(
            f"item {number} is a loop of {loop.count} passes over {len(loop.body)} calls"
        )
    for step in loop.steps:
        if not 0 <= step.call < len(loop.body) or step.field not in loop.body[step.call].args:
            raise ValueError(
                f"item {number} steps {step.field!r} of call {step.call}, which is not"
            )
        if type(step.by) is not int:
            raise ValueError(f"item {number} steps by {step.by!r}")


class _Checker:
    """Follows a program's calls in their order; knows how many rows of each node are made."""

    def __init__(self, program: Program, lowered: Mapping[int, Lowered], backend: Backend) -> None:
        self.graph: Graph = program.graph
        self.backend = backend
        self.arena, self.constants = program.arena_bytes, program.constants
        self.spread = program.spread
        self.lowered = lowered
        self.made = dict.fromkeys(lowered, 0)
        whole = len(self.constants) // TABLE_ENTRY * TABLE_ENTRY
        self.tables = np.frombuffer(self.constants[:whole], "<i4")
        self.known: set[tuple[int, int]] = set()  # constants that were compared: (offset, array)
        self.held: list[Lowered] = []  # so that no other array gets the number of one of these

    def check(self, call: Call) -> None:
        """Raise `ValueError` for the first word that can't be right."""
        how = self._how(call)
        if tuple(call.args) != tuple(how.fields):
            raise ValueError(f"{call.kernel} has words {', '.join(map(str, call.args))}")
        if not self._words_are_known(call.node, how):
            raise ValueError(f"the words of node {call.node} that are addresses are others")
        rows = self._rows(call, how)
        for name, field in how.fields.items():
            word = call.args[name]
            if type(word) is not int or not self._is_right(call, how, field, word, rows):
                raise ValueError(f"{call.kernel} of node {call.node}: {name} is {word}")
        self.made[call.node] += rows

    def _words_are_known(self, node: int, how: Lowered) -> bool:
        if self.spread is None or len(self.spread.regions) < 2:
            return True
        placed = (Address, Scratch, Sums)
        words = tuple(name for name, field in how.fields.items() if isinstance(field, placed))
        return self.spread.words.get(node) == words

    def _how(self, call: Call) -> Lowered:
        """The choice that a call was made of.

        A kernel may be one more than once, by numbers that decide on its scratch.
        """
        if call.parts:
            return self._loop(call)
        choices = list(self.lowered[call.node].ways) if call.node in self.lowered else []
        found = next((each for each in choices if _is_made_of(each, call)), None)
        if found is None and choices and self.graph.nodes[call.node].op != FEED:
            others = elsewhere(self.backend, self.graph, self.graph.nodes[call.node])
            found = next((each for each in others if _is_made_of(each, call)), None)
        found = found or next((each for each in choices if each.kernel == call.kernel), None)
        if found is None:
            raise ValueError(f"node {call.node} is not made by {call.kernel}")
        return found

    def _loop(self, call: Call) -> Lowered:
        """The call of a loop of these parts, which are programs of their own."""
        for part in call.parts:
            if part.target != self.backend.name or part.regions or part.state:
                raise ValueError(f"a part of node {call.node} is for another target or memory")
            if any(isinstance(item, Loop) for item in part.items):
                raise ValueError(f"a part of node {call.node} is not planned layer by layer")
            check_program(part, "a part of it")
        how = lower_while(self.graph, self.graph.nodes[call.node], call.parts)
        self.held.append(how)
        return how

    def _rows(self, call: Call, how: Lowered) -> int:
        """The rows that a call makes or takes; never more than there are."""
        images, rows = self._all_rows(call.node, how)
        if not how.by_rows:
            count, left = 1, 1 - self.made[call.node]
        else:
            name = next(n for n, field in how.fields.items() if isinstance(field, Rows))
            count = call.args[name]
            begin = self.made[call.node]
            left = rows - begin % rows if rows and begin < images * rows else 0
        if type(count) is not int or not 1 <= count <= left:
            raise ValueError(f"{call.kernel} of node {call.node} makes {count} rows of {left}")
        return count

    def _all_rows(self, node: int, how: Lowered) -> tuple[int, int]:
        images, rows = output_rows(self.graph, node)
        return images, how.takes or rows

    def _is_right(self, call: Call, how: Lowered, field: Field, word: int, rows: int) -> bool:
        if isinstance(field, Constant):
            return self._is_constant(field, word)
        if isinstance(field, Cursor):
            return self._is_cursor(call, how, field, word, rows)
        if isinstance(field, Address):
            tensor = self.graph.tensors[field.tensor]
            images = output_rows(self.graph, call.node)[0] if field.image else 1
            return self._inside(word, tensor.bytes // images, min(tensor.itemsize, 4))
        if isinstance(field, Scratch):
            return self._inside(word, field.size, field.alignment)
        if isinstance(field, Sums):
            return self._inside(word, field.size, 4)
        if isinstance(field, Rows):
            return word == rows
        if isinstance(field, FirstRow):
            return word == self.made[call.node] % self._all_rows(call.node, how)[1]
        return word == int(field)

    def _inside(self, at: int, size: int, alignment: int) -> bool:
        inside = 0 <= at <= self.arena - size and at % alignment == 0
        return inside and self._in_one_memory(np.array(at), size)

    def _in_one_memory(self, at: np.ndarray, size: int) -> bool:
        """Each piece of `size` bytes; one that begins at -1 is none."""
        if self.spread is None:
            return True
        ends = np.array([region.offset + region.bytes for region in self.spread.regions])
        starts = np.array([region.offset for region in self.spread.regions])
        number = np.searchsorted(starts, at, side="right") - 1
        return bool(((at < 0) | (at + size <= ends[number])).all())

    def _is_constant(self, field: Constant, at: int) -> bool:
        key = (at, id(field.array))
        if key in self.known:
            return True
        content = np.ascontiguousarray(field.array).tobytes()
        end = at + len(content)
        if at < 0 or at % field.alignment or self.constants[at:end] != content:
            return False
        self.known.add(key)
        return True

    def _is_cursor(self, call: Call, how: Lowered, cursor: Cursor, at: int, rows: int) -> bool:
        """Each entry that the kernel reads is padding where the tensor ends, else a row of it."""
        first = at // TABLE_ENTRY
        used = np.arange(rows)[:, None] * cursor.step + np.arange(cursor.extent)
        last = first + int(used.max(initial=0))
        if at % TABLE_ENTRY or first < 0 or last >= len(self.tables):
            return False
        begin = self.made[call.node] % self._all_rows(call.node, how)[1]
        numbers = cursor.first + begin * cursor.step + used
        tensor = self.graph.tensors[cursor.tensor]
        outside = (numbers < 0) | (numbers >= image_rows(tensor.shape)[1])
        places = self.tables[first + used]
        highest = self.arena - row_bytes(self.graph, cursor.tensor)
        inside = (places >= 0) & (places <= highest) & (places % min(tensor.itemsize, 4) == 0)
        right = np.where(outside, places == PADDING_ROW, inside).all()
        row = row_bytes(self.graph, cursor.tensor)
        return bool(right) and self._in_one_memory(places, row) and self._is_row_table(first, last)

    def _is_row_table(self, first: int, last: int) -> bool:
        """Of several memories, the entries are known for what they are."""
        if self.spread is None or len(self.spread.regions) < 2:
            return True
        tables = ((at // TABLE_ENTRY, count) for at, count in self.spread.row_tables)
        return any(begin <= first and last < begin + count for begin, count in tables)


def _is_made_of(how: Lowered, call: Call) -> bool:
    if how.kernel != call.kernel:
        return False
    numbers = ((name, field) for name, field in how.fields.items() if isinstance(field, int))
    return all(call.args.get(name) == number for name, number in numbers)
