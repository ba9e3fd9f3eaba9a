"""resize_nearest and resize_bilinear of NHWC images: int8, int16 and float32.

(TFLite reference/resize_nearest_neighbor.h, reference/resize_bilinear.h.) Which input rows and
columns an output row and column needs is a table, made here once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.attributes import Resize
from ..runtime.graph import Graph, Node
from ..runtime.lowering import PIXEL, TENSOR, Address, Constant, Field, Lowered
from ..runtime.ops import need as region_need
from .elementwise import all_of
from .operation import Operation, layout
from .scales import round_half_away

Int32Array = NDArray[np.int32]


# ---- nearest -----------------------------------------------------------------------------------


def nearest_indices(outputs: int, size: int, attrs: Resize) -> Int32Array:
    """The input index of each output index along one axis; scale and product in float32."""
    position = np.arange(outputs, dtype=np.float32) + np.float32(0.5 * attrs.half_pixel_centers)
    scaled = position * _float_scale(outputs, size, attrs)
    whole = round_half_away(scaled) if attrs.align_corners else np.floor(scaled)
    return np.clip(whole, 0, size - 1).astype(np.int32)


def _float_scale(outputs: int, size: int, attrs: Resize) -> np.float32:
    if attrs.align_corners and outputs > 1:
        return np.float32(size - 1) / np.float32(outputs - 1)
    return np.float32(size) / np.float32(outputs)


def nearest_reference(
    graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]
) -> list[np.ndarray]:
    """Each output pixel is the input pixel at the scaled position."""
    x = arrays[0]
    assert x is not None
    rows, columns = (
        nearest_indices(outputs, size, node.attrs)
        for outputs, size in zip(node.attrs.size, x.shape[1:3], strict=True)
    )
    return [x[:, rows][:, :, columns]]


# ---- bilinear ----------------------------------------------------------------------------------

FRACTION_BITS = 10  # of an integer kernel's positions


@dataclass(frozen=True, eq=False)
class Interpolation:
    """For each output index along one axis: input indices below and above, and the weight of the
    one above: float32, or int32 in units of 2**-`FRACTION_BITS`. Weights may lie outside [0, 1]."""

    low: Int32Array
    high: Int32Array
    weight: np.ndarray


def float_interpolation(outputs: int, size: int, attrs: Resize) -> Interpolation:
    """All in float32."""
    position = np.arange(outputs, dtype=np.float32)
    scale, half = _float_scale(outputs, size, attrs), np.float32(0.5)
    scaled = (position + half) * scale - half if attrs.half_pixel_centers else position * scale
    low = np.maximum(np.floor(scaled), 0).astype(np.int32)
    high = np.minimum(np.ceil(scaled), size - 1).astype(np.int32)
    return Interpolation(low, high, scaled - low.astype(np.float32))


def fixed_interpolation(outputs: int, size: int, attrs: Resize) -> Interpolation:
    """Positions in units of 2**-`FRACTION_BITS`; divisions truncate."""
    one = 1 << FRACTION_BITS
    inputs, steps = size, outputs
    if attrs.align_corners and outputs > 1:
        inputs, steps = size - 1, outputs - 1
    scale = (one * inputs + steps // 2) // steps
    position = np.arange(outputs, dtype=np.int64) * scale
    if attrs.half_pixel_centers:
        position += scale // 2 - one // 2
    low = np.maximum(_truncate(position, one), 0)
    high = np.minimum(_truncate(position + one - 1, one), size - 1)
    return Interpolation(
        low.astype(np.int32), high.astype(np.int32), (position - one * low).astype(np.int32)
    )


def _truncate(value: NDArray[np.int64], divisor: int) -> NDArray[np.int64]:
    return np.sign(value) * (np.abs(value) // divisor)


def bilinear_reference(
    graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]
) -> list[np.ndarray]:
    """Each output pixel is mixed of four input pixels; integers are rounded half away from zero."""
    x = arrays[0]
    assert x is not None
    rows, columns = interpolations(graph, node)
    if _was_uint8(node):
        mixed = _mix(x.astype(np.float32) + np.float32(128), rows, columns, np.float32(1))
        return [(round_half_away(mixed) - 128).astype(np.int8)]
    if x.dtype == np.float32:
        return [_mix(x, rows, columns, np.float32(1)) + np.float32(0)]  # -0.0 becomes 0.0
    total = _mix(x.astype(np.int64), rows, columns, np.int64(1 << FRACTION_BITS))
    unit = 1 << 2 * FRACTION_BITS
    return [_truncate(total + np.where(total > 0, unit // 2, -unit // 2), unit).astype(x.dtype)]


def _was_uint8(node: Node) -> bool:
    """TFLite mixes uint8 in float32, where it mixes int8 in fixed point."""
    return getattr(node.attrs, "unsigned", False)


def _mix(x: np.ndarray, rows: Interpolation, columns: Interpolation, one: Any) -> np.ndarray:
    """Four products in TFLite's order, which floats feel; `one` is the sum of two weights."""
    down = rows.weight.astype(x.dtype)[:, None, None]
    right = columns.weight.astype(x.dtype)[:, None]
    up, left = one - down, one - right
    top, bottom = x[:, rows.low], x[:, rows.high]
    total: np.ndarray = (
        top[:, :, columns.low] * up * left
        + bottom[:, :, columns.low] * down * left
        + top[:, :, columns.high] * up * right
        + bottom[:, :, columns.high] * down * right
    )
    return total


