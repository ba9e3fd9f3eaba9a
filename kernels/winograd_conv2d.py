"""3x3 convolution of float32 by Winograd's F(4x4, 3x3): an operator, for its rounding is its own.

(Lavin, Gray, "Fast Algorithms for Convolutional Neural Networks", 2016; points 0, 1, -1, 2, -2.) A
tile of 4x4 output pixels, the first at a multiple of 4 rows and columns, takes 36 products of a
channel instead of 144. With d its 6x6 inputs, 0 outside the image, and U = G g G' of the weights:

    V = B' d B        M = sum of U * V over channels        Y = A' M A

What rounds when is stated, so that every backend has the same bits: U comes from float64; columns
are transformed before rows, by the sums of `forward` and `backward`; M begins with 0 and takes the
channels in their order; the bias is added to Y, which is then held in its bounds. Each operation is
rounded, none is fused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.graph import Graph, Node
from ..runtime.lowering import PIXEL, Constant, Cursor, FirstRow, Lowered, Rows, Scratch
from ..runtime.shapes import image_size
from .convolution import (
    bias_values,
    clamp_float,
    float_bounds,
    has_bias_per_channel,
    has_constant_weights,
    has_known_activation,
)
from .operation import Operation, layout

TILE, PATCH = 4, 6  # output pixels of a tile along an axis, and the input pixels that they need
ELEMENTS = PATCH * PATCH
LANES = 16  # output channels of a block
# The rows of 24 * G without their common factors, and these.
REDUCED = np.array([[1, 0, 0], [-1, -1, -1], [-1, 1, -1], [1, 2, 4], [1, -2, 4], [0, 0, 1]])
FACTORS = np.array([6, 4, 4, 1, 1, 24])
MOST_BYTES = 1 << 19  # of the buffer: a part of what a core's own cache holds
ABOVE = TILE - 1  # rows above its own window that an output row's tile may need, or below
REACH = 3 + 2 * ABOVE

# rows output rows from number `first` on, `width` columns of `filters` channels; `tiles` across.
# Bytes: in_row of an input row, pixel of one pixel, before of padding left of a row. The buffer
# holds a patch, and for `run` tiles [36][run][channels] transformed inputs, at `inputs`, and
# [36][run][16] sums of a block of filters, at `sums`. weights: [blocks][36][channels][16]. zero:
# one int32 0. The cursor x is `ABOVE` rows above the first output row's window.
F32 = layout(
    "winograd_conv2d_f32",
    "rows first width filters tiles run in_row pixel before fill inputs sums zero weights bias "
    "bounds buffer y x",
)


def forward(d: Sequence[Any]) -> list[Any]:
    """B' d: of six inputs six."""
    four, inner, outer = d[4] - d[2], d[4] - d[2] * 4, d[3] - d[1] * 4
    twice = (d[3] - d[1]) * 2
    return [
        (d[0] - d[2]) * 4 + four,
        inner + outer,
        inner - outer,
        four + twice,
        four - twice,
        ((d[1] - d[3]) * 4 - d[3]) + d[5],
    ]


def backward(m: Sequence[Any]) -> list[Any]:
    """A' m: of six sums four."""
    near, apart, far, across = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    return [
        (m[0] + near) + far,
        apart + across * 2,
        near + far * 4,
        (apart + across * 8) + m[5],
    ]


def twice(transform: Callable[[Sequence[Any]], list[Any]], values: Sequence[Any]) -> list[Any]:
    """[column][row] values, transformed along both axes: [row][column]."""
    columns = [transform(column) for column in values]
    return [transform(row) for row in zip(*columns, strict=True)]


