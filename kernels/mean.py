"""mean over any axes: int8, int16 and float32.

Integers: the sum of x - zero point is scaled once, by a multiplier into which the division by the
count is folded (TFLite 2.14 reduce.cc, reference/reduce.h). float32: the sum in the input's order,
divided by the count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..runtime.graph import DTYPES, Graph, Node, Tensor
from ..runtime.lowering import Address, Constant, Cursor, Field, FirstRow, Lowered, Rows, Sums
from .elementwise import all_of, int16_is_symmetric, is_quantized
from .fixedpoint import (
    is_in_floats,
    multiplier_for,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
)
from .operation import Operation, layout

GROUPS = 3  # of neighbouring axes of one kind: six axes make at most three kept and three reduced

_SCALED = "x y axes sum_offset multiplier shift y_offset"
MEAN_S8 = layout("mean_s8", _SCALED)
MEAN_S16 = layout("mean_s16", _SCALED)
MEAN_F32 = layout("mean_f32", "x y axes count")
# Takes the rows of an image one after the other; int32 sums of each channel are kept between calls.
MEAN_BY_ROW_S8 = layout(
    "mean_by_row_s8",
    "rows first height columns channels x y sums sum_offset multiplier shift y_offset",
)
_LAYOUTS = {"int8": MEAN_S8, "int16": MEAN_S16}


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The mean over `attrs.axes`; the output's shape says whether they are kept."""
    x, y = arrays[0], graph.output(node)
    assert x is not None
    if x.dtype == np.float32:
        return [_float(x, node.attrs.axes).reshape(y.shape)]
    total = x.sum(axis=node.attrs.axes, dtype=np.int64) + sum_offset(graph, node)
    scaled = multiply_by_quantized_multiplier(total, *folded_multiplier(graph, node))
    kind = np.iinfo(DTYPES[y.dtype])
    result = np.clip(scaled.astype(np.int64) + y.zero_point, kind.min, kind.max)
    return [result.astype(kind.dtype).reshape(y.shape)]


def _float(x: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """One addition after the other: NumPy's own sum would add pairwise."""
    moved = np.moveaxis(x, sorted(axes), range(len(axes)))
    kept = moved.shape[len(axes) :]
    total = np.zeros(kept, np.float32)
    for values in moved.reshape(-1, *kept):
        total = total + values
    return total / np.float32(x.size // max(total.size, 1))


def reduced_count(graph: Graph, node: Node) -> int:
    """How many numbers each output is the mean of."""
    shape = graph.input(node).shape
    return math.prod(shape[axis] for axis in node.attrs.axes)


def sum_offset(graph: Graph, node: Node) -> int:
    """What the zero points add to a sum of input numbers."""
    return -graph.input(node).zero_point * reduced_count(graph, node)


def folded_multiplier(graph: Graph, node: Node) -> tuple[int, int]:
    """Multiplier and shift of input scale / output scale / count.

    The division by the count is of the integer multiplier, shifted left first by as many bits as
    keep it under 2**31, and truncates. A multiplier in floats is just that number.
    """
    x, y, count = graph.input(node), graph.output(node), reduced_count(graph, node)
    if is_in_floats(y):
        return multiplier_for(y, x.scale / (y.scale * count))
    multiplier, shift = quantize_multiplier(x.scale / y.scale)
    left = min(count.bit_length() - 1, 31 + shift)
    return (multiplier << left) // count, shift - left


# ---- lowering ----------------------------------------------------------------------------------


def axis_groups(shape: Sequence[int], axes: Sequence[int]) -> np.ndarray:
    """int32 [4, GROUPS]: sizes and strides (elements) of kept, then of reduced axes, outer first.

    Neighbouring axes of one kind are one; missing ones have size 1.
    """
    groups: list[tuple[bool, int, int]] = []  # reduced, size, stride; inner first
    stride = 1
    for axis in reversed(range(len(shape))):
        reduced = axis in axes
        if shape[axis] != 1:
            if groups and groups[-1][0] == reduced:
                groups[-1] = (reduced, groups[-1][1] * shape[axis], groups[-1][2])
            else:
                groups.append((reduced, shape[axis], stride))
        stride *= shape[axis]
    table = np.ones((4, GROUPS), np.int32)
    for reduced in (False, True):
        mine = [group[1:] for group in groups if group[0] == reduced]
        for place, (size, step) in enumerate(mine):
            table[2 * reduced : 2 * reduced + 2, GROUPS - 1 - place] = size, step
    return table


def lower(graph: Graph, node: Node) -> Lowered:
    """A walk over the whole tensor: every output first needs its last input."""
    x, y = graph.input(node), graph.output(node)
    fields: dict[str, Field] = {
        "x": Address(x.index),
        "y": Address(y.index),
        "axes": Constant(axis_groups(x.shape, node.attrs.axes)),
    }
    if x.dtype == "float32":
        return MEAN_F32.lowered(**fields, count=reduced_count(graph, node))
    multiplier, shift = folded_multiplier(graph, node)
    rule: dict[str, Field] = {
        "sum_offset": sum_offset(graph, node),
        "multiplier": multiplier,
        "shift": shift,
        "y_offset": y.zero_point,
    }
    call = _LAYOUTS[x.dtype].lowered(**fields, **rule)
    image = len(x.shape) == 4 and x.shape[0] == 1 and sorted(node.attrs.axes) == [1, 2]
    return replace(call, by_row=_by_row(x, y, rule)) if image and x.dtype == "int8" else call


def _by_row(x: Tensor, y: Tensor, rule: dict[str, Field]) -> Lowered:
    _, height, columns, channels = x.shape
    fields: dict[str, Field] = {
        "rows": Rows(),
        "first": FirstRow(),
        "height": height,
        "columns": columns,
        "channels": channels,
        "x": Cursor(x.index),
        "y": Address(y.index),
        "sums": Sums(4 * channels),
    }
    return replace(MEAN_BY_ROW_S8.lowered(**fields, **rule), takes=height)


# ---- constraints -------------------------------------------------------------------------------


def at_most_six_axes(graph: Graph, node: Node) -> bool:
    """A mean's input must have at most six axes, and none of size 0."""
    shape = graph.input(node).shape
    return len(shape) <= 2 * GROUPS and 0 not in shape


def sum_fits(graph: Graph, node: Node) -> bool:
    """A mean must be over at most 2**23 int8 or 2**15 int16 numbers: the sum has 32 bits."""
    limits = {"int8": 1 << 23, "int16": 1 << 15}
    return reduced_count(graph, node) <= limits.get(graph.input(node).dtype, 1 << 30)


def scale_ratio_in_range(graph: Graph, node: Node) -> bool:
    """Input scale / output scale of a quantized mean must be from 2**-31 to 2**30."""
    x = graph.input(node)
    if x.dtype == "float32":
        return True
    multiplier, shift = quantize_multiplier(x.scale / graph.output(node).scale)
    return multiplier > 0 and -31 <= folded_multiplier(graph, node)[1] and shift <= 30


MEAN = Operation(
    reference,
    lower,
    (MEAN_S8, MEAN_BY_ROW_S8, MEAN_S16, MEAN_F32),
    (
        all_of("int8", "int16", "float32"),
        is_quantized,
        int16_is_symmetric,
        at_most_six_axes,
        sum_fits,
        scale_ratio_in_range,
    ),
)
