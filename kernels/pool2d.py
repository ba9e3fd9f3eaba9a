"""Average, maximum and L2 pooling: TFLite's AVERAGE_POOL_2D, MAX_POOL_2D and L2_POOL_2D.

Arithmetic: `reference/pooling.h`, `reference/integer_ops/pooling.h`. Only taps inside the image
count. Integer averages round half away from zero, on q itself; models that were uint8 round on
q + 128, which is never negative; ONNX's round to even ones. Float sums run over window rows,
then columns. L2 is the root of the mean square, of float32 alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..runtime.graph import DTYPES, Graph, Node
from ..runtime.lowering import (
    PIXEL,
    Address,
    Constant,
    Cursor,
    Field,
    FirstRow,
    Lowered,
    Rows,
    Sums,
)
from ..runtime.shapes import image_size
from . import fixedpoint as fp
from .conv2d import window_cursor
from .convolution import SUFFIXES, clamp_float, float_bounds, has_known_activation
from .operation import Operation, layout
from .windows import windows

AWAY, UPWARDS, EVEN = 0, 1, 2  # where ties go
GEOMETRY = (
    "rows width channels in_width window_height window_width stride_height stride_width pad_left "
    "y x"
)
AVERAGE_LAYOUTS = {
    "s8": layout("average_pool2d_s8", f"{GEOMETRY} ties least greatest"),
    "s16": layout("average_pool2d_s16", f"{GEOMETRY} ties least greatest"),
    "f32": layout("average_pool2d_f32", f"{GEOMETRY} bounds"),
}
# Takes the rows of x one after the other, for one row of output; int32 sums of each output element
# are kept between calls.
AVERAGE_BY_ROW_S8 = layout(
    "average_pool2d_by_row_s8",
    "rows first height width channels in_width window_width stride_width pad_left y x sums "
    "ties least greatest",
)
MAX_LAYOUTS = {
    "s8": layout("max_pool2d_s8", f"{GEOMETRY} least greatest"),
    "s16": layout("max_pool2d_s16", f"{GEOMETRY} least greatest"),
    "f32": layout("max_pool2d_f32", f"{GEOMETRY} bounds"),
}

L2_F32 = layout("l2_pool2d_f32", f"{GEOMETRY} bounds")


def average_reference(
    graph: Graph, node: Node, inputs: Sequence[np.ndarray | None]
) -> list[np.ndarray]:
    """Mean of the pixels that each window covers."""
    x = inputs[0]
    assert x is not None
    counts = _taps(node, np.ones((1, *x.shape[1:3], 1), np.int64)).sum(axis=(3, 4))
    if x.dtype == np.float32:
        return [_clamp(graph, node, _float_sums(_taps(node, x)) / counts.astype(np.float32))]
    sums = _taps(node, x.astype(np.int64)).sum(axis=(3, 4))
    ties = _ties(graph, node)
    offset = 0 if ties == AWAY else 128
    sums += offset * counts
    means = np.where(sums > 0, 1, -1) * ((np.abs(sums) + counts // 2) // counts)
    if ties == EVEN:
        between = 2 * (means * counts - sums) == counts
        means -= between & (means & 1)
    return [_clamp(graph, node, means - offset)]


def _ties(graph: Graph, node: Node) -> int:
    if fp.is_in_floats(graph.output(node)):
        return EVEN
    return UPWARDS if node.attrs.unsigned else AWAY


def max_reference(
    graph: Graph, node: Node, inputs: Sequence[np.ndarray | None]
) -> list[np.ndarray]:
    """Greatest pixel that each window covers."""
    x = inputs[0]
    assert x is not None
    if x.dtype != np.float32:
        taps = _taps(node, x, int(np.iinfo(x.dtype).min))
        return [_clamp(graph, node, taps.max(axis=(3, 4)))]
    lowest = float(np.finfo(x.dtype).min)
    taps = _taps(node, x, lowest)
    greatest = np.full((*taps.shape[:3], taps.shape[5]), lowest, np.float32)
    for ky, kx in np.ndindex(taps.shape[3:5]):  # the first of equals, and no NaN
        tap = taps[:, :, :, ky, kx]
        greatest = np.where(tap > greatest, tap, greatest)
    return [_clamp(graph, node, greatest)]


def l2_reference(graph: Graph, node: Node, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Root of the mean square of the pixels that each window covers."""
    x = inputs[0]
    assert x is not None
    counts = _taps(node, np.ones((1, *x.shape[1:3], 1), np.float32)).sum(axis=(3, 4))
    with np.errstate(over="ignore"):
        squares = _float_sums(_taps(node, x * x))
    return [_clamp(graph, node, np.sqrt(squares / counts))]


def _taps(node: Node, x: np.ndarray, fill: float = 0) -> np.ndarray:
    attrs = node.attrs
    return windows(x, attrs.window, attrs.stride, attrs.padding, fill=fill)


