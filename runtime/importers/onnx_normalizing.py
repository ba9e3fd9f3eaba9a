"""Readers of the ONNX operators that normalize, written in sums, products and roots."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..attributes import Mean, Pad
from ..general import Function, Reduce
from ..graph import DTYPES
from .onnx_building import Value
from .onnx_general import pair
from .onnx_placing import picked
from .onnx_reading import Made, NodeReading


def number(node: NodeReading, like: int, value: float) -> int:
    """A constant of a tensor's type."""
    return node.build.constant(np.asarray(value, DTYPES[node.build.tensors[like].dtype]))


def of_one(node: NodeReading, op: str, x: int) -> int:
    return node.emit(op, [x], Function())[0]


def instance_normalization(node: NodeReading) -> Made:
    """Each channel of each image less its mean, by its deviation, times scale plus bias."""
    x = node.build.plain(node.inputs[0])
    rank = len(node.build.tensors[x].shape)
    over = Mean(tuple(range(2, rank)), True)
    centred = pair(node, "sub", x, node.emit("mean", [x], over)[0])
    variance = node.emit("mean", [of_one(node, "square", centred)], over)[0]
    held = pair(node, "add", variance, number(node, x, node.attribute("epsilon", 1e-5)))
    y = pair(node, "divide", centred, of_one(node, "sqrt", held))
    for name, op in zip(node.inputs[1:3], ("mul", "add"), strict=True):
        channels = node.build.plain(name)
        shape = (1, -1, *[1] * (rank - 2))
        sizes = tuple(node.build.tensors[channels].elements if n == -1 else n for n in shape)
        y = pair(node, op, y, node.build.reshaped(channels, sizes))
    return [Value(y)]


def lp_normalization(node: NodeReading) -> Made:
    """x by the length of its vectors along an axis; vectors of length 0 stay as they are."""
    x = node.build.plain(node.inputs[0])
    axis = node.attribute("axis", -1) % len(node.build.tensors[x].shape)
    squared = node.attribute("p", 2) == 2
    total = node.emit(
        "sum", [of_one(node, "square" if squared else "abs", x)], Reduce((axis,), True)
    )[0]
    length = of_one(node, "sqrt", total) if squared else total
    none = node.emit("equal", [length, number(node, x, 0.0)], Function(), dtype="bool")[0]
    kind = node.build.tensors[x].dtype
    safe = node.emit("select", [none, number(node, x, 1.0), length], None, dtype=kind)[0]
    return [Value(pair(node, "divide", x, safe))]


def local_response(node: NodeReading) -> Made:
    """x by a power of the sum of squares of its neighbouring channels."""
    x = node.build.plain(node.inputs[0])
    shape, size = node.build.tensors[x].shape, node.attribute("size")
    low, rank = (size - 1) // 2, len(node.build.tensors[x].shape)
    before, after = (tuple(n if i == 1 else 0 for i in range(rank)) for n in (low, size - 1 - low))
    squares = node.emit("pad", [of_one(node, "square", x)], Pad(before, after, 0.0))[0]
    total: int | None = None
    for shift in range(size):
        part = picked(node, squares, range(shift, shift + shape[1]), 1)
        total = part if total is None else pair(node, "add", total, part)
    assert total is not None
    share = number(node, x, node.attribute("alpha", 1e-4) / size)
    base = pair(node, "add", pair(node, "mul", total, share),
                number(node, x, node.attribute("bias", 1.0)))  # fmt: skip
    powered = pair(node, "power", base, number(node, x, node.attribute("beta", 0.75)))
    return [Value(pair(node, "divide", x, powered))]


READERS: Mapping[str, Callable[[NodeReading], Made]] = {
    "InstanceNormalization": instance_normalization,
    "LRN": local_response,
    "LpNormalization": lp_normalization,
}