def interpolations(graph: Graph, node: Node) -> tuple[Interpolation, Interpolation]:
    """Of rows and columns."""
    x = graph.input(node)
    in_float = x.dtype == "float32" or _was_uint8(node)
    make = float_interpolation if in_float else fixed_interpolation
    rows, columns = (
        make(outputs, size, node.attrs)
        for outputs, size in zip(node.attrs.size, x.shape[1:3], strict=True)
    )
    return rows, columns


# ---- lowering ----------------------------------------------------------------------------------

RESIZE_NEAREST = layout(
    "resize_nearest", "images height width x y rows columns y_height y_width pixel_bytes"
)
_BILINEAR = "images height width channels x y rows columns y_height y_width"
BILINEAR = {
    "int8": layout("resize_bilinear_s8", _BILINEAR),
    "int16": layout("resize_bilinear_s16", _BILINEAR),
    "uint8": layout("resize_bilinear_u8", f"{_BILINEAR} row_weights column_weights"),
    "float32": layout("resize_bilinear_f32", f"{_BILINEAR} row_weights column_weights"),
}


def _image_fields(graph: Graph, node: Node) -> dict[str, Field]:
    x, y = graph.input(node), graph.output(node)
    return {
        "images": x.shape[0],
        "height": x.shape[1],
        "width": x.shape[2],
        "x": Address(x.index),
        "y": Address(y.index),
        "y_height": y.shape[1],
        "y_width": y.shape[2],
    }


def _granularity(
    graph: Graph, node: Node, rows: Sequence[Int32Array], columns: Sequence[Int32Array]
) -> str:
    """PIXEL if the region rule covers all that the tables read (rounding of positions drifts)."""
    need = region_need(graph, node, 0)
    for span, tables in ((need.rows, rows), (need.columns, columns)):
        low, high = np.clip(span.low, 0, span.size), np.clip(span.high, 0, span.size)
        if any((table < low).any() or (table >= high).any() for table in tables):
            return TENSOR
    return PIXEL


def lower_nearest(graph: Graph, node: Node) -> Lowered:
    """Moves whole pixels, of any dtype."""
    x = graph.input(node)
    rows, columns = (
        nearest_indices(outputs, size, node.attrs)
        for outputs, size in zip(node.attrs.size, x.shape[1:3], strict=True)
    )
    return RESIZE_NEAREST.lowered(
        _granularity(graph, node, [rows], [columns]),
        **_image_fields(graph, node),
        rows=Constant(rows),
        columns=Constant(columns),
        pixel_bytes=x.shape[3] * x.itemsize,
    )


def lower_bilinear(graph: Graph, node: Node) -> Lowered:
    """Tables of low and high indices, then of weights."""
    x = graph.input(node)
    rows, columns = interpolations(graph, node)
    fields = _image_fields(graph, node) | {"channels": x.shape[3]}
    for name, axis in (("row", rows), ("column", columns)):
        if axis.weight.dtype == np.float32:
            fields[f"{name}s"] = Constant(np.stack([axis.low, axis.high]))
            fields[f"{name}_weights"] = Constant(axis.weight)
        else:
            fields[f"{name}s"] = Constant(np.stack([axis.low, axis.high, axis.weight]))
    granularity = _granularity(graph, node, [rows.low, rows.high], [columns.low, columns.high])
    words = BILINEAR["uint8" if _was_uint8(node) else x.dtype]
    return words.lowered(granularity, **fields)


# ---- constraints -------------------------------------------------------------------------------


def is_image(graph: Graph, node: Node) -> bool:
    """A resized tensor must be an NHWC image with at least one pixel."""
    x = graph.input(node)
    return len(x.shape) == 4 and 0 not in x.shape and min(node.attrs.size) > 0


def quantizations_equal(graph: Graph, node: Node) -> bool:
    """Input and output of a resize must have the same quantization."""
    x, y = graph.input(node), graph.output(node)
    if x.quantization is None or y.quantization is None:
        return x.quantization is y.quantization
    return (x.scale, x.zero_point) == (y.scale, y.zero_point)


def one_way_of_aligning(graph: Graph, node: Node) -> bool:
    """resize_bilinear can't have both align_corners and half_pixel_centers."""
    return not (node.attrs.align_corners and node.attrs.half_pixel_centers)


def positions_fit(graph: Graph, node: Node) -> bool:
    """An integer resize_bilinear must be of at most 2**20 input rows and columns."""
    return max(graph.input(node).shape[1:3]) <= 1 << 20


def positions_stay_inside(graph: Graph, node: Node) -> bool:
    """A resize_bilinear must not enlarge a long axis so that its rounded steps run past the
    input."""
    tables = zip(interpolations(graph, node), graph.input(node).shape[1:3], strict=True)
    return all(int(axis.low.max()) < size for axis, size in tables)


RESIZE_NEAREST_OPERATION = Operation(
    nearest_reference,
    lower_nearest,
    (RESIZE_NEAREST,),
    (all_of("int8", "uint8", "int16", "float32"), is_image, quantizations_equal),
)
RESIZE_BILINEAR_OPERATION = Operation(
    bilinear_reference,
    lower_bilinear,
    tuple(BILINEAR.values()),
    (
        all_of("int8", "int16", "float32"),
        is_image,
        quantizations_equal,
        one_way_of_aligning,
        positions_fit,
        positions_stay_inside,
    ),
)
