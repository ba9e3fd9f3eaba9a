"""Replays a program on tagged memory: does every read meet the very bytes that were written for it?

Independent of planner and schedule: it knows only the program's calls and row tables, and what the
region rules say each output pixel needs. Each byte of the arena carries the tag of the value that
was last written there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

import numpy as np

from .errors import PlanError
from .graph import Node
from .lowering import ELEMENT, PIXEL, Address, Cursor, Lowered, Scratch, Sums, image_rows
from .ops import macs, need, total_macs
from .places import places_of, row_bytes, whole_inputs
from .program import Call, Loop, Program
from .shapes import image_size

OWN_DATA = -2  # tag of scratch


def replay(program: Program, lowered: Mapping[int, Lowered]) -> int:
    """Replay one inference; answers with the number of bytes whose reading was checked.

    `lowered` says how the program's target makes each node. Raises `PlanError` at the first read
    that wouldn't meet the value that was written for it, or that lies outside the arena.
    """
    run = Replay(program, lowered)
    run.run()
    return run.checked


class Replay:
    """The arena during one inference: of each byte, which byte of which tensor it holds."""

    def __init__(self, program: Program, lowered: Mapping[int, Lowered]) -> None:
        self.program, self.graph, self.lowered = program, program.graph, lowered
        self.rows_made: dict[int, int] = dict.fromkeys(self.graph.tensors, 0)
        self.macs = Fraction()
        self.checked = 0
        self.memory = np.full(program.arena_bytes, -1, np.int64)
        self.places = places_of(self.graph, lowered)

    def run(self) -> None:
        for index in (*whole_inputs(self.graph), *self.program.state):
            self._write(index, 0, self.graph.tensors[index].bytes, self.program.addresses[index])
        for call in self._calls():
            self._call(call)
        for index in self.graph.outputs:
            self._read(index, 0, self.graph.tensors[index].bytes, self.program.addresses[index])
        if self.macs > total_macs(self.graph):  # rows that none needs aren't made
            raise PlanError(
                f"the plan is wrong: its calls do {self.macs} multiplications, its nodes have "
                f"{total_macs(self.graph)}"
            )

    def _calls(self) -> Iterator[Call]:
        for item in self.program.items:
            if isinstance(item, Call):
                yield item
                continue
            for turn in range(item.count):
                yield from self._turn(item, turn)

    def _turn(self, loop: Loop, turn: int) -> Iterator[Call]:
        for position, call in enumerate(loop.body):
            moved = {s.field: turn * s.by for s in loop.steps if s.call == position}
            args = {name: value + moved.get(name, 0) for name, value in call.args.items()}
            yield Call(call.kernel, args, call.node)

    def _tags(self, tensor: int, begin: int, count: int) -> np.ndarray:
        """Each byte is known by the tensor at whose place it lies, and by its number there."""
        place, size = self.places[tensor], row_bytes(self.graph, tensor)
        numbers = np.arange(begin, begin + count)
        if place.is_part(size):
            row, byte = np.divmod(numbers, size)
            numbers = (place.top + row) * place.pitch + place.left + byte
        return place.home * 10**9 + numbers

    def _write(self, tensor: int, begin: int, count: int, at: int) -> None:
        self._put(at, self._tags(tensor, begin, count), tensor)

    def _put(self, at: int, tags: np.ndarray, tensor: int) -> None:
        if not 0 <= at <= len(self.memory) - len(tags):
            raise PlanError(
                f"the plan is wrong: {len(tags)} bytes for {self._name(tensor)} are written at "
                f"{at}, outside the arena of {len(self.memory)} bytes"
            )
        self._check_region(at, len(tags), tensor)
        self.memory[at : at + len(tags)] = tags

    def _check_region(self, at: int, count: int, tensor: int) -> None:
        """Of several memories, a piece lies in one."""
        spread = self.program.spread
        region = spread.region(at) if spread is not None else None
        if region is not None and at + count > region.offset + region.bytes:
            raise PlanError(
                f"the plan is wrong: bytes {at} to {at + count - 1}, for {self._name(tensor)}, "
                f"leave memory {region.name}, which ends at {region.offset + region.bytes}"
            )

    def _name(self, tensor: int) -> str:
        return f"tensor {tensor} ({self.graph.tensors[tensor].name!r})"

    def _read(self, tensor: int, begin: int, count: int, at: int) -> None:
        self.checked += count
        self._check_region(at, count, tensor)
        if not np.array_equal(self.memory[at : at + count], self._tags(tensor, begin, count)):
            raise PlanError(
                f"the plan is wrong: bytes {begin} to {begin + count - 1} of {self._name(tensor)} "
                f"are not in the arena at {at} when they are read"
            )

    def _call(self, call: Call) -> None:
        node, how = self.graph.nodes[call.node], self._how(call)
        self.macs += macs(self.graph, node) * self._share(call, node, how)
        for name, value in how.fields.items():
            if isinstance(value, Scratch):
                self._put(call.args[name], np.full(value.size, OWN_DATA), node.outputs[0])
        if how.takes:
            self._take(call, node, how)
        elif how.granularity == PIXEL:
            self._pixels(call, node, how)
        elif how.by_rows:
            self._rows(call, node, how)
        elif how.granularity == ELEMENT:
            self._elements(node)
        else:
            self._whole(node)

    def _share(self, call: Call, node: Node, how: Lowered) -> Fraction:
        """Which part of its node a call makes."""
        images, rows, _ = image_rows(self.graph.output(node).shape)
        return (
            Fraction(call.args["rows"], how.takes or images * rows) if how.by_rows else Fraction(1)
        )

    def _how(self, call: Call) -> Lowered:
        """How the node was lowered: to its own kernel, to that which takes rows, or frugally."""
        return next(how for how in self.lowered[call.node].ways if _is_made_by(call, how))

    def _take(self, call: Call, node: Node, how: Lowered) -> None:
        """Rows of the input are read, the sums kept; the output is written after the last row."""
        output = node.outputs[0]
        name, size = next((n, f.size) for n, f in how.fields.items() if isinstance(f, Sums))
        at, tags = call.args[name], -10 - call.node - np.zeros(size, np.int64)
        for r in range(call.args["rows"]):
            if self.rows_made[output] and not np.array_equal(self.memory[at : at + size], tags):
                raise PlanError(
                    f"the plan is wrong: the sums for {self._name(output)} are overwritten"
                )
            self._read_row(call, how, self.rows_made[output], r, node)
            self._put(at, tags, output)
            self.rows_made[output] += 1
        if self.rows_made[output] == how.takes:
            self._write(
                output, 0, self.graph.tensors[output].bytes, self._output_at(call, how, output)
            )

    def _output_at(self, call: Call, how: Lowered, output: int) -> int:
        name = next(
            n
            for n, f in how.fields.items()
            if isinstance(f, Cursor | Address) and f.tensor == output
        )
        if isinstance(how.fields[name], Address):
            return call.args[name]
        return int(np.frombuffer(self.program.constants, "<i4", 1, call.args[name])[0])

    def _table(self, call: Call, name: str, cursor: Cursor, row: int, tap: int) -> int:
        at = call.args[name] + 4 * (row * cursor.step + tap)
        return int(np.frombuffer(self.program.constants, "<i4", 1, at)[0])

    def _pixels(self, call: Call, node: Node, how: Lowered) -> None:
        """Each output pixel reads its window and is then written, in raster order."""
        y = self.graph.tensors[node.outputs[0]]
        images, height, _ = image_rows(y.shape)
        width = image_size(y.shape)[1]
        pixel = y.bytes // (images * height * width)
        first = self.rows_made[y.index]
        rows = call.args["rows"] if how.by_rows else images * height
        for r, x in np.ndindex(rows, width):
            image, row = divmod(first + r, height)
            self._window(call, node, how, image, (row, x), r)
            begin = ((first + r) * width + x) * pixel
            at = self._row(call, how, y.index, r, first + r) + x * pixel
            self._write(y.index, begin, pixel, at)
            self._window(call, node, how, image, (row, x), r)  # it may be read until now
        self.rows_made[y.index] += rows

    def _window(
        self, call: Call, node: Node, how: Lowered, image: int, at: tuple[int, int], r: int
    ) -> None:
        x = self.graph.input(node)
        area, (height, width) = need(self.graph, node, 0), image_size(x.shape)
        pixel = x.bytes // (image_rows(x.shape)[0] * height * width)
        left, right, _, _ = area.columns.needs(at[1], at[1] + 1)
        low, high = int(area.rows.low[at[0]]), int(area.rows.high[at[0]])
        for tap, row in enumerate(range(low, high)):
            place = self._row(call, how, x.index, r, image * height + row, tap)
            if not 0 <= row < height:
                if place != -1 and how.by_rows:
                    raise PlanError(
                        f"the plan is wrong: row {row} of {self._name(x.index)} is padding, and "
                        f"its table says {place}"
                    )
                continue
            begin = ((image * height + row) * width + left) * pixel
            self._read(x.index, begin, (right - left) * pixel, place + left * pixel)

    def _row(self, call: Call, how: Lowered, tensor: int, r: int, row: int, tap: int = 0) -> int:
        """Arena offset of a row: by the call's row table, or by the whole tensor's address."""
        if not how.by_rows:
            value = self.graph.tensors[tensor]
            return (
                self.program.addresses[tensor] + row * image_rows(value.shape)[2] * value.itemsize
            )
        return self._table(call, *_cursor(how, tensor), r, tap)

    def _rows(self, call: Call, node: Node, how: Lowered) -> None:
        output = node.outputs[0]
        size = image_rows(self.graph.tensors[output].shape)[2] * self.graph.tensors[output].itemsize
        first = self.rows_made[output]
        for r in range(call.args["rows"]):
            self._read_row(call, how, first + r, r, node)
            at = self._table(call, *_cursor(how, output), r, 0)
            if how.granularity == ELEMENT:
                self._check_in_place(call, node, how, r, at)
            self._write(output, (first + r) * size, size, at)
            if how.granularity != ELEMENT:  # the kernel may read until the row is done
                self._read_row(call, how, first + r, r, node)
        self.rows_made[output] += call.args["rows"]

    def _check_in_place(self, call: Call, node: Node, how: Lowered, r: int, at: int) -> None:
        """Of a row that lies over its input, no element is written before it has been read."""
        y = self.graph.tensors[node.outputs[0]]
        count = image_rows(y.shape)[2]
        for tensor, name, cursor in _inputs(node, how):
            x, begin = self.graph.tensors[tensor], self._table(call, name, cursor, r, 0)
            apart = begin + count * x.itemsize <= at or at + count * y.itemsize <= begin
            places = (1, count - 1) if count > 1 else ()
            ends = [(at + i * y.itemsize, begin + i * x.itemsize) for i in places]
            if not apart and any(written > unread for written, unread in ends):
                raise PlanError(
                    f"the plan is wrong: a row of {self._name(y.index)} at {at} is written over "
                    f"its input at {begin} before that is read"
                )

    def _read_row(self, call: Call, how: Lowered, row: int, r: int, node: Node) -> None:
        """All that row `row` of a node, the r-th of this call, reads."""
        for tensor, name, cursor in _inputs(node, how):
            value = self.graph.tensors[tensor]
            size = image_rows(value.shape)[2] * value.itemsize
            for tap in range(cursor.extent):
                at = self._table(call, name, cursor, r, tap)
                if at >= 0:
                    self._read(tensor, (cursor.first + row * cursor.step + tap) * size, size, at)
        for field in how.fields.values():
            if isinstance(field, Address) and field.tensor not in node.outputs:
                size = self.graph.tensors[field.tensor].bytes
                self._read(field.tensor, 0, size, self.program.addresses[field.tensor])

    def _elements(self, node: Node) -> None:
        output = self.graph.tensors[node.outputs[0]]
        for i in range(output.elements):
            for index in node.operands:
                if index in self.program.addresses:
                    value = self.graph.tensors[index]
                    if value.elements == output.elements:
                        at = self.program.addresses[index] + i * value.itemsize
                        self._read(index, i * value.itemsize, value.itemsize, at)
            size = output.itemsize
            at = self.program.addresses[output.index] + i * size
            self._write(output.index, i * size, size, at)

    def _whole(self, node: Node) -> None:
        """Outputs may be written in any order while all inputs are still read."""
        for index in node.outputs:
            self._write(index, 0, self.graph.tensors[index].bytes, self.program.addresses[index])
        for index in node.operands:
            if index in self.program.addresses:
                self._read(index, 0, self.graph.tensors[index].bytes, self.program.addresses[index])


def _inputs(node: Node, how: Lowered) -> list[tuple[int, str, Cursor]]:
    return [
        (field.tensor, name, field)
        for name, field in how.fields.items()
        if isinstance(field, Cursor) and field.tensor not in node.outputs
    ]


def _cursor(how: Lowered, tensor: int) -> tuple[str, Cursor]:
    return next(
        (name, field)
        for name, field in how.fields.items()
        if isinstance(field, Cursor) and field.tensor == tensor
    )


def _is_made_by(call: Call, how: Lowered) -> bool:
    numbers = ((name, value) for name, value in how.fields.items() if isinstance(value, int))
    return call.kernel == how.kernel and all(call.args[n] == value for n, value in numbers)
