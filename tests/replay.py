"""Replays a program on tagged memory: does every read meet the very bytes that were written for it?

Independent of planner and schedule: it knows only the program's calls and row tables, and what the
region rules say each output pixel needs. Each byte of the arena carries the tag of the value that
was last written there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from midge.runtime.graph import Node
from midge.runtime.lowering import ELEMENT, PIXEL, Cursor, Lowered, Scratch, image_rows
from midge.runtime.ops import image_size, need
from midge.runtime.program import Call, Loop, Program


class Replay:
    """Runs all of a program; raises AssertionError at the first read of a wrong byte."""

    def __init__(self, program: Program, lowered: dict[int, Lowered]) -> None:
        self.program, self.graph, self.lowered = program, program.graph, lowered
        self.rows_made: dict[int, int] = dict.fromkeys(self.graph.tensors, 0)
        self.memory = np.full(program.arena_bytes, -1, np.int64)
        self.alias = {t: t for t in self.graph.tensors}
        for i, node in enumerate(self.graph.nodes):
            if i not in lowered:
                self.alias[node.outputs[0]] = self.alias[node.operands[0]]

    def run(self) -> None:
        for index in (*self.graph.inputs, *self.program.state):
            self._write(index, 0, self.graph.tensors[index].bytes, self.program.addresses[index])
        for call in self._calls():
            self._call(call)
        for index in self.graph.outputs:
            self._read(index, 0, self.graph.tensors[index].bytes, self.program.addresses[index])

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
        return self.alias[tensor] * 10**9 + np.arange(begin, begin + count)

    def _write(self, tensor: int, begin: int, count: int, at: int) -> None:
        assert 0 <= at and at + count <= len(self.memory), "a write outside the arena"
        self.memory[at : at + count] = self._tags(tensor, begin, count)

    def _read(self, tensor: int, begin: int, count: int, at: int) -> None:
        found = self.memory[at : at + count]
        assert np.array_equal(found, self._tags(tensor, begin, count)), (
            f"tensor {tensor} ({self.graph.tensors[tensor].name!r}), bytes {begin} to "
            f"{begin + count} are overwritten before they are read"
        )

    def _call(self, call: Call) -> None:
        node, how = self.graph.nodes[call.node], self.lowered[call.node]
        for name, value in how.fields.items():
            if isinstance(value, Scratch):
                at = call.args[name]
                assert at + value.size <= len(self.memory), "scratch outside the arena"
                self.memory[at : at + value.size] = -2
        if how.granularity == PIXEL:
            self._pixels(call, node, how)
        elif how.by_rows:
            self._rows(call, node, how)
        elif how.granularity == ELEMENT:
            self._elements(node)
        else:
            self._whole(node)

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
                assert place == -1 or not how.by_rows, f"row {row} is not marked as padding"
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
            for tensor, name, cursor in _inputs(node, how):
                value = self.graph.tensors[tensor]
                bytes_ = image_rows(value.shape)[2] * value.itemsize
                for tap in range(cursor.extent):
                    row = cursor.first + (first + r) * cursor.step + tap
                    at = self._table(call, name, cursor, r, tap)
                    if at >= 0:
                        self._read(tensor, row * bytes_, bytes_, at)
            at = self._table(call, *_cursor(how, output), r, 0)
            self._write(output, (first + r) * size, size, at)
        self.rows_made[output] += call.args["rows"]

    def _elements(self, node: Node) -> None:
        output = self.graph.tensors[node.outputs[0]]
        for i in range(output.elements):
            for index in node.operands:
                if index in self.program.addresses:
                    size = self.graph.tensors[index].itemsize
                    if self.graph.tensors[index].elements == output.elements:
                        self._read(index, i * size, size, self.program.addresses[index] + i * size)
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
