"""How operators of one output element for each input element are called.

One operand runs by rows. Two operands run by rows where their shapes are equal (`<op>_<type>`), or
where the second is the same for every row (`<op>_row_<type>`: biases, gains, squeeze-and-excite);
all other broadcasting is one flat walk over five axes (`<op>_broadcast_<type>`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..runtime.graph import Graph, Node, Tensor
from ..runtime.lowering import ELEMENT, Address, Constant, Cursor, Field, Lowered, Rows, image_rows
from .operation import Layout, layout

AXES = 5  # of the flat walk
ROWS = "rows count"
FLAT = "a b y a_constant b_constant axes"
_SAME = "rows count a b y"
_ROW = "rows columns channels a y b b_constant b_column b_channel"

Words = Mapping[str, Field]


def unary_rows(graph: Graph, node: Node) -> dict[str, Field]:
    """The fields `rows count x y` of a kernel that makes rows of y from the same rows of x."""
    return {
        "rows": Rows(),
        "count": image_rows(graph.output(node).shape)[2],
        "x": Cursor(graph.input(node).index),
        "y": Cursor(graph.output(node).index),
    }


@dataclass(frozen=True)
class BinaryLayouts:
    """The three kernels of a two-operand operator on one dtype."""

    same: Layout
    row: Layout
    broadcast: Layout

    @property
    def all(self) -> tuple[Layout, Layout, Layout]:
        return self.same, self.row, self.broadcast


def binary_layouts(op: str, suffix: str, words: str) -> BinaryLayouts:
    """Layouts that end with the operator's own `words`; those of an operand start a_ or b_."""
    return BinaryLayouts(
        layout(f"{op}_{suffix}", f"{_SAME} {words}"),
        layout(f"{op}_row_{suffix}", f"{_ROW} {words}"),
        layout(f"{op}_broadcast_{suffix}", f"{FLAT} {words}"),
    )


def lower_binary(graph: Graph, node: Node, layouts: BinaryLayouts, words: Words) -> Lowered:
    """The call of whichever of the three kernels fits the operands."""
    a, b, y = graph.input(node, 0), graph.input(node, 1), graph.output(node)
    if a.shape == b.shape == y.shape and not a.constant and not b.constant:
        fields: dict[str, Field] = {
            "rows": Rows(),
            "count": image_rows(y.shape)[2],
            "a": Cursor(a.index),
            "b": Cursor(b.index),
            "y": Cursor(y.index),
        }
        return layouts.same.lowered(ELEMENT, **fields, **words)
    for streamed, repeated, own in ((a, b, words), (b, a, _exchanged(words))):
        strides = row_strides(repeated.shape, y.shape)
        if streamed.shape == y.shape and not streamed.constant and strides is not None:
            return layouts.row.lowered(ELEMENT, **_row_fields(streamed, repeated, y), **own)
    return lower_flat(graph, node, layouts.broadcast, words)


def lower_flat(graph: Graph, node: Node, kernel: Layout, words: Words) -> Lowered:
    """The call of a kernel whose words begin with `FLAT`: one walk over y, of at most `AXES`.
    What `words` says of these goes before."""
    a, b, y = graph.input(node, 0), graph.input(node, 1), graph.output(node)
    return kernel.lowered(ELEMENT, **{**_broadcast_fields(a, b, y), **words})


def _exchanged(words: Words) -> Words:
    """The same words with the operands' roles exchanged."""
    other = {"a_": "b_", "b_": "a_"}
    return {other.get(name[:2], name[:2]) + name[2:]: value for name, value in words.items()}


def _whole(tensor: Tensor) -> Field:
    return Address(tensor.index) if tensor.data is None else Constant(tensor.data)


def _row_fields(streamed: Tensor, repeated: Tensor, y: Tensor) -> dict[str, Field]:
    strides = row_strides(repeated.shape, y.shape)
    assert strides is not None
    channels = y.shape[-1] if y.shape else 1
    return {
        "rows": Rows(),
        "columns": image_rows(y.shape)[2] // max(channels, 1),
        "channels": channels,
        "a": Cursor(streamed.index),
        "y": Cursor(y.index),
        "b": _whole(repeated),
        "b_constant": int(repeated.constant),
        "b_column": strides[0],
        "b_channel": strides[1],
    }


def row_strides(shape: tuple[int, ...], output: tuple[int, ...]) -> tuple[int, int] | None:
    """(elements from column to column, from channel to channel) of an operand that is the same for
    every row of the output; None if it isn't. A row has columns of `output[-1]` channels."""
    padded = (1,) * (len(output) - len(shape)) + shape
    inside = len(output) - 2 if len(output) == 4 else 0  # the first axis within a row
    if math.prod(padded[:inside]) != 1:
        return None
    channels = padded[-1] if padded else 1
    columns, all_columns = padded[inside:-1], output[inside:-1]
    if math.prod(columns) != 1 and columns != all_columns:
        return None
    return (channels if math.prod(columns) > 1 else 0), (1 if channels > 1 else 0)


def _broadcast_fields(a: Tensor, b: Tensor, y: Tensor) -> dict[str, Field]:
    sizes = (1,) * (AXES - len(y.shape)) + y.shape
    axes = [sizes, broadcast_strides(a.shape), broadcast_strides(b.shape)]
    return {
        "a": _whole(a),
        "b": _whole(b),
        "y": Address(y.index),
        "a_constant": int(a.constant),
        "b_constant": int(b.constant),
        "axes": Constant(np.array(axes, np.int32)),
    }


def broadcast_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Elements from one index to the next along each of `AXES` axes; 0 where it is repeated."""
    padded = (1,) * (AXES - len(shape)) + shape
    return tuple(
        0 if size == 1 else math.prod(padded[axis + 1 :]) for axis, size in enumerate(padded)
    )


def at_most_five_axes(graph: Graph, node: Node) -> bool:
    """Operands and output must have at most five axes."""
    return len(graph.output(node).shape) <= AXES


def all_of(*dtypes: str) -> Callable[[Graph, Node], bool]:
    """A constraint: operands and output have one and the same dtype, out of `dtypes`."""

    def same_dtype(graph: Graph, node: Node) -> bool:
        kinds = {graph.tensors[t].dtype for t in (*node.operands, *node.outputs)}
        return len(kinds) == 1 and kinds <= set(dtypes)

    same_dtype.__doc__ = f"Operands and output must all be {' or all '.join(dtypes)}."
    return same_dtype


def int16_is_symmetric(graph: Graph, node: Node) -> bool:
    """An int16 tensor must have zero point 0."""
    tensors = (graph.tensors[t] for t in (*node.operands, *node.outputs))
    return all(t.zero_point == 0 for t in tensors if t.dtype == "int16" and t.quantization)


def is_quantized(graph: Graph, node: Node) -> bool:
    """An int8 or int16 tensor must have one scale and one zero point."""
    tensors = (graph.tensors[t] for t in (*node.operands, *node.outputs))
    return all(
        t.quantization is not None and not t.quantization.per_axis
        for t in tensors
        if t.dtype in ("int8", "int16")
    )
