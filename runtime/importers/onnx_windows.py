"""Pools of ONNX, and windows over images of two axes or one as TFLite's kernels take them.

Rules are those of https://onnx.ai/onnx/operators/ for opset 7 and newer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..attributes import Mean, Pad, Padding, Pair, Pool2D
from ..general import Axis, Extreme, Function, Reduce, Scatter
from ..graph import DTYPES
from .onnx_building import IMAGE, TO_NHWC, Value
from .onnx_general import pair
from .onnx_reading import REFIT, Made, NodeReading, OnnxReader
from .onnx_taps import OUTSIDE, Geometry, geometry, spans, table, taken
from .tflite_reading import Unsupported

MAX_POOLED = ("int8", "int16", "float32")  # types that the kernel takes


@dataclass(frozen=True)
class Window:
    """A window over two axes."""

    size: Pair
    stride: Pair
    dilation: Pair
    padding: Padding


def window_of(stated: Geometry) -> Window:
    """Over two axes; over one, the first is of size 1."""
    missing = 2 - len(stated.size)
    ones, zeros = (1,) * missing, (0,) * missing
    end = tuple(map(sum, zip(stated.end, stated.added, strict=True)))
    size, step, apart = ((*ones, *v) for v in (stated.size, stated.stride, stated.dilation))
    (top, left), (bottom, right) = (*zeros, *stated.begin), (*zeros, *end)
    return Window(_two(size), _two(step), _two(apart), Padding(top, bottom, left, right))


def _two(values: tuple[int, ...]) -> Pair:
    return values[0], values[1]


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


def own_type(node: NodeReading) -> str:
    """The type of the first operand as ONNX has it."""
    value = node.build.value(node.inputs[0])
    return "uint8" if value.shifted else node.build.tensors[value.index].dtype


# ---- pools -------------------------------------------------------------------------------------


def _stated(node: NodeReading) -> Geometry:
    return geometry(node, [int(k) for k in node.attribute("kernel_shape", [])])


def _of_images(stated: Geometry) -> bool:
    """Whether it is a window as kernels have it: of images, without holes."""
    return len(stated.size) < 3 and set(stated.dilation) == {1}


def max_pool(node: NodeReading) -> Made:
    """The greatest of each window, and its place in the whole tensor where that is asked for."""
    stated = _stated(node)
    indices = len(node.outputs) > 1 and bool(node.outputs[1])
    if _of_images(stated) and not indices and own_type(node) in MAX_POOLED:
        return [_pooled(node, "max_pool2d", stated)]
    image = node.shape(0)[2:]
    places = table(image, spans(image, stated))
    if (places == OUTSIDE).all(axis=1).any():
        raise Unsupported("a window lies in its padding alone", REFIT)
    # Instead of numbers outside, the window's first one again: it changes neither answer.
    first = np.take_along_axis(places, (places != OUTSIDE).argmax(axis=1)[:, None], 1)
    places = np.where(places == OUTSIDE, first, places)
    x = node.build.plain(node.inputs[0])
    seen = taken(node, x, places)
    batch, channels = node.shape(0)[:2]
    shape = (batch, channels, *stated.windows(image))
    greatest = node.build.reshaped(node.emit("reduce_max", [seen], Reduce((3,)))[0], shape)
    if not indices:
        return [Value(greatest)]
    found = _flat_places(node, seen, places, image)
    return [Value(greatest), Value(node.build.reshaped(found, shape))]


def _flat_places(node: NodeReading, seen: int, places: np.ndarray, image: tuple[int, ...]) -> int:
    """Where in the whole tensor the first of the greatest of each window stands."""
    build, (windows, numbers) = node.build, places.shape
    batch, channels = node.shape(0)[:2]
    if node.attribute("storage_order", 0):  # the first axis runs fastest
        places = np.ravel_multi_index(np.unravel_index(places, image)[::-1], image[::-1])
    which = node.emit("arg_max", [seen], Extreme(3), dtype="int64")[0]
    rows = build.constant(np.arange(windows, dtype=np.int64) * numbers)
    flat = build.constant(places.reshape(-1).astype(np.int64))
    within = node.emit("gather", [flat, pair(node, "add", which, rows)], Axis(0))[0]
    images = np.arange(batch * channels, dtype=np.int64) * math.prod(image)
    return pair(node, "add", within, build.constant(images.reshape(batch, channels, 1)))


def average_pool(node: NodeReading) -> Made:
    """The mean of each window, of its padding too with `count_include_pad`."""
    stated = _stated(node)
    counted = bool(node.attribute("count_include_pad", 0)) and any((*stated.begin, *stated.end))
    if _of_images(stated) and own_type(node) == "float32" and not (counted and any(stated.added)):
        return [_pooled(node, "average_pool2d", stated, counted)]
    image = node.shape(0)[2:]
    along = spans(image, stated)
    places = table(image, along)
    end = [n + behind for n, behind in zip(image, stated.end, strict=True)]
    padded = table(end, [np.maximum(part, 0) for part in along])  # what lies before counts
    counts = ((padded if counted else places) != OUTSIDE).sum(axis=1)
    total = _total(node, taken(node, node.build.plain(node.inputs[0]), places))
    kind = DTYPES[node.build.tensors[total].dtype]
    mean = pair(node, "divide", total, node.build.constant(counts.astype(kind)))
    return [Value(node.build.reshaped(mean, (*node.shape(0)[:2], *stated.windows(image))))]


def _total(node: NodeReading, seen: int) -> int:
    return node.emit("sum", [seen], Reduce((3,)))[0]


def _pooled(node: NodeReading, op: str, stated: Geometry, counted: bool = False) -> Value:
    """By the kernel of images; padding that is counted is zeros of the image."""
    window, x = window_of(stated), image_of(node)
    padding = window.padding
    if counted:
        before, after = (0, padding.top, padding.left, 0), (0, padding.bottom, padding.right, 0)
        x, padding = node.emit("pad", [x], Pad(before, after, 0.0))[0], Padding()
    attrs = Pool2D(window.size, window.stride, padding)
    return as_given(node, node.emit(op, [x], attrs)[0])


def lp_pool(node: NodeReading) -> Made:
    """The pth root of the sum of the pth powers in each window."""
    power, stated, image = float(node.attribute("p", 2)), _stated(node), node.shape(0)[2:]
    x = node.build.plain(node.inputs[0])
    kind = DTYPES[node.build.tensors[x].dtype]
    exponent, root = (node.build.constant(np.asarray(p, kind)) for p in (power, 1 / power))
    powered = pair(node, "power", node.emit("abs", [x], Function())[0], exponent)
    total = _total(node, taken(node, powered, table(image, spans(image, stated))))
    made = pair(node, "power", total, root)
    return [Value(node.build.reshaped(made, (*node.shape(0)[:2], *stated.windows(image))))]


def global_average_pool(node: NodeReading) -> Made:
    if len(node.shape(0)) != 4:
        x = node.build.plain(node.inputs[0])
        axes = tuple(range(2, len(node.shape(0))))
        return [Value(node.emit("mean", [x], Mean(axes, True))[0])]
    x = node.build.image(node.inputs[0])
    return [Value(node.emit("mean", [x], Mean((1, 2), True))[0], IMAGE)]


def global_max_pool(node: NodeReading) -> Made:
    if len(node.shape(0)) not in (3, 4):
        x = node.build.plain(node.inputs[0])
        axes = tuple(range(2, len(node.shape(0))))
        return [Value(node.emit("reduce_max", [x], Reduce(axes, True))[0])]
    x = image_of(node)
    _, height, width, _ = node.build.tensors[x].shape
    return [as_given(node, node.emit("max_pool2d", [x], Pool2D((height, width), (1, 1)))[0])]


def max_unpool(node: NodeReading) -> Made:
    """Zeros with each number where its index says: in the image that the window was moved over,
    which a larger output has at its beginning."""
    build, shape = node.build, node.shape(0)
    stated = _stated(node)
    image = tuple(
        (n - 1) * s + k - b - e
        for n, s, k, b, e in zip(
            shape[2:], stated.stride, stated.size, stated.begin, stated.end, strict=True
        )
    )
    x, indices = (build.plain(name) for name in node.inputs[:2])
    count = math.prod((*shape[:2], *image))
    zeros = build.constant(np.zeros(count, DTYPES[build.tensors[x].dtype]))
    flat = [build.reshaped(index, (math.prod(shape),)) for index in (indices, x)]
    made = node.emit("scatter_elements", [zeros, *flat], Scatter(0))[0]
    made = build.reshaped(made, (*shape[:2], *image))
    wanted = node.optional_constant(2, "output shape")
    if wanted is None:
        return [Value(made)]
    after = tuple(int(w) - n for w, n in zip(wanted, (*shape[:2], *image), strict=True))
    if min(after) < 0:
        raise Unsupported(f"its output is smaller than {list(image)}", REFIT)
    return [Value(node.emit("pad", [made], Pad((0,) * len(shape), after, 0))[0])]


READERS: Mapping[str, OnnxReader] = {
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "LpPool": lp_pool,
    "MaxPool": max_pool,
    "MaxUnpool": max_unpool,
}
