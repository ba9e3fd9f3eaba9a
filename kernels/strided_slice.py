"""strided_slice: every n-th element of a box, backwards too; and the strided copy that it,
transpose and reshape are made of.

Elements are moved as bytes, whatever their dtype. (TFLite strided_slice.cc.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import (
    ELEMENT,
    PIXEL,
    TENSOR,
    Address,
    Constant,
    Cursor,
    Field,
    Lowered,
    Rows,
)
from .operation import Operation, layout

AXES = 6

# Steps and `offset` in bytes. Row r of y comes from entry r * `step` of x's row table.
ROWS = layout(
    "strided_slice_rows",
    "rows x y step offset columns column_step channels channel_step size",
)
# y is written from its start to its end; `axes` has six counts, then six steps of x.
COPY = layout("strided_copy", "x y offset size axes")


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """x[begin, begin + stride, ...] of `sizes` elements along every axis."""
    x, attrs = arrays[0], node.attrs
    assert x is not None
    picked = [
        begin + stride * np.arange(size)
        for begin, stride, size in zip(attrs.begin, attrs.strides, attrs.sizes, strict=True)
    ]
    return [x[np.ix_(*picked)].reshape(graph.output(node).shape)]


def lower(graph: Graph, node: Node) -> Lowered:
    """By rows if images are cut and rows are taken downwards."""
    attrs, x = node.attrs, graph.input(node)
    steps = element_steps(x.shape, x.itemsize)
    if len(x.shape) == 4 and not attrs.dropped and attrs.strides[1] > 0:
        if (attrs.begin[0], attrs.strides[0], attrs.sizes[0]) == (0, 1, x.shape[0]):
            return ROWS.lowered(PIXEL, **_row_fields(graph, node, steps))
    offset = sum(begin * step for begin, step in zip(attrs.begin, steps, strict=True))
    taken = [stride * step for stride, step in zip(attrs.strides, steps, strict=True)]
    return lower_copy(graph, node, attrs.sizes, taken, offset)


def _row_fields(graph: Graph, node: Node, steps: Sequence[int]) -> dict[str, Field]:
    attrs, x, y = node.attrs, graph.input(node), graph.output(node)
    taken = [attrs.strides[axis] * steps[axis] for axis in (2, 3)]
    counts, taken_steps = merge_axes(attrs.sizes[2:], taken)
    columns, channels = (1,) * (2 - len(counts)) + counts
    column_step, channel_step = (0,) * (2 - len(counts)) + taken_steps
    return {
        "rows": Rows(),
        "x": Cursor(x.index, first=attrs.begin[1], step=attrs.strides[1]),
        "y": Cursor(y.index),
        "step": attrs.strides[1],
        "offset": attrs.begin[2] * steps[2] + attrs.begin[3] * steps[3],
        "columns": columns,
        "column_step": column_step,
        "channels": channels,
        "channel_step": channel_step,
        "size": x.itemsize,
    }


def lower_copy(
    graph: Graph, node: Node, counts: Sequence[int], steps: Sequence[int], offset: int = 0
) -> Lowered:
    """A call that writes y in order, from x + `offset` on in `steps` of bytes along each axis."""
    x = graph.input(node)
    counts, steps = merge_axes(counts, steps)
    missing = AXES - len(counts)
    axes = [(1,) * missing + counts, (0,) * missing + steps]
    in_order = offset == 0 and len(counts) == 1 and steps[0] == x.itemsize
    return COPY.lowered(
        ELEMENT if in_order else TENSOR,
        x=Address(x.index),
        y=Address(node.outputs[0]),
        offset=offset,
        size=x.itemsize,
        axes=Constant(np.array(axes, np.int32)),
    )


def element_steps(shape: Sequence[int], size: int) -> tuple[int, ...]:
    """Bytes from one index to the next along each axis of a contiguous tensor."""
    return tuple(math.prod(shape[axis + 1 :]) * size for axis in range(len(shape)))


def merge_axes(
    counts: Sequence[int], steps: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The same walk with the fewest axes, at least one: an axis that goes on where the next one
    ends becomes one with it."""
    merged: list[tuple[int, int]] = []
    for count, step in reversed(list(zip(counts, steps, strict=True))):
        if merged and step == merged[-1][0] * merged[-1][1]:
            merged[-1] = (count * merged[-1][0], merged[-1][1])
        elif merged and count == 1:
            continue
        elif merged and merged[-1][0] == 1:
            merged[-1] = (count, step)
        else:
            merged.append((count, step))
    merged = merged or [(1, 0)]
    return tuple(count for count, _ in reversed(merged)), tuple(s for _, s in reversed(merged))


def same_dtype(graph: Graph, node: Node) -> bool:
    """Input and output must have the same dtype."""
    return graph.input(node).dtype == graph.output(node).dtype


def at_most_six_cuts(graph: Graph, node: Node) -> bool:
    """Tensors must have at most six axes, those counted as one that are taken whole together."""
    attrs, steps = node.attrs, element_steps(graph.input(node).shape, 1)
    taken = [stride * step for stride, step in zip(attrs.strides, steps, strict=True)]
    return len(merge_axes(attrs.sizes, taken)[0]) <= AXES


def at_most_six_axes(graph: Graph, node: Node) -> bool:
    """Tensors must have at most six axes."""
    return all(len(graph.tensors[t].shape) <= AXES for t in (*node.operands, *node.outputs))


OPERATION = Operation(reference, lower, (ROWS, COPY), (same_dtype, at_most_six_cuts))
