"""rearrange, repeat and broadcast_to: elements in places that are known beforehand.

Where an element of y comes from is a sum: each axis of y adds what its index says. So a copy needs
one table an axis; where all tables are steps, it is the strided copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Address, Constant, Lowered
from ..runtime.rearranging import FILL, sources
from .general_tensors import (
    broadcast_reference,
    moved_dtype,
    rearrange_reference,
    repeat_reference,
)
from .in_numpy import IN_NUMPY
from .operation import Operation, layout
from .strided_slice import AXES, COPY, lower_copy, merge_axes

TABLES = 5  # axes that have a table; the innermost has a step

# y is written in order: at every place `count` elements of `size` bytes, `step` bytes apart in x.
# `axes` has five counts, then for each index of these axes how many bytes it adds.
COPY_BY_TABLES = layout("table_copy", "x y offset count step size axes")

Places = NDArray[np.int64]
Axis = tuple[int, int] | Places  # a count and a step, or the place of each index


def lower_known(graph: Graph, node: Node, places: Places) -> Lowered:
    """A copy of x's elements in the order of `places` (shape of y), if that is a sum over axes."""
    x = graph.input(node)
    axes = _axes(places)
    if axes is None or x.constant:
        return IN_NUMPY.lowered()
    offset = int(places.reshape(-1)[0]) * x.itemsize
    parts = [part for axis in axes for part in _progressions(axis * x.itemsize)]
    steps = [part for part in parts if isinstance(part, tuple)]
    counts, taken = merge_axes(*zip(*steps, strict=True)) if steps else ((1,), (0,))
    if len(steps) == len(parts) and len(counts) <= AXES:
        return lower_copy(graph, node, counts, taken, offset)
    count, step = 1, x.itemsize
    if isinstance(parts[-1], tuple):
        count, step = parts.pop()
    tables = _five([_table(part) for part in parts])
    words = np.concatenate([[len(table) for table in tables], *tables])
    return COPY_BY_TABLES.lowered(
        x=Address(x.index),
        y=Address(node.outputs[0]),
        offset=offset,
        count=count,
        step=step,
        size=x.itemsize,
        axes=Constant(words.astype(np.int32)),
    )


def _axes(places: Places) -> list[Places] | None:
    """What each axis adds to the first place; None if that is not how places come about."""
    if not places.size or (places == FILL).any():
        return None
    first, total, axes = places.reshape(-1)[0], np.zeros((), np.int64), []
    for axis in range(places.ndim):
        line = places[tuple(slice(None) if i == axis else 0 for i in range(places.ndim))] - first
        total = total[..., None] + line
        axes.append(line)
    return axes if np.array_equal(total + first, places) else None


def _progressions(line: Places) -> list[Axis]:
    """An axis as several, outer first, of which as many as can be have a step."""
    size = len(line)
    for count in (n for n in range(size, 1, -1) if size % n == 0):
        rows = line.reshape(-1, count)
        inside = rows - rows[:, :1]
        step = int(inside[0, 1])
        if (inside == step * np.arange(count)).all():
            return [*(_progressions(rows[:, 0]) if len(rows) > 1 else []), (count, step)]
    return [line] if size > 1 else []


def _table(axis: Axis) -> Places:
    return axis[1] * np.arange(axis[0]) if isinstance(axis, tuple) else axis


def _five(tables: list[Places]) -> list[Places]:
    """As many tables, those that make the shortest together joined to one."""
    while len(tables) > TABLES:
        sizes = [len(a) * len(b) for a, b in pairwise(tables)]
        at = sizes.index(min(sizes))
        tables[at : at + 2] = [np.add.outer(tables[at], tables[at + 1]).reshape(-1)]
    return [np.zeros(1, np.int64)] * (TABLES - len(tables)) + tables


def _lower(places: Callable[[Graph, Node, Places], Places]) -> Callable[[Graph, Node], Lowered]:
    def lower(graph: Graph, node: Node) -> Lowered:
        """One copy, in the order of the answer."""
        shape = graph.input(node).shape
        own = np.arange(math.prod(shape)).reshape(shape)
        return lower_known(graph, node, places(graph, node, own))

    return lower


def _rearranged(graph: Graph, node: Node, own: Places) -> Places:
    return sources(node.attrs.kind, node.attrs.numbers, own.shape)


def _repeated(graph: Graph, node: Node, own: Places) -> Places:
    return np.tile(own, node.attrs.counts).reshape(graph.output(node).shape)


def _broadcast(graph: Graph, node: Node, own: Places) -> Places:
    return np.broadcast_to(own, node.attrs.shape)


def _operation(
    reference: Callable[..., list[np.ndarray]], places: Callable[[Graph, Node, Places], Places]
) -> Operation:
    return Operation(reference, _lower(places), (COPY_BY_TABLES, COPY, IN_NUMPY), (moved_dtype,))


REARRANGE = _operation(rearrange_reference, _rearranged)
REPEAT = _operation(repeat_reference, _repeated)
BROADCAST_TO = _operation(broadcast_reference, _broadcast)
