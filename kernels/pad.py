"""pad: a border of one value round a tensor of any element size.

(TFLite pad.cc, reference/pad.h.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..runtime.graph import DTYPES, Graph, Node, Tensor
from ..runtime.lowering import PIXEL, Address, Constant, Cursor, Field, Lowered, Rows
from .operation import Operation, layout
from .strided_slice import AXES, at_most_six_axes, same_dtype

# All sizes in bytes. A row of y: `left`, then `columns` pieces (`before`, a `chunk` of x, `after`),
# then `right`. `fill` holds 8 bytes: the value as often as it fits.
ROWS = layout("pad_rows", "rows x y left columns before chunk after right fill")
# `bytes` of y are filled; then chunks of x go to y + `start` on, `sizes` and steps of y by `axes`.
FLAT = layout("pad_flat", "x y bytes start chunk axes fill")


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """x inside a border of `attrs.value`, or of the output's zero point."""
    x = arrays[0]
    assert x is not None
    widths = list(zip(node.attrs.before, node.attrs.after, strict=True))
    return [np.pad(x, widths, constant_values=border(node, graph.output(node)))]


def border(node: Node, y: Tensor) -> np.ndarray:
    """The border's value as a scalar array of the output's dtype."""
    value = node.attrs.value
    if value is None:
        value = y.zero_point if y.quantization is not None else 0
    return np.array(value, DTYPES[y.dtype])


def lower(graph: Graph, node: Node) -> Lowered:
    """By rows if the tensor is a batch of images and the batch isn't padded."""
    before, after, y = node.attrs.before, node.attrs.after, graph.output(node)
    fill = Constant(np.repeat(border(node, y)[None], 8 // y.itemsize))
    if len(y.shape) == 4 and before[0] == after[0] == 0:
        return ROWS.lowered(PIXEL, **_row_fields(graph, node), fill=fill)
    return FLAT.lowered(**_flat_fields(graph, node), fill=fill)


def _row_fields(graph: Graph, node: Node) -> dict[str, Field]:
    x, y = graph.input(node), graph.output(node)
    (_, top, left, front), (_, _, right, back) = node.attrs.before, node.attrs.after
    columns, pixel, depth = x.shape[2], y.shape[3] * y.itemsize, x.shape[3] * x.itemsize
    whole = front == back == 0  # no channel is padded: the pixels of a row are one piece
    return {
        "rows": Rows(),
        "x": Cursor(x.index, first=-top),
        "y": Cursor(y.index),
        "left": left * pixel,
        "columns": 1 if whole else columns,
        "before": front * y.itemsize,
        "chunk": columns * depth if whole else depth,
        "after": back * y.itemsize,
        "right": right * pixel,
    }


def _flat_fields(graph: Graph, node: Node) -> dict[str, Field]:
    x, y = graph.input(node), graph.output(node)
    before, after = node.attrs.before, node.attrs.after
    padded = [axis for axis in range(len(y.shape)) if before[axis] or after[axis]]
    inner = padded[-1] if padded else 0  # x is in one piece from this axis on
    steps = [math.prod(y.shape[axis + 1 :]) * y.itemsize for axis in range(len(y.shape))]
    missing = (AXES - 1) - inner
    axes = [[1] * missing + list(x.shape[:inner]), [0] * missing + steps[:inner]]
    return {
        "x": Address(x.index),
        "y": Address(y.index),
        "bytes": y.bytes,
        "start": sum(n * step for n, step in zip(before, steps, strict=True)),
        "chunk": math.prod(x.shape[inner:]) * x.itemsize,
        "axes": Constant(np.array(axes, np.int32)),
    }


OPERATION = Operation(reference, lower, (ROWS, FLAT), (same_dtype, at_most_six_axes))
