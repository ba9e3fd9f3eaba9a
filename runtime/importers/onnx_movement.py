"""Readers of the ONNX operators that move numbers or shape them anew, images in NHWC."""

from __future__ import annotations

import math

import numpy as np

from ..attributes import Concatenation, Pad, Resize, Shape, Split, StridedSlice
from .onnx_building import FLAT, IMAGE, PLAIN, TO_NHWC, Value
from .onnx_reading import REFIT, Made, NodeReading, aligned, axes_of, in_own_type
from .tflite_reading import Unsupported


def identity(node: NodeReading) -> Made:
    return [node.build.value(node.inputs[0])]


def dropout(node: NodeReading) -> Made:
    if node.has(2) and bool(node.constant(2, "training mode")):
        raise Unsupported("it is in training mode", "export the model for inference")
    return identity(node)


def reshape(node: NodeReading) -> Made:
    wanted = [int(n) for n in node.constant(1, "shape")]
    shape = node.shape(0)
    for i, size in enumerate(wanted):
        if size == 0 and not node.attribute("allowzero", 0):
            wanted[i] = shape[i]
    if -1 in wanted:
        rest = math.prod(n for n in wanted if n != -1)
        wanted[wanted.index(-1)] = math.prod(shape) // max(rest, 1)
    return [_reshaped(node, tuple(wanted))]


def flatten(node: NodeReading) -> Made:
    axis = node.attribute("axis", 1)
    shape = node.shape(0)
    axis += len(shape) if axis < 0 else 0
    return [_reshaped(node, (math.prod(shape[:axis]), math.prod(shape[axis:])))]


def squeeze(node: NodeReading) -> Made:
    shape = node.shape(0)
    axes = axes_of(node)
    gone = [i for i, n in enumerate(shape) if n == 1] if axes is None else axes
    gone = [a + len(shape) if a < 0 else a for a in gone]
    return [_reshaped(node, tuple(n for i, n in enumerate(shape) if i not in gone))]


def unsqueeze(node: NodeReading) -> Made:
    shape, axes = list(node.shape(0)), axes_of(node) or []
    rank = len(shape) + len(axes)
    for axis in sorted(a + rank if a < 0 else a for a in axes):
        shape.insert(axis, 1)
    return [_reshaped(node, tuple(shape))]


def _reshaped(node: NodeReading, shape: Shape) -> Value:
    """A new shape; an image that is made a row of numbers stays in NHWC order."""
    value = node.build.value(node.inputs[0])
    if value.layout == IMAGE:
        image = node.build.tensors[value.index].shape
        batch, height, width, channels = image
        if shape == (batch, height * width * channels):
            index = node.build.reshaped(value.index, shape)
            layout = PLAIN if height * width == 1 or channels == 1 else FLAT
            return Value(index, layout, image, value.shifted)
    shifted = value.shifted
    if shifted and value.layout == PLAIN:
        return Value(node.build.reshaped(value.index, shape), shifted=True)
    return Value(node.build.reshaped(node.build.plain(node.inputs[0]), shape))


def transpose(node: NodeReading) -> Made:
    rank = len(node.shape(0))
    order = tuple(int(i) for i in node.attribute("perm", list(range(rank))[::-1]))
    value = node.build.value(node.inputs[0])
    if value.layout == IMAGE and order == TO_NHWC and not value.shifted:
        return [Value(value.index)]
    return [Value(node.build.transposed(node.build.plain(node.inputs[0]), order))]


def concat(node: NodeReading) -> Made:
    layout, operands = aligned(node)
    rank = len(node.build.tensors[operands[0]].shape)
    axis = int(node.attribute("axis", 0))
    axis += rank if axis < 0 else 0
    if layout == IMAGE:
        axis = TO_NHWC.index(axis)
    return [Value(node.emit("concatenation", operands, Concatenation(axis))[0], layout)]