def _float_sums(taps: np.ndarray) -> np.ndarray:
    sums = np.zeros((*taps.shape[:3], taps.shape[5]), np.float32)
    for ky, kx in np.ndindex(taps.shape[3:5]):
        sums += taps[:, :, :, ky, kx]
    return sums


def _clamp(graph: Graph, node: Node, values: np.ndarray) -> np.ndarray:
    y = graph.output(node)
    if y.dtype == "float32":
        return clamp_float(values, node.attrs.activation)
    return np.clip(values, *_range(graph, node)).astype(DTYPES[y.dtype])


def _range(graph: Graph, node: Node) -> tuple[int, int]:
    y, activation = graph.output(node), node.attrs.activation
    if activation == "none":  # needs no quantization
        kind = np.iinfo(DTYPES[y.dtype])
        return int(kind.min), int(kind.max)
    return fp.activation_range(activation, y)


# ---- constraints -------------------------------------------------------------------------------


def has_one_supported_type(graph: Graph, node: Node) -> bool:
    """Input and output must be both int8, both int16 or both float32."""
    return graph.input(node).dtype == graph.output(node).dtype and (
        graph.input(node).dtype in SUFFIXES
    )


def has_floats(graph: Graph, node: Node) -> bool:
    """Input and output must be float32."""
    return graph.input(node).dtype == graph.output(node).dtype == "float32"


def has_quantized_range(graph: Graph, node: Node) -> bool:
    """An integer output with a fused activation must be quantized."""
    y = graph.output(node)
    clamped = node.attrs.activation != "none" and y.dtype != "float32"
    return not clamped or y.quantization is not None


def covers_pixels(graph: Graph, node: Node) -> bool:
    """Padding must be less than the window, so that every window covers a pixel."""
    pad, (height, width) = node.attrs.padding, node.attrs.window
    return max(pad.top, pad.bottom) < height and max(pad.left, pad.right) < width


CONSTRAINTS = (has_one_supported_type, has_known_activation, has_quantized_range, covers_pixels)


# ---- lowering ----------------------------------------------------------------------------------


def lower_average(graph: Graph, node: Node) -> Lowered:
    """A row kernel of this node's type."""
    suffix = SUFFIXES[graph.input(node).dtype]
    marks: dict[str, Field] = {} if suffix == "f32" else {"ties": _ties(graph, node)}
    call = AVERAGE_LAYOUTS[suffix].lowered(PIXEL, **_fields(graph, node), **marks)
    one_row = suffix == "s8" and graph.output(node).shape[:2] == (1, 1)
    return replace(call, by_row=_average_by_row(graph, node)) if one_row else call


def _average_by_row(graph: Graph, node: Node) -> Lowered:
    x, y, attrs = graph.input(node), graph.output(node), node.attrs
    height = min(x.shape[1], attrs.window[0] - attrs.padding.top)  # rows under the window
    own = _fields(graph, node)
    shared = {name: own[name] for name in AVERAGE_BY_ROW_S8.fields if name in own}
    changed: dict[str, Field] = {
        "first": FirstRow(),
        "height": height,
        "x": Cursor(x.index),
        "y": Address(y.index),
        "sums": Sums(4 * y.elements),
        "ties": _ties(graph, node),
    }
    return replace(AVERAGE_BY_ROW_S8.lowered(**(shared | changed)), takes=height)


def lower_max(graph: Graph, node: Node) -> Lowered:
    """A row kernel of this node's type."""
    suffix = SUFFIXES[graph.input(node).dtype]
    return MAX_LAYOUTS[suffix].lowered(PIXEL, **_fields(graph, node))


def lower_l2(graph: Graph, node: Node) -> Lowered:
    """The row kernel of float32."""
    return L2_F32.lowered(PIXEL, **_fields(graph, node))


def _fields(graph: Graph, node: Node) -> dict[str, Field]:
    x, attrs = graph.input(node), node.attrs
    fields: dict[str, Any] = {
        "rows": Rows(),
        "width": image_size(graph.output(node).shape)[1],
        "channels": x.shape[3],
        "in_width": x.shape[2],
        "window_height": attrs.window[0],
        "window_width": attrs.window[1],
        "stride_height": attrs.stride[0],
        "stride_width": attrs.stride[1],
        "pad_left": attrs.padding.left,
        "y": Cursor(node.outputs[0]),
        "x": window_cursor(graph, node, attrs.window),
    }
    if x.dtype == "float32":
        return fields | {"bounds": Constant(float_bounds(attrs.activation))}
    least, greatest = _range(graph, node)
    return fields | {"least": least, "greatest": greatest}


AVERAGE = Operation(
    average_reference,
    lower_average,
    (*AVERAGE_LAYOUTS.values(), AVERAGE_BY_ROW_S8),
    CONSTRAINTS,
)
MAX = Operation(max_reference, lower_max, tuple(MAX_LAYOUTS.values()), CONSTRAINTS)
L2 = Operation(l2_reference, lower_l2, (L2_F32,), (has_floats, has_known_activation, covers_pixels))
