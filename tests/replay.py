"""Replays a program on tagged memory: does every read meet the very bytes that were written for it?

Independent of planner and schedule: it knows only the program's calls and row tables, and what the
region rules say each output pixel needs. Each byte of the arena carries the tag of the value that
was last written there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from midge.runtime.graph import Node
from midge.runtime.lowering import ELEMENT, PIXEL, Cursor, Lowered, image_rows
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
        scratch = [b for b in self.program.buffers if b.name == f"scratch of {node.op} {node.name}"]
        for buffer in scratch:
            self.memory[buffer.offset : buffer.offset + buffer.size] = -2
        if how.by_rows and how.granularity == PIXEL:
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
        output = node.outputs[0]
        shape = self.graph.tensors[output].shape
        width, pixel = shape[2], shape[3] * self.graph.tensors[output].itemsize
        first = self.rows_made[output]
        area = need(self.graph, node, 0)
        for r in range(call.args["rows"]):
            y = first + r
            for x in range(width):
                for tensor, name, cursor in _inputs(node, how):
                    self._window(call, name, cursor, tensor, r, area.columns, x, y, area.rows)
                self._write(
                    output,
                    (y * width + x) * pixel,
                    pixel,
                    self._table(call, *_output(how, output), r, 0) + x * pixel,
                )
        self.rows_made[output] += call.args["rows"]

    def _window(self, call, name, cursor, tensor, r, columns, x, y, rows) -> None:  # type: ignore[no-untyped-def]
        value = self.graph.tensors[tensor]
        height, width = image_size(value.shape)
        pixel = value.bytes // (height * width * image_rows(value.shape)[0])
        left, right, _, _ = columns.needs(x, x + 1)
        low, high = int(rows.low[y]), int(rows.high[y])
        for row in range(max(low, 0), min(high, height)):
            at = self._table(call, name, cursor, r, row - low)
            assert at >= 0, f"row {row} of tensor {tensor} is stored, its table entry says padding"
            begin = (row * width + left) * pixel
            self._read(tensor, begin, (right - left) * pixel, at + left * pixel)
        for row in (*range(low, 0), *range(height, high)):
            assert self._table(call, name, cursor, r, row - low) == -1

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
            at = self._table(call, *_output(how, output), r, 0)
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


def _output(how: Lowered, tensor: int) -> tuple[str, Cursor]:
    return next(
        (name, field)
        for name, field in how.fields.items()
        if isinstance(field, Cursor) and field.tensor == tensor
    )