def split(node: NodeReading) -> Made:
    value = in_own_type(node)
    if value.layout == FLAT:
        value = Value(node.build.plain(node.inputs[0]))
    shape = node.build.tensors[value.index].shape
    axis = int(node.attribute("axis", 0))
    axis += len(shape) if axis < 0 else 0
    axis = TO_NHWC.index(axis) if value.layout == IMAGE else axis
    given = node.optional_constant(1, "sizes")
    sizes = node.attribute("split") if given is None else list(given)
    if sizes is None:
        count = len(node.outputs)
        part = -(-shape[axis] // count)
        sizes = [min(part, shape[axis] - part * i) for i in range(count)]
    parts = tuple(int(n) for n in sizes)
    made = node.emit("split", [value.index], Split(axis, parts), outputs=len(parts))
    return [Value(index, value.layout) for index in made]


def slice_(node: NodeReading) -> Made:
    shape = list(node.shape(0))
    starts, ends = ([int(v) for v in node.constant(i, "bounds")] for i in (1, 2))
    axes = node.optional_constant(3, "axes")
    steps = node.optional_constant(4, "steps")
    places = list(range(len(starts))) if axes is None else [int(a) for a in axes]
    strides = [1] * len(starts) if steps is None else [int(s) for s in steps]
    if min(strides, default=1) < 1:
        raise Unsupported("it steps backwards", REFIT)
    begin, stride, size = [0] * len(shape), [1] * len(shape), shape[:]
    for first, end, axis, step in zip(starts, ends, places, strides, strict=True):
        first, end, _ = slice(first, end, step).indices(shape[axis])
        begin[axis], stride[axis], size[axis] = first, step, max(-(-(end - first) // step), 0)
    value = in_own_type(node)
    if value.layout == FLAT:
        value = Value(node.build.plain(node.inputs[0]))
    triple = (begin, stride, size)
    if value.layout == IMAGE:
        triple = tuple([part[i] for i in TO_NHWC] for part in triple)  # type: ignore[assignment]
    attrs = StridedSlice(*(tuple(part) for part in triple))
    return [Value(node.emit("strided_slice", [value.index], attrs)[0], value.layout)]


def pad(node: NodeReading) -> Made:
    if node.attribute("mode", "constant") != "constant":
        raise Unsupported(f"its mode is {node.attribute('mode')}", "pad with a constant")
    rank = len(node.shape(0))
    amounts = [int(p) for p in node.constant(1, "pads")]
    axes = node.optional_constant(3, "axes")
    before, after = [0] * rank, [0] * rank
    places = range(rank) if axes is None else [int(a) % rank for a in axes]
    for i, axis in enumerate(places):
        before[axis], after[axis] = amounts[i], amounts[i + len(amounts) // 2]
    if min(before + after) < 0:
        raise Unsupported("it cuts off by negative padding", "use Slice")
    fill = node.optional_constant(2, "value")
    number = 0.0 if fill is None or fill.size == 0 else float(fill.reshape(-1)[0])
    value = in_own_type(node)
    if value.layout == FLAT:
        value = Value(node.build.plain(node.inputs[0]))
    if value.layout == IMAGE:
        before, after = ([part[i] for i in TO_NHWC] for part in (before, after))
    attrs = Pad(tuple(before), tuple(after), number)
    return [Value(node.emit("pad", [value.index], attrs)[0], value.layout)]


def resize(node: NodeReading) -> Made:
    x = node.build.image(node.inputs[0])
    size = node.shape(0)
    mode = node.attribute("mode", "nearest")
    how = node.attribute("coordinate_transformation_mode", "half_pixel")
    sizes = node.optional_constant(3, "sizes")
    if sizes is None:
        scales = node.constant(2, "scales")
        sizes = np.floor(np.array(size) * scales).astype(int)
    height, width = (int(n) for n in sizes[2:])
    if list(sizes[:2]) != list(size[:2]):
        raise Unsupported("it resizes batches or channels", REFIT)
    same = {
        "half_pixel": (False, True),
        "align_corners": (True, False),
        "asymmetric": (False, False),
    }
    if mode == "linear" and how in same:
        corners, half = same[how]
        attrs = Resize((height, width), corners, half)
        return [Value(node.emit("resize_bilinear", [x], attrs)[0], IMAGE)]
    down = node.attribute("nearest_mode", "round_prefer_floor") == "floor"
    whole = height % size[2] == 0 and width % size[3] == 0
    if mode == "nearest" and ((how == "asymmetric" and down) or whole):
        # Enlarged a whole number of times every rule picks the same pixel as rounding down does.
        attrs = Resize((height, width))
        return [Value(node.emit("resize_nearest", [x], attrs)[0], IMAGE)]
    raise Unsupported(f"its mode is {mode} with {how}", REFIT)
