"""Readers of the ONNX operators that pick, place and repeat numbers of tensors of any rank."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..attributes import Arithmetic, NoAttrs, Shape
from ..general import Axis, Broadcast, Cast, Extreme, Function, Repeats, Scatter
from ..graph import DTYPES
from .onnx_building import Value, refuse_large
from .onnx_reading import Made, NodeReading
from .tflite_reading import Unsupported


def _counted(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of a tensor with {rank}")
    return axis % rank


def gather(node: NodeReading) -> Made:
    x, indices = (node.build.plain(name) for name in node.inputs[:2])
    axis = _counted(node.attribute("axis", 0), len(node.build.tensors[x].shape))
    return [Value(_picked(node, x, indices, axis))]


def _picked(node: NodeReading, x: int, indices: int, axis: int) -> int:
    quantization = node.build.tensors[x].quantization
    return node.emit("gather", [x, indices], Axis(axis), quantization=quantization)[0]


def picked(node: NodeReading, x: int, places: Sequence[int] | np.ndarray, axis: int) -> int:
    """Slices of a tensor at places known now; itself where they are all, in order."""
    if list(places) == list(range(node.build.tensors[x].shape[axis])):
        return x
    return _picked(node, x, node.build.constant(np.asarray(places, np.int64)), axis)


def gather_elements(node: NodeReading) -> Made:
    x, indices = (node.build.plain(name) for name in node.inputs[:2])
    axis = _counted(node.attribute("axis", 0), len(node.build.tensors[x].shape))
    return [Value(node.emit("gather_elements", [x, indices], Axis(axis))[0])]


def gather_nd(node: NodeReading) -> Made:
    operands = [node.build.plain(name) for name in node.inputs[:2]]
    attrs = Axis(batch_dims=node.attribute("batch_dims", 0))
    return [Value(node.emit("gather_nd", operands, attrs)[0])]


def scatter(op: str) -> Callable[[NodeReading], Made]:
    def read(node: NodeReading) -> Made:
        operands = [node.build.plain(name) for name in node.inputs[:3]]
        axis = _counted(node.attribute("axis", 0), len(node.build.tensors[operands[0]].shape))
        attrs = Scatter(axis, node.attribute("reduction", "none"))
        return [Value(node.emit(op, operands, attrs)[0])]

    return read


def tensor_scatter(node: NodeReading) -> Made:
    """New rows of each sequence put into its cache, from an index on; round its end if asked."""
    build = node.build
    x, update = (build.plain(name) for name in node.inputs[:2])
    shape, part = build.tensors[x].shape, build.tensors[update].shape
    axis = _counted(node.attribute("axis", -2), len(shape))
    along = tuple(-1 if i == axis else 1 for i in range(len(shape)))
    places = build.constant(np.arange(part[axis]).reshape(along))
    if node.has(2):
        first = _whole(node, build.plain(node.inputs[2]))
        first = build.reshaped(first, (shape[0], *(1 for _ in shape[1:])))
        places = node.emit("add", [first, places], Arithmetic())[0]
    if node.attribute("mode", "linear") == "circular":
        size = build.constant(np.array(shape[axis]))
        places = node.emit("floor_modulo", [places, size], Function())[0]
    places = node.emit("broadcast_to", [places], Broadcast(part))[0]
    return [Value(node.emit("scatter_elements", [x, places, update], Scatter(axis))[0])]


def tile(node: NodeReading) -> Made:
    counts = tuple(int(n) for n in node.constant(1, "repeats"))
    x = node.build.plain(node.inputs[0])
    return [Value(node.emit("repeat", [x], Repeats(counts))[0])]


def expand(node: NodeReading) -> Made:
    wanted = tuple(int(n) for n in node.constant(1, "shape"))
    x = node.build.plain(node.inputs[0])
    shape = np.broadcast_shapes(node.build.tensors[x].shape, wanted)
    return [Value(node.emit("broadcast_to", [x], Broadcast(shape))[0])]


def rearranged(node: NodeReading, x: int, split: Shape, order: Shape, shape: Shape) -> int:
    """Axes split, put into another order, and merged."""
    moved = node.build.transposed(node.build.reshaped(x, split), order)
    return node.build.reshaped(moved, shape)


def depth_to_space(node: NodeReading) -> Made:
    x, size = node.build.plain(node.inputs[0]), node.attribute("blocksize")
    batch, channels, height, width = node.build.tensors[x].shape
    rest = channels // size**2
    shape = (batch, rest, height * size, width * size)
    if node.attribute("mode", "DCR") == "CRD":
        split = (batch, rest, size, size, height, width)
        return [Value(rearranged(node, x, split, (0, 1, 4, 2, 5, 3), shape))]
    split = (batch, size, size, rest, height, width)
    return [Value(rearranged(node, x, split, (0, 3, 4, 1, 5, 2), shape))]


def space_to_depth(node: NodeReading) -> Made:
    x, size = node.build.plain(node.inputs[0]), node.attribute("blocksize")
    batch, channels, height, width = node.build.tensors[x].shape
    split = (batch, channels, height // size, size, width // size, size)
    shape = (batch, channels * size**2, height // size, width // size)
    return [Value(rearranged(node, x, split, (0, 3, 5, 1, 2, 4), shape))]


def trilu(node: NodeReading) -> Made:
    """A triangle of each matrix; the rest is zero."""
    x = node.build.plain(node.inputs[0])
    tensor = node.build.tensors[x]
    found = node.optional_constant(1, "diagonal")
    diagonal = 0 if found is None else int(found.reshape(-1)[0])
    keep = np.triu if node.attribute("upper", 1) else np.tril
    mask = node.build.constant(keep(np.ones(tensor.shape[-2:], bool), diagonal))
    zero = node.build.constant(np.zeros((), DTYPES[tensor.dtype]))
    return [Value(node.emit("select", [mask, x, zero], NoAttrs(), dtype=tensor.dtype)[0])]


def compress(node: NodeReading) -> Made:
    kept = np.flatnonzero(node.constant(1, "condition"))
    x, axis = node.build.plain(node.inputs[0]), node.attribute("axis")
    shape = node.build.tensors[x].shape
    if axis is None:
        x, axis = node.build.reshaped(x, (math.prod(shape),)), 0
    return [Value(picked(node, x, kept, axis % max(len(shape), 1)))]


def one_hot(node: NodeReading) -> Made:
    depth = int(node.constant(1, "depth").reshape(-1)[0])
    refuse_large((*node.shape(), depth))
    indices = _whole(node, node.build.plain(node.inputs[0]))
    rank = len(node.build.tensors[indices].shape) + 1
    axis = node.attribute("axis", -1) % rank
    number = node.build.constant(np.array(depth))
    added = node.emit("add", [indices, number], Arithmetic())[0]
    negative = _less_than_zero(node, indices)
    counted = node.emit("select", [negative, added, indices], NoAttrs(), dtype="int64")[0]
    shape = list(node.build.tensors[counted].shape)
    shape.insert(axis, 1)
    places = np.arange(depth).reshape([-1 if i == axis else 1 for i in range(rank)])
    hot = node.emit(
        "equal",
        [node.build.reshaped(counted, tuple(shape)), node.build.constant(places)],
        Function(),
        dtype="bool",
    )[0]
    off, on = (node.build.constant(v.reshape(())) for v in node.constant(2, "values"))
    kind = node.build.tensors[on].dtype
    return [Value(node.emit("select", [hot, on, off], NoAttrs(), dtype=kind)[0])]


def _whole(node: NodeReading, index: int) -> int:
    if node.build.tensors[index].dtype == "int64":
        return index
    return node.emit("cast", [index], Cast(), dtype="int64")[0]


def _less_than_zero(node: NodeReading, index: int) -> int:
    zero = node.build.constant(np.array(0))
    return node.emit("less", [index, zero], Function(), dtype="bool")[0]


def hardmax(node: NodeReading) -> Made:
    """One at the first of the greatest along an axis, else zero."""
    x = node.build.plain(node.inputs[0])
    tensor = node.build.tensors[x]
    axis = node.attribute("axis", 1 if node.opset < 13 else -1) % len(tensor.shape)
    if node.opset < 13 and axis != len(tensor.shape) - 1:
        raise Unsupported(f"it is over the axes from {axis} on", "export it with opset 13 or newer")
    place = node.emit("arg_max", [x], Extreme(axis, True), dtype="int64")[0]
    size = tensor.shape[axis]
    places = np.arange(size).reshape([-1 if i == axis else 1 for i in range(len(tensor.shape))])
    hot = node.emit("equal", [place, node.build.constant(places)], Function(), dtype="bool")[0]
    return [Value(node.emit("cast", [hot], Cast(), dtype=tensor.dtype)[0])]


def eye_like(node: NodeReading) -> Made:
    import onnx

    shape, code = node.shape(0), node.attribute("dtype")
    kind = DTYPES[node.build.tensors[node.build.value(node.inputs[0]).index].dtype]
    if code is not None:
        kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code))
    return [
        Value(
            node.build.constant(np.eye(shape[0], shape[1], int(node.attribute("k", 0)), dtype=kind))
        )
    ]


def reverse_sequence(node: NodeReading) -> Made:
    """The first of each sequence's numbers in the opposite order."""
    lengths = node.constant(1, "lengths")
    x = node.build.plain(node.inputs[0])
    shape = node.build.tensors[x].shape
    time, batch = node.attribute("time_axis", 0), node.attribute("batch_axis", 1)
    places = np.indices(shape)
    reach = np.take(lengths, places[batch])
    turned = np.where(places[time] < reach, reach - 1 - places[time], places[time])
    indices = node.build.constant(turned.astype(np.int64))
    return [Value(node.emit("gather_elements", [x, indices], Axis(time))[0])]