def transformed(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """U: [filters, 3, 3, channels] to [filters, 6, 6, channels]."""
    wide = weights.astype(np.float64)
    for axis in (1, 2):
        g = np.moveaxis(wide, axis, 0)
        made = [(row[0] * g[0] + row[1] * g[1]) + row[2] * g[2] for row in REDUCED]
        wide = np.moveaxis(np.stack(made), 0, axis)
    factors = np.outer(FACTORS, FACTORS)[:, :, None]
    return (wide * factors / 576).astype(np.float32)


def reference(graph: Graph, node: Node, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """[batch, height, width, channels] input, [filters, 3, 3, channels] weights."""
    x, weights = inputs[0], graph.input(node, 1).data
    assert x is not None and weights is not None
    (height, width), pad = image_size(graph.output(node).shape), node.attrs.padding
    down, across = -(-height // TILE), -(-width // TILE)
    padded = np.zeros((len(x), TILE * down + 2, TILE * across + 2, x.shape[3]), np.float32)
    padded[:, pad.top : pad.top + x.shape[1], pad.left : pad.left + x.shape[2]] = x
    patch = [
        [padded[:, i : i + TILE * down : TILE, j : j + TILE * across : TILE] for i in range(PATCH)]
        for j in range(PATCH)
    ]
    u, v = transformed(weights), twice(forward, patch)
    sums = [[_sum(v[i][j], u[:, i, j]) for i in range(PATCH)] for j in range(PATCH)]
    y = np.empty((len(x), TILE * down, TILE * across, len(weights)), np.float32)
    for i, row in enumerate(twice(backward, sums)):
        for j, made in enumerate(row):
            y[:, i::TILE, j::TILE] = made
    biased = y[:, :height, :width] + bias_values(graph, node, len(weights))
    return [clamp_float(biased, node.attrs.activation)]


def _sum(v: np.ndarray, u: np.ndarray) -> np.ndarray:
    """[..., filters] of [..., channels] and [filters, channels], a channel after the other."""
    total = np.zeros((*v.shape[:-1], len(u)), np.float32)
    for channel in range(u.shape[1]):
        total += v[..., channel, None] * u[:, channel]
    return total


# ---- constraints -------------------------------------------------------------------------------


def has_floats(graph: Graph, node: Node) -> bool:
    """Input, weights, bias and output must be float32."""
    tensors = (graph.tensors[index] for index in (*node.operands, *node.outputs))
    return all(tensor.dtype == "float32" for tensor in tensors)


def has_plain_windows(graph: Graph, node: Node) -> bool:
    """Windows must be 3x3 over all channels, a multiple of 16, without stride or dilation."""
    channels, attrs = graph.input(node).shape[3], node.attrs
    plain = attrs.stride == attrs.dilation == (1, 1) and channels and not channels % LANES
    return bool(plain and graph.input(node, 1).shape[1:] == (3, 3, channels))


# ---- lowering ----------------------------------------------------------------------------------


def lower(graph: Graph, node: Node) -> Lowered:
    """As many tiles together as the buffer may hold; where there is no room for it, one by one."""
    height, width = image_size(graph.output(node).shape)
    tiles = -(-height // TILE) * -(-width // TILE)
    most = max(MOST_BYTES // (ELEMENTS * (graph.input(node).shape[3] + LANES) * 4), 1)
    runs = -(-tiles // most)
    ample, tight = (_lowered(graph, node, run) for run in (-(-tiles // runs), 1))
    return replace(ample, frugal=tight) if tiles > 1 else ample


def _lowered(graph: Graph, node: Node, run: int) -> Lowered:
    x, weights, pad = graph.input(node), graph.input(node, 1).data, node.attrs.padding
    assert weights is not None
    filters, channels, width = len(weights), x.shape[3], image_size(graph.output(node).shape)[1]
    inputs = ELEMENTS * channels * 4
    sums = inputs * (1 + run)
    return F32.lowered(
        PIXEL,
        rows=Rows(),
        first=FirstRow(),
        width=width,
        filters=filters,
        tiles=-(-width // TILE),
        run=run,
        in_row=x.shape[2] * channels * 4,
        pixel=channels * 4,
        before=pad.left * channels * 4,
        fill=0,
        inputs=inputs,
        sums=sums,
        zero=Constant(np.zeros(1, np.int32)),
        weights=Constant(_packed(transformed(weights)), alignment=64),
        bias=Constant(_padded(bias_values(graph, node, filters)), alignment=64),
        bounds=Constant(float_bounds(node.attrs.activation)),
        buffer=Scratch(sums + ELEMENTS * run * LANES * 4, alignment=64),
        y=Cursor(node.outputs[0]),
        x=Cursor(x.index, -pad.top - ABOVE, 1, REACH),
    )


def _padded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Zeros added along the first axis, to whole blocks."""
    room = np.zeros((-(-len(values) // LANES) * LANES, *values.shape[1:]), np.float32)
    room[: len(values)] = values
    return room


def _packed(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """[filters, 6, 6, channels] to [blocks, 36, channels, 16]."""
    blocks = _padded(weights).reshape(-1, LANES, ELEMENTS, weights.shape[3])
    return np.ascontiguousarray(blocks.transpose(0, 2, 3, 1))


OPERATION = Operation(
    reference,
    lower,
    (F32,),
    (
        has_floats,
        has_constant_weights,
        has_bias_per_channel,
        has_known_activation,
        has_plain_windows,
    ),
)
