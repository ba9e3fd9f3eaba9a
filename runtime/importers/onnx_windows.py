"""Windows of ONNX's convolutions and pools: strides, dilations, padding; images of two axes or one.

Rules are those of https://onnx.ai/onnx/operators/ for opset 7 and newer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..attributes import Mean, Pad, Padding, Pair, Pool2D
from ..general import Function
from ..graph import DTYPES
from .onnx_building import IMAGE, TO_NHWC, Value
from .onnx_general import as_type, pair, product
from .onnx_placing import picked
from .onnx_reading import REFIT, Made, NodeReading, OnnxReader
from .tflite_reading import Unsupported


@dataclass(frozen=True)
class Window:
    size: Pair
    stride: Pair
    dilation: Pair
    padding: Padding
    rounded_up: bool  # `ceil_mode` added some of the padding


def window_of(node: NodeReading, kernel: Sequence[int]) -> Window:
    """A window over two axes; over one, the first is of size 1."""
    rank = len(node.shape(0)) - 2
    if len(kernel) != rank or rank not in (1, 2):
        raise Unsupported(f"its window has {len(kernel)} axes", "export it for images of two axes")
    stride, dilation = (_each(node, name, rank) for name in ("strides", "dilations"))
    begin, end, up = _padding(node, kernel, stride, dilation)
    ones, zeros = [1] * (2 - rank), [0] * (2 - rank)
    size, step, apart = ((*ones, *v) for v in (kernel, stride, dilation))
    (top, left), (bottom, right) = (*zeros, *begin), (*zeros, *end)
    padding = Padding(top, bottom, left, right)
    return Window(_two(size), _two(step), _two(apart), padding, up)


def _two(values: Sequence[int]) -> Pair:
    return int(values[0]), int(values[1])


def _each(node: NodeReading, name: str, rank: int) -> list[int]:
    values = [int(v) for v in node.attribute(name) or [1] * rank]
    if len(values) != rank or min(values) < 1:
        raise Unsupported(f"its {name} are {values}, needed are {rank}", REFIT)
    return values


def _padding(
    node: NodeReading, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[list[int], list[int], bool]:
    """Padding before and after each axis, and whether `ceil_mode` added some of it."""
    size, rank = node.shape(0)[2:], len(kernel)
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    auto = node.attribute("auto_pad", "NOTSET")
    pads = [int(p) for p in node.attribute("pads") or [0] * 2 * rank]
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        totals = [
            max((-(-size[i] // stride[i]) - 1) * stride[i] + extent[i] - size[i], 0)
            for i in range(rank)
        ]
        small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
        pads = [*small, *large] if auto == "SAME_UPPER" else [*large, *small]
    elif auto == "VALID":
        pads = [0] * 2 * rank
    if len(pads) != 2 * rank or min(pads) < 0:
        raise Unsupported(f"its padding is {pads}", REFIT)
    begin, end, added = pads[:rank], pads[rank:], False
    for i in range(rank) if node.attribute("ceil_mode", 0) else ():
        space = size[i] + begin[i] + end[i] - extent[i]
        last = -(-space // stride[i])
        if last * stride[i] >= size[i] + begin[i]:
            last -= 1  # a window must begin inside the image or its first padding
        missing = last * stride[i] - space
        added |= missing > 0
        end[i] += max(missing, 0)
    return begin, end, added


# ---- images ------------------------------------------------------------------------------------


def image_of(node: NodeReading) -> int:
    """The first operand in NHWC; a sequence as an image of one row."""
    shape = node.shape(0)
    if len(shape) != 3:
        return node.build.image(node.inputs[0])
    image = node.build.reshaped(node.build.plain(node.inputs[0]), (*shape[:2], 1, shape[2]))
    return node.build.transposed(image, TO_NHWC)


def as_given(node: NodeReading, made: int) -> Value:
    """An image as one; of a sequence, the sequence."""
    if len(node.shape(0)) != 3:
        return Value(made, IMAGE)
    batch, _, length, channels = node.build.tensors[made].shape
    flat = node.build.reshaped(made, (batch, length, channels))
    return Value(node.build.transposed(flat, (0, 2, 1)))


def conv_integer(node: NodeReading) -> Made:
    """int32 sums of products of bytes less their zero points: windows as rows of a matrix.

    A sequence is an image of one row.
    """
    build, (filters, depth, *kernel) = node.build, node.shape(1)
    window = window_of(node, kernel)
    if node.attribute("group", 1) != 1:
        raise Unsupported("it has groups", REFIT)
    operands = []
    for place in (0, 1):
        operand = as_type(node, build.plain(node.inputs[place]), "int32")
        if node.has(place + 2):
            zero = as_type(node, build.plain(node.inputs[place + 2]), "int32")
            count = build.tensors[zero].elements
            each = (count, 1, *(1 for _ in kernel))
            zero = build.reshaped(zero, each if place and count > 1 else ())
            operand = pair(node, "sub", operand, zero)
        operands.append(operand)
    if len(kernel) == 1:
        batch, _, length = build.tensors[operands[0]].shape
        operands[0] = build.reshaped(operands[0], (batch, depth, 1, length))
    pad = window.padding
    x = node.emit(
        "pad", operands[:1], Pad((0, 0, pad.top, pad.left), (0, 0, pad.bottom, pad.right), 0)
    )[0]
    batch, _, height, width = build.tensors[x].shape
    places, size = _places((height, width), window)
    columns = picked(node, build.reshaped(x, (batch, depth, height * width)), places.reshape(-1), 2)
    split = build.reshaped(columns, (batch, depth, *places.shape))
    moved = build.transposed(split, (0, 2, 1, 3))
    rows = build.reshaped(moved, (batch, places.shape[0], depth * places.shape[1]))
    matrix = build.transposed(
        build.reshaped(operands[1], (filters, depth * places.shape[1])), (1, 0)
    )
    made = build.transposed(product(node, rows, matrix), (0, 2, 1))
    return [Value(build.reshaped(made, (batch, filters, *size[-len(kernel) :])))]


def _places(image: Pair, window: Window) -> tuple[np.ndarray, Pair]:
    """[windows, numbers of one]: where in the flat image each stands; and how many windows."""
    spans = [
        np.arange((n - (k - 1) * d - 1) // s + 1)[:, None] * s + np.arange(k) * d
        for n, k, s, d in zip(image, window.size, window.stride, window.dilation, strict=True)
    ]
    rows, columns = spans
    grid = rows[:, None, :, None] * image[1] + columns[None, :, None, :]
    size = (len(rows), len(columns))
    return grid.reshape(size[0] * size[1], -1), size


# ---- pools -------------------------------------------------------------------------------------


def pool(op: str) -> OnnxReader:
    def read(node: NodeReading) -> Made:
        window = window_of(node, [int(k) for k in node.attribute("kernel_shape", [])])
        if window.dilation != (1, 1) or len(node.outputs) > 1:
            raise Unsupported("it has dilations or indices", REFIT)
        x = image_of(node)
        padding = window.padding
        counted = op == "average_pool2d" and node.attribute("count_include_pad", 0)
        if counted and padding != Padding():
            if window.rounded_up:
                raise Unsupported("it counts its padding and rounds its size up", REFIT)
            x, padding = padded(node, x, padding), Padding()
        attrs = Pool2D(window.size, window.stride, padding)
        return [as_given(node, node.emit(op, [x], attrs)[0])]

    return read


def padded(node: NodeReading, x: int, padding: Padding) -> int:
    """The image with its padding as zeros."""
    attrs = Pad((0, padding.top, padding.left, 0), (0, padding.bottom, padding.right, 0), 0.0)
    return node.emit("pad", [x], attrs)[0]


def global_average_pool(node: NodeReading) -> Made:
    if len(node.shape(0)) != 4:
        x = node.build.plain(node.inputs[0])
        axes = tuple(range(2, len(node.shape(0))))
        return [Value(node.emit("mean", [x], Mean(axes, True))[0])]
    x = node.build.image(node.inputs[0])
    return [Value(node.emit("mean", [x], Mean((1, 2), True))[0], IMAGE)]


def global_max_pool(node: NodeReading) -> Made:
    x = image_of(node)
    _, height, width, _ = node.build.tensors[x].shape
    return [as_given(node, node.emit("max_pool2d", [x], Pool2D((height, width), (1, 1)))[0])]


def lp_pool(node: NodeReading) -> Made:
    """The pth root of the sum of the pth powers in each window."""
    power = float(node.attribute("p", 2))
    window = window_of(node, [int(k) for k in node.attribute("kernel_shape", [])])
    if window.dilation != (1, 1) or window.rounded_up:
        raise Unsupported("it has dilations or rounds its size up", REFIT)
    x = image_of(node)
    kind = DTYPES[node.build.tensors[x].dtype]

    def number(value: float) -> int:
        return node.build.constant(np.asarray(value, kind))

    size = node.emit("abs", [x], Function())[0]
    powered = pair(node, "power", size, number(power))
    full = padded(node, powered, window.padding) if window.padding != Padding() else powered
    mean = node.emit("average_pool2d", [full], Pool2D(window.size, window.stride))[0]
    total = pair(node, "mul", mean, number(window.size[0] * window.size[1]))
    return [as_given(node, pair(node, "power", total, number(1 / power)))]
