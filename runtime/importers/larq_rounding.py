"""The built-in operators of a file that has Larq's, rounding as in Larq's interpreter.

It runs TFLite's optimized kernels. Those add floats of fully connected layers in four lanes, and
rescale int8 operands of an ADD with one rounding, but only in blocks of 16 elements; what remains
of a run is rounded twice, as in the reference (optimized/integer_ops/add.h). In two places it
rounds ties in further ways, and we keep the reference's bits: in integer layers with weights, and
in an ADD that repeats a number of one operand for each of a pixel's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..attributes import Concatenation, FullyConnected, Reshape, StridedSlice
from ..graph import Node, Tensor

BLOCK = 16  # elements of an int8 ADD that are rescaled together
Shape = tuple[int, ...]


def as_larq_rounds(
    nodes: Sequence[Node], tensors: Mapping[int, Tensor]
) -> tuple[list[Node], dict[int, Tensor]]:
    """The same nodes and tensors with Larq's rounding stated; some nodes become several."""
    made, known = [], dict(tensors)
    for node in nodes:
        if isinstance(node.attrs, FullyConnected) and _in_lanes(known[node.operands[1]]):
            made.append(replace(node, attrs=replace(node.attrs, lanes=4)))
        elif node.op == "add" and known[node.outputs[0]].dtype == "int8":
            made += _added(node, known)
        else:
            made.append(node)
    return made, known


def _in_lanes(weights: Tensor) -> bool:
    return weights.dtype == "float32" and weights.shape[1] % 4 == 0


def run_of(a: Shape, b: Shape) -> tuple[int, int] | None:
    """(axes before it, elements) of what one call of TFLite's loop adds, for two shapes; None where
    it doesn't come to that loop: a number is repeated, or what is repeated changes too often."""
    if a == b:
        return 0, math.prod(a)
    rank = max(len(a), len(b))
    a, b = ((1,) * (rank - len(shape)) + shape for shape in (a, b))
    equal = _walk(a, b, rank, lambda x, y: x == y)
    few, many = (a, b) if a[equal - 1] == 1 else (b, a)
    at = _walk(few, many, equal, lambda x, y: x == 1)
    at = _walk(few, many, at, lambda x, y: x == y)
    at = _walk(few, many, at, lambda x, y: y == 1)
    at = _walk(few, many, at, lambda x, y: x == y)
    elements = math.prod(a[equal:])
    return None if at > 0 or elements == 1 else (equal, elements)


def _walk(few: Shape, many: Shape, axis: int, fits: Callable[[int, int], bool]) -> int:
    """The first of the axes before `axis` that fit without a gap."""
    while axis > 0 and fits(few[axis - 1], many[axis - 1]):
        axis -= 1
    return axis


def _added(node: Node, tensors: dict[int, Tensor]) -> list[Node]:
    """The node, or where runs have a rest, one node for whole blocks and one for rests."""
    shapes = [tensors[index].shape for index in node.operands]
    run = run_of(shapes[0], shapes[1])
    if run is None or run[1] < BLOCK:
        return [node]
    if run[1] % BLOCK == 0:
        return [replace(node, attrs=replace(node.attrs, rounded_once=(True, True)))]
    return _Parts(node, tensors).nodes(*run)


@dataclass
class _Parts:
    """A sum in two parts along its runs; constants are cut here, other operands by nodes."""

    node: Node
    tensors: dict[int, Tensor]
    made: list[Node] = field(default_factory=list)

    def nodes(self, lead: int, elements: int) -> list[Node]:
        """Runs of these many elements behind the axes `lead`."""
        y, operands = self.tensors[self.node.outputs[0]], self.node.operands
        rank = max(len(self.tensors[index].shape) for index in operands)
        flat = [self.flattened(index, rank, lead) for index in operands]
        end = elements // BLOCK * BLOCK
        whole, rest = self.part(flat, y, 0, end), self.part(flat, y, end, elements - end)
        shape = self.tensors[whole].shape[:-1]
        joined = self.new(y, (*shape, elements))
        self.put("concatenation", (whole, rest), joined, Concatenation(len(shape)))
        self.put("reshape", (joined,), y.index, Reshape(y.shape))
        return self.made

    def put(self, op: str, inputs: tuple[int, ...], output: int, attrs: object) -> None:
        self.made.append(replace(self.node, op=op, inputs=inputs, outputs=(output,), attrs=attrs))

    def new(self, like: Tensor, shape: Shape, data: np.ndarray | None = None) -> int:
        index = max(self.tensors) + 1
        name = f"{like.name}/{index}"
        self.tensors[index] = replace(like, index=index, name=name, shape=shape, data=data)
        return index

    def flattened(self, index: int, rank: int, lead: int) -> int:
        """The operand with one axis for what is behind `lead`."""
        x = self.tensors[index]
        padded = (1,) * (rank - len(x.shape)) + x.shape
        shape = (*padded[:lead], math.prod(padded[lead:]))
        if x.data is not None:
            return self.new(x, shape, x.data.reshape(shape))
        flat = self.new(x, shape)
        self.put("reshape", (index,), flat, Reshape(shape))
        return flat

    def part(self, flat: list[int], y: Tensor, begin: int, size: int) -> int:
        """The sum of so many elements of each run; whole blocks come first."""
        cuts = tuple(self.cut(index, begin, size) for index in flat)
        shape = np.broadcast_shapes(*(self.tensors[index].shape for index in cuts))
        total, once = self.new(y, shape), begin == 0
        attrs = replace(self.node.attrs, rounded_once=(once, once))
        self.put("add", cuts, total, attrs)
        return total

    def cut(self, index: int, begin: int, size: int) -> int:
        x = self.tensors[index]
        shape = (*x.shape[:-1], size)
        if x.data is not None:
            part = np.ascontiguousarray(x.data[..., begin : begin + size])
            return self.new(x, shape, part)
        begins = (0,) * (len(shape) - 1) + (begin,)
        made = self.new(x, shape)
        self.put("strided_slice", (index,), made, StridedSlice(begins, (1,) * len(shape), shape))
        return made
