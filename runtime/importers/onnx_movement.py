"""Readers of the ONNX operators that move numbers or shape them anew, images in NHWC."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..attributes import Concatenation, Pad, Shape, Split, StridedSlice
from ..graph import DTYPES
from .onnx_building import FLAT, IMAGE, PLAIN, TO_NHWC, Value
from .onnx_placing import picked
from .onnx_reading import Made, NodeReading, aligned, axes_of, in_own_type
from .tflite_reading import Unsupported


def identity(node: NodeReading) -> Made:
    return [node.build.value(node.inputs[0])]


def dropout(node: NodeReading) -> Made:
    if node.has(2) and bool(node.constant(2, "training mode")):
        raise Unsupported("it is in training mode", "export the model for inference")
    kept = identity(node)
    if len(node.outputs) < 2 or not node.outputs[1]:
        return kept
    kind = np.dtype(bool) if node.opset >= 10 else DTYPES[node.build.tensors[kept[0].index].dtype]
    return [*kept, Value(node.build.constant(np.ones(node.shape(0), kind)))]


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
    begin, stride, size = [0] * len(shape), [1] * len(shape), shape[:]
    for axis, first, end, step in _bounds(node, len(shape)):
        first, end, step = slice(first, end, step).indices(shape[axis])
        begin[axis], stride[axis], size[axis] = first, step, len(range(first, end, step))
    value = in_own_type(node)
    if value.layout == FLAT:
        value = Value(node.build.plain(node.inputs[0]))
    triple = (begin, stride, size)
    if value.layout == IMAGE:
        triple = tuple([part[i] for i in TO_NHWC] for part in triple)  # type: ignore[assignment]
    attrs = StridedSlice(*(tuple(part) for part in triple))
    return [Value(node.emit("strided_slice", [value.index], attrs)[0], value.layout)]


def _bounds(node: NodeReading, rank: int) -> Iterator[tuple[int, int, int, int]]:
    """(axis, first, end, step); attributes before opset 10."""
    if node.opset < 10:
        starts, ends = node.attribute("starts"), node.attribute("ends")
        axes, steps = node.attribute("axes"), None
    else:
        starts, ends = (node.constant(i, "bounds") for i in (1, 2))
        axes, steps = (node.optional_constant(i, n) for i, n in ((3, "axes"), (4, "steps")))
    places = range(len(starts)) if axes is None else axes
    strides = [1] * len(starts) if steps is None else steps
    for axis, first, end, step in zip(places, starts, ends, strides, strict=True):
        if not -rank <= axis < rank or step == 0:
            raise ValueError(f"axis {axis} of {rank} in steps of {step}")
        least = -(2**62)  # an end before the first number, where steps go backwards
        yield int(axis) % rank, int(first), max(int(end), least), int(step)


def pad(node: NodeReading) -> Made:
    """Constants round a tensor, or its own numbers again; negative padding cuts off."""
    rank = len(node.shape(0))
    before, after = _amounts(node, rank)
    mode = node.attribute("mode", "constant")
    if mode != "constant" or min(before + after, default=0) < 0:
        return [Value(_padded_by_choice(node, before, after, mode))]
    value = in_own_type(node)
    if value.layout == FLAT:
        value = Value(node.build.plain(node.inputs[0]))
    if value.layout == IMAGE:
        before, after = ([part[i] for i in TO_NHWC] for part in (before, after))
    attrs = Pad(tuple(before), tuple(after), _fill(node))
    return [Value(node.emit("pad", [value.index], attrs)[0], value.layout)]


def _amounts(node: NodeReading, rank: int) -> tuple[list[int], list[int]]:
    """Padding before and after every axis; attributes before opset 11."""
    given = node.attribute("pads") if node.opset < 11 else list(node.constant(1, "pads"))
    amounts = [int(p) for p in given]
    axes = node.optional_constant(3, "axes")
    before, after = [0] * rank, [0] * rank
    places = range(rank) if axes is None else [int(a) % rank for a in axes]
    for i, axis in enumerate(places):
        before[axis], after[axis] = amounts[i], amounts[i + len(amounts) // 2]
    return before, after


def _fill(node: NodeReading) -> float:
    if node.opset < 11:
        return float(node.attribute("value", 0.0))
    fill = node.optional_constant(2, "value")
    return 0.0 if fill is None or fill.size == 0 else float(fill.reshape(-1)[0])


def _padded_by_choice(node: NodeReading, before: list[int], after: list[int], mode: str) -> int:
    """Every axis as a choice of what is there."""
    x = node.build.plain(node.inputs[0])
    how = {"reflect": "reflect", "edge": "edge", "wrap": "wrap", "constant": "edge"}[mode]
    for axis, (first, last) in enumerate(zip(before, after, strict=True)):
        size = node.build.tensors[x].shape[axis]
        places = np.pad(np.arange(size), (max(first, 0), max(last, 0)), how)  # type: ignore[call-overload]
        places = places[max(-first, 0) : len(places) - max(-last, 0)]
        x = picked(node, x, places, axis)
    if mode == "constant" and max(before + after) > 0:
        raise Unsupported("it pads and cuts off at once", "use Slice")
    return x