def constant_of_shape(node: NodeReading) -> Made:
    import onnx

    value = node.attribute("value")
    filled = np.zeros(1, np.float32) if value is None else onnx.numpy_helper.to_array(value)
    shape = [int(n) for n in node.constant(0, "shape")]
    return [Value(node.build.constant(np.full(shape, filled[0], filled.dtype)))]


def range_(node: NodeReading) -> Made:
    start, limit, step = (node.constant(i, "bounds").reshape(()) for i in range(3))
    count = max(math.ceil((limit - start) / step), 0)
    steps = [start.dtype.type(start + i * step) for i in range(count)]
    return [Value(node.build.constant(np.array(steps, start.dtype)))]


def size_of(node: NodeReading) -> Made:
    return [Value(node.build.constant(np.array(math.prod(node.shape(0)))))]


READERS: Mapping[str, Callable[[NodeReading], Made]] = {
    "Compress": compress,
    "ConstantOfShape": constant_of_shape,
    "DepthToSpace": depth_to_space,
    "Expand": expand,
    "EyeLike": eye_like,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "Hardmax": hardmax,
    "OneHot": one_hot,
    "Range": range_,
    "ReverseSequence": reverse_sequence,
    "Scatter": scatter("scatter_elements"),
    "ScatterElements": scatter("scatter_elements"),
    "ScatterND": scatter("scatter_nd"),
    "Size": size_of,
    "SpaceToDepth": space_to_depth,
    "TensorScatter": tensor_scatter,
    "Tile": tile,
    "Trilu": trilu,
}
