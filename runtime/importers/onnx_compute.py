"""Readers of the ONNX operators that compute: activations, softmax, normalizations, means.

Rules are those of https://onnx.ai/onnx/operators/ for opset 7 and newer.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..attributes import Mean, NoAttrs, Relu, Shape, Softmax
from ..general import Function, Reduce
from ..graph import DTYPES
from .onnx_building import IMAGE, PLAIN, Value
from .onnx_general import pair, reduced_axes
from .onnx_reading import Made, NodeReading, OnnxReader, aligned, in_own_type
from .tflite_reading import Unsupported

# ---- elementwise ----


def arithmetic(op: str) -> OnnxReader:
    def read(node: NodeReading) -> Made:
        image, operands = aligned(node)
        return [Value(pair(node, op, *operands), image)]

    return read


def unary(op: str, attrs: Callable[[NodeReading], object] = lambda node: None) -> OnnxReader:
    def read(node: NodeReading) -> Made:
        value = in_own_type(node)
        made = node.emit(op, [value.index], attrs(node))[0]
        return [Value(made, value.layout, value.image)]

    return read


def shrink(node: NodeReading) -> Made:
    """Numbers nearer to zero than a limit are zero, others move towards it by a bias."""
    value, build = in_own_type(node), node.build
    x, kind = value.index, build.tensors[value.index].dtype
    limit, bias = (float(node.attribute(n, d)) for n, d in (("lambd", 0.5), ("bias", 0.0)))

    def number(of: float) -> int:
        return build.constant(np.asarray(of, DTYPES[kind]))

    below, above = pair(node, "less", x, number(-limit)), pair(node, "greater", x, number(limit))
    up, down = pair(node, "add", x, number(bias)), pair(node, "sub", x, number(bias))
    made = node.emit("select", [above, down, number(0)], NoAttrs(), dtype=kind)[0]
    made = node.emit("select", [below, up, made], NoAttrs(), dtype=kind)[0]
    return [Value(made, value.layout, value.image)]


def clip(node: NodeReading) -> Made:
    """A clamp; with computed bounds or on other numbers than floats, a maximum and a minimum."""
    bounds = [node.build.known(node.inputs[i]) if node.has(i) else None for i in (1, 2)]
    value = in_own_type(node)
    if node.opset < 11:
        bounds = [
            None if node.attribute(name) is None else np.array(node.attribute(name))
            for name in ("min", "max")
        ]
    computed = any(node.has(i) and bounds[i - 1] is None for i in (1, 2))
    if computed or node.build.tensors[value.index].dtype != "float32":
        made = value.index
        for place, op in ((1, "maximum"), (2, "minimum")):
            if node.has(place):
                made = pair(node, op, made, node.build.plain(node.inputs[place]))
        return [Value(made, value.layout, value.image)]
    low, high = (
        None if bound is None or math.isinf(float(bound)) else float(bound) for bound in bounds
    )
    if low is None and high is None:
        return [value]
    if low is not None and high is not None and low > high:
        low = high  # all numbers become the upper bound
    made = node.emit("relu", [value.index], Relu(low, high))[0]
    return [Value(made, value.layout, value.image)]


def softmax(node: NodeReading) -> Made:
    """Over one axis; before opset 13 over all axes from one on."""
    x = node.build.plain(node.inputs[0])
    shape = node.build.tensors[x].shape
    rank = len(shape)
    axis = node.attribute("axis", 1 if node.opset < 13 else -1) % rank
    if node.opset < 13:
        flat = node.build.reshaped(x, (math.prod(shape[:axis]), math.prod(shape[axis:])))
        return [Value(node.build.reshaped(_softmax(node, flat), shape))]
    order = tuple(i for i in range(rank) if i != axis) + (axis,)
    if order == tuple(range(rank)):
        return [Value(_softmax(node, x))]
    made = _softmax(node, node.build.transposed(x, order))
    return [Value(node.build.transposed(made, tuple(order.index(i) for i in range(rank))))]


def _softmax(node: NodeReading, x: int) -> int:
    """Over the last axis; types that the operator doesn't have by its definition."""
    rank, kind = len(node.build.tensors[x].shape), node.build.tensors[x].dtype
    if kind == "float32":
        return node.emit("softmax", [x], Softmax())[0]
    last = Reduce((rank - 1,), True)
    most = node.emit("reduce_max", [x], last)[0]
    powers = node.emit("exp", [pair(node, "sub", x, most)], Function())[0]
    return pair(node, "divide", powers, node.emit("sum", [powers], last)[0])


def batch_normalization(node: NodeReading) -> Made:
    """A product and a sum with constants (inference mode)."""
    if node.attribute("training_mode", 0):
        raise Unsupported("it is in training mode", "export the model for inference")
    gamma, beta, mean, variance = (node.constant(i, "statistics") for i in range(1, 5))
    factor = gamma / np.sqrt(variance + np.float32(node.attribute("epsilon", 1e-5)))
    return _scaled_channels(node, factor, beta - mean * factor)


def _scaled_channels(node: NodeReading, factor: np.ndarray, offset: np.ndarray) -> Made:
    rank = len(node.shape(0))
    if rank == 4:
        x, layout = node.build.image(node.inputs[0]), IMAGE
        shape: Shape = (1, 1, 1, -1)
    else:
        x, layout = node.build.plain(node.inputs[0]), PLAIN
        shape = (1, -1) + (1,) * (rank - 2)
    kind = DTYPES[node.build.tensors[x].dtype]
    scale, added = (node.build.constant(v.astype(kind).reshape(shape)) for v in (factor, offset))
    return [Value(pair(node, "add", pair(node, "mul", x, scale), added), layout)]


def reduce_mean(node: NodeReading) -> Made:
    value, axes = reduced_axes(node)
    if axes is None:
        return [value]
    attrs = Mean(axes, bool(node.attribute("keepdims", 1)))
    return [Value(node.emit("mean", [value.index], attrs)[0], value.layout)]
