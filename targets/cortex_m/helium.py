"""Kernels for Helium, Armv8.1-M's vectors: which nodes they take, and their constants.

`VMLADAV` adds up 16 products of bytes; a step is one of it. Weights stand in the order in which the
loops of csrc/midge_helium.c read them, each block of channels behind its biases, multipliers and
shifts. The input's zero point is folded into the biases, so padding is the zero point itself.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...kernels import add
from ...kernels.convolution import Requantization, requantization
from ...kernels.operation import Layout, layout
from ...runtime.graph import Graph, Node
from ...runtime.lowering import PIXEL, ROW, TENSOR, Constant, Lowered, Scratch
from ...runtime.shapes import image_size
from .paired import lot

# Fields as in kernels/. slots: `pixels` windows of `steps` steps.
CONV2D = layout(
    "conv2d_helium_s8",
    "rows width filters in_width in_channels kernel_height kernel_width stride_height stride_width "
    "dilation_height dilation_width pad_left weights y x input_zero output_zero least greatest "
    "steps pixels slots",
)
# columns: of the input, as many as `pixels` outputs of a row see, transposed.
DEPTHWISE_CONV2D = layout(
    "depthwise_conv2d_helium_s8",
    "rows width channels in_width kernel_height stride_height stride_width pad_left weights y x "
    "input_zero output_zero least greatest pixels columns",
)
# columns: likewise, of `pixels` output rows.
DEPTHWISE_COLUMN = layout(
    "depthwise_column_helium_s8",
    "rows channels kernel_height weights y x input_zero output_zero least greatest pixels columns",
)
# padded: x with zeros behind it, where its depth is not a whole number of steps.
FULLY_CONNECTED = layout(
    "fully_connected_helium_s8",
    "batches units depth weights x y output_zero least greatest steps padded",
)
ADD = Layout("add_helium_s8", add.ADD_S8.same.fields)
LAYOUTS = (CONV2D, DEPTHWISE_CONV2D, DEPTHWISE_COLUMN, FULLY_CONNECTED, ADD)

STEP = 16  # products
BLOCK = 4  # channels of a convolution's blocks
UNITS = 8  # channels of a fully connected layer's
MOST_BYTES = 2048  # that pixels may take which are made together, if two of them don't need more
MOST_PIXELS = 32
PIXELS = 8  # that a call should make at least, if that is several rows
GROUP = 16  # channels that are transposed together
COLUMN_BYTES = 4 * GROUP
LEAST_SHIFT = -31


def lower_conv2d(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The call for a `conv2d_s8`, or None: groups, weights with a zero point, scales above 1."""
    weights = graph.input(node, 1)
    assert weights.data is not None
    filters, depth = weights.shape[0], weights.shape[3]
    rule = requantization(graph, node, filters)
    if depth != graph.input(node).shape[3] or not _fits(rule, weights.zero_point):
        return None
    steps = -(-math.prod(weights.shape[1:]) // STEP)
    pixels = _together(
        math.prod(graph.output(node).shape[:3]), min(MOST_BYTES // (STEP * steps), MOST_PIXELS)
    )
    flat = weights.data.reshape(filters, -1)
    fields = {name: plain.fields[name] for name in CONV2D.fields if name in plain.fields}
    call = CONV2D.lowered(
        PIXEL,
        **fields
        | {
            "weights": Constant(_steps(rule, flat, graph.input(node).zero_point, BLOCK)),
            "steps": steps,
            "pixels": pixels,
            # A copy of 16 bytes may go on behind the last window.
            "slots": Scratch(pixels * STEP * steps + STEP),
        },
    )
    return replace(call, lot=lot(graph, node, PIXELS))


def lower_depthwise_conv2d(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The call for a `depthwise_conv2d_s8`, or None: as for conv2d, and other windows."""
    weights, attrs = graph.input(node, 1), node.attrs
    assert weights.data is not None
    _, height, width, channels = weights.shape
    rule = requantization(graph, node, channels)
    if channels != graph.input(node).shape[3] or not _fits(rule, weights.zero_point):
        return None
    shaped = height <= 4 and width == 3 and attrs.dilation == (1, 1) and attrs.stride[1] <= 2
    if not shaped:
        return _lower_column(graph, node, plain)
    room = (MOST_BYTES // COLUMN_BYTES - 2) // attrs.stride[1]
    pixels = _together(image_size(graph.output(node).shape)[1], room)
    columns = pixels * attrs.stride[1] + 2
    x_zero = graph.input(node).zero_point
    fields = {name: plain.fields[name] for name in DEPTHWISE_CONV2D.fields if name in plain.fields}
    return DEPTHWISE_CONV2D.lowered(
        ROW,
        **fields
        | {
            "weights": Constant(_windows(rule, weights.data[0], x_zero)),
            "pixels": pixels,
            "columns": Scratch(columns * COLUMN_BYTES),
        },
    )


def _lower_column(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The call for a depthwise convolution along the rows of images one pixel wide, or None."""
    weights, attrs, y = graph.input(node, 1), node.attrs, graph.output(node)
    assert weights.data is not None
    _, height, width, channels = weights.shape
    one_pixel = width == 1 and graph.input(node).shape[2] == 1 and image_size(y.shape)[1] == 1
    if not one_pixel or height > STEP or attrs.dilation[0] != 1 or attrs.stride[0] != 1:
        return None
    pixels = _together(image_size(y.shape)[0], MOST_PIXELS)
    rule, x_zero = requantization(graph, node, channels), graph.input(node).zero_point
    fields = {name: plain.fields[name] for name in DEPTHWISE_COLUMN.fields if name in plain.fields}
    call = DEPTHWISE_COLUMN.lowered(
        TENSOR,
        **fields
        | {
            "weights": Constant(_rows(rule, weights.data[0, :, 0], x_zero)),
            "pixels": pixels,
            # The last pixel's vector begins 12 columns before the end.
            "columns": Scratch((pixels + STEP - 4) * COLUMN_BYTES),
        },
    )
    return replace(call, lot=PIXELS)


def lower_fully_connected(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The call for a `fully_connected_s8`, or None: as for conv2d."""
    weights = graph.input(node, 1)
    assert weights.data is not None
    units, depth = weights.shape
    rule = requantization(graph, node, units)
    if not _fits(rule, weights.zero_point):
        return None
    steps = -(-depth // STEP)
    fields = {name: plain.fields[name] for name in FULLY_CONNECTED.fields if name in plain.fields}
    return FULLY_CONNECTED.lowered(
        TENSOR,
        **fields
        | {
            "weights": Constant(_steps(rule, weights.data, graph.input(node).zero_point, UNITS)),
            "steps": steps,
            "padded": Scratch(STEP * steps) if depth % STEP else 0,
        },
    )


def lower_add(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The call for an `add_s8`, or None: scales above 1."""
    shifts = [plain.fields[f"{operand}_shift"] for operand in "aby"]
    if not all(isinstance(shift, int) and LEAST_SHIFT <= shift <= 0 for shift in shifts):
        return None
    return replace(plain, kernel=ADD.kernel)


def _fits(rule: Requantization, weights_zero: int) -> bool:
    """Sums are shifted to the right alone, after the multiplication."""
    return not weights_zero and LEAST_SHIFT <= rule.shift.min() and rule.shift.max() <= 0


def _together(pixels: int, most: int) -> int:
    """An even number not above `most`, but at least 2, that divides `pixels` about evenly."""
    most = max(most // 2 * 2, 2)
    return -(-pixels // -(-pixels // most) // 2) * 2


def head(rule: Requantization, flat: NDArray[np.int8], x_zero: int, block: int) -> NDArray[np.int8]:
    """[blocks, 3 * block * 4] bytes: biases, multipliers and shifts of each block's channels."""
    bias = rule.bias.astype(np.int64) - x_zero * flat.astype(np.int64).sum(axis=1)
    rows = np.zeros((3, -(-len(flat) // block) * block), np.int64)
    for row, values in zip(rows, (bias, rule.multiplier, rule.shift), strict=True):
        row[: len(flat)] = values
    words = (rows & 0xFFFFFFFF).astype("<u4").reshape(3, -1, block).transpose(1, 0, 2)
    return np.ascontiguousarray(words).view(np.int8).reshape(len(words), -1)


def _steps(
    rule: Requantization, flat: NDArray[np.int8], x_zero: int, block: int
) -> NDArray[np.int8]:
    """Blocks of `block` channels of [channels, products]: head, then [steps, block, 16]."""
    channels, products = flat.shape
    steps, blocks = -(-products // STEP), -(-channels // block)
    room = np.zeros((blocks * block, steps * STEP), np.int8)
    room[:channels, :products] = flat
    ordered = room.reshape(blocks, block, steps, STEP).transpose(0, 2, 1, 3).reshape(blocks, -1)
    return np.concatenate([head(rule, flat, x_zero, block), ordered], axis=1)


def _windows(rule: Requantization, weights: NDArray[np.int8], x_zero: int) -> NDArray[np.int8]:
    """Blocks of four channels of [height, 3, channels]: head, four times [4 zeros, 3 columns of 4
    rows], 16 zeros."""
    height, width, channels = weights.shape
    blocks = -(-channels // BLOCK)
    room = np.zeros((blocks * BLOCK, 1 + width, 4), np.int8)
    room[:channels, 1:, :height] = weights.transpose(2, 1, 0)
    flat = weights.reshape(-1, channels).T
    tail = np.zeros((blocks, STEP), np.int8)
    return np.concatenate([head(rule, flat, x_zero, BLOCK), room.reshape(blocks, -1), tail], axis=1)


def _rows(rule: Requantization, weights: NDArray[np.int8], x_zero: int) -> NDArray[np.int8]:
    """Blocks of four channels of [height, channels]: head, four times [16 rows]."""
    height, channels = weights.shape
    blocks = -(-channels // BLOCK)
    room = np.zeros((blocks * BLOCK, STEP), np.int8)
    room[:channels, :height] = weights.T
    return np.concatenate([head(rule, weights.T, x_zero, BLOCK), room.reshape(blocks, -1)], axis=1)
