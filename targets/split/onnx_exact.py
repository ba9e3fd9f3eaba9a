"""Integer operators as ONNX with midge's own bits: TFLite's two roundings written out in int64.

Sums of products are taken in float32, where they are whole numbers and stay below 2**24: such sums
are exact in any order, on any server. Larger ones are taken in parts. The rest is int64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...kernels import add, mean, mul
from ...kernels.convolution import requantization
from ...kernels.fixedpoint import activation_range
from ...kernels.lookup import is_lookup
from ...kernels.table import OPERATIONS
from ...kernels.windows import windows
from ...runtime.graph import Graph, Node

EXACT_FLOAT = 1 << 24  # every whole number up to here is a float32
TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)  # what a Transpose takes
INT64, FLOAT, INT8 = 7, 1, 3  # onnx.TensorProto's numbers


class Emitter(Protocol):
    graph: Graph

    def emit(self, op: str, inputs: Sequence[str], **attributes: Any) -> str: ...
    def constant(self, values: Any, dtype: Any = None) -> str: ...
    def stored(self, index: int) -> str: ...


def exact(w: Emitter, node: Node) -> str | None:
    """The name of the node's int8 result; None where there is no exact form."""
    graph, y = w.graph, w.graph.output(node)
    if y.dtype != "int8":
        return None
    varying = [t for t in node.operands if graph.is_activation(t)]
    lookup = node.op in _UNARY or (node.op in _PAIRS and is_lookup(graph, node))
    if lookup and [graph.tensors[t].dtype for t in varying] == ["int8"]:
        return _lookup(w, node, varying[0])
    if any(graph.tensors[t].dtype != "int8" for t in varying) or node.op not in _EXACT:
        return None
    return _EXACT[node.op](w, node)


_UNARY = ("relu", "leaky_relu", "logistic", "tanh", "hard_swish", "quantize")
_PAIRS = ("add", "sub", "mul")


def _lookup(w: Emitter, node: Node, index: int) -> str:
    """An operator on one byte: the reference's answer to each of the 256."""
    graph = w.graph
    every = np.arange(-128, 128).astype(np.int8)
    given = [every if t == index else graph.tensors[t].data for t in node.operands]
    (answers,) = OPERATIONS[node.op].reference(graph, node, given)
    place = w.emit("Add", [_integers(w, index, 0), w.constant(128, np.int64)])
    return w.emit("Gather", [w.constant(answers.reshape(-1)), place])


# ---- numbers -----------------------------------------------------------------------------------


def _integers(w: Emitter, index: int, zero_point: int) -> str:
    """A tensor's int64 values less the zero point."""
    made = w.emit("Cast", [w.stored(index)], to=INT64)
    return w.emit("Sub", [made, w.constant(zero_point, np.int64)]) if zero_point else made


def _whole(w: Emitter, index: int, zero_point: int) -> str:
    """The same as float32."""
    made = w.emit("Cast", [w.stored(index)], to=FLOAT)
    return w.emit("Sub", [made, w.constant(zero_point, np.float32)]) if zero_point else made


def _divided(w: Emitter, value: str, divisor: Any, offset: Any) -> str:
    """floor(value / divisor), of values above -offset * divisor: ONNX's Div of integers truncates,
    so what it is given is lifted above 0 first."""
    lifted = w.emit("Add", [value, w.constant(np.int64(divisor) * offset, np.int64)])
    divided = w.emit("Div", [lifted, w.constant(divisor, np.int64)])
    return w.emit("Sub", [divided, w.constant(offset, np.int64)])


def _scaled(w: Emitter, value: str, multiplier: Any, shift: Any) -> str:
    """`multiply_by_quantized_multiplier` of int64 values below 2**30 (after a left shift)."""
    power = np.asarray(shift, np.int64)
    left, right = np.maximum(power, 0), np.maximum(-power, 0)
    factor = np.asarray(multiplier, np.int64) << left
    product = w.emit("Mul", [value, w.constant(factor, np.int64)])
    half = w.emit("Add", [product, w.constant(1 << 30, np.int64)])
    high = _divided(w, half, np.int64(1) << 31, np.int64(1 << 30))
    if not right.any():
        return high
    below = w.emit("Cast", [w.emit("Less", [high, w.constant(0, np.int64)])], to=INT64)
    tie = w.emit("Mul", [below, w.constant(right > 0, np.int64)])
    moved = w.emit("Add", [high, w.constant((np.int64(1) << right) >> 1, np.int64)])
    moved = w.emit("Sub", [moved, tie])
    return _divided(w, moved, np.int64(1) << right, np.int64(1 << 31) >> right)


def _stored(w: Emitter, value: str, zero_point: int, least: int, greatest: int) -> str:
    """int64 values as int8, clamped."""
    shifted = w.emit("Add", [value, w.constant(zero_point, np.int64)])
    bounds = [w.constant(bound, np.int64) for bound in (least, greatest)]
    return w.emit("Cast", [w.emit("Clip", [shifted, *bounds])], to=INT8)


# ---- sums of products --------------------------------------------------------------------------


def _parts(weights: NDArray[np.float64], most: int) -> list[np.ndarray]:
    """Weights [out, ...] as addends whose sums with inputs of up to `most` are exact in float32."""
    flat = weights.reshape(len(weights), -1)
    reached = np.cumsum(np.abs(flat) * most, axis=1)
    number = (reached // (EXACT_FLOAT // 2)).astype(np.int64)
    found = [flat * (number == part) for part in range(int(number.max(initial=0)) + 1)]
    return [part.reshape(weights.shape).astype(np.float32) for part in found]


def _total(w: Emitter, sums: Sequence[str]) -> str:
    total, *others = [w.emit("Cast", [name], to=INT64) for name in sums]
    for other in others:
        total = w.emit("Add", [total, other])
    return total


def _most(w: Emitter, node: Node) -> int:
    zero = w.graph.input(node).zero_point
    return max(127 - zero, 128 + zero)


def _layer(w: Emitter, node: Node, sums: Sequence[str], channels: int) -> str:
    rule = requantization(w.graph, node, channels)
    biased = w.emit("Add", [_total(w, sums), w.constant(rule.bias, np.int64)])
    scaled = _scaled(w, biased, rule.multiplier, rule.shift)
    return _stored(w, scaled, rule.zero_point, rule.least, rule.greatest)


def _convolution(w: Emitter, node: Node) -> str:
    x, kernel, attrs = w.graph.input(node), w.graph.input(node, 1), node.attrs
    assert kernel.data is not None and kernel.quantization is not None
    whole = kernel.data.astype(np.float64)
    if not kernel.quantization.per_axis:
        whole = whole - kernel.zero_point
    depthwise = node.op == "depthwise_conv2d"
    turned = whole.transpose((3, 0, 1, 2) if depthwise else TO_NCHW)
    groups = x.shape[3] // turned.shape[1]
    image = w.emit("Transpose", [_whole(w, x.index, x.zero_point)], perm=TO_NCHW)
    p = attrs.padding
    window = {
        "strides": attrs.stride,
        "dilations": attrs.dilation,
        "pads": (p.top, p.left, p.bottom, p.right),
    }
    sums = [
        w.emit("Conv", [image, w.constant(part)], group=groups, **window)
        for part in _parts(turned, _most(w, node))
    ]
    back = [w.emit("Transpose", [name], perm=TO_NHWC) for name in sums]
    return _layer(w, node, back, len(turned))


def _fully_connected(w: Emitter, node: Node) -> str:
    x, weights, y = w.graph.input(node), w.graph.input(node, 1), w.graph.output(node)
    assert weights.data is not None and weights.quantization is not None
    whole = weights.data.astype(np.float64)
    if not weights.quantization.per_axis:
        whole = whole - weights.zero_point
    units, depth = whole.shape
    rows = w.constant([-1, depth], np.int64)
    flat = w.emit("Reshape", [_whole(w, x.index, x.zero_point), rows])
    sums = [
        w.emit("MatMul", [flat, w.constant(np.ascontiguousarray(part.T))])
        for part in _parts(whole, _most(w, node))
    ]
    made = _layer(w, node, sums, units)
    return w.emit("Reshape", [made, w.constant(y.shape, np.int64)])


# ---- the others --------------------------------------------------------------------------------


def _sum(w: Emitter, node: Node) -> str:
    words = add.rescaling(w.graph, node)
    sides = []
    for side, index in zip("ab", node.operands, strict=True):
        value = _integers(w, index, -words[f"{side}_offset"])
        shifted = w.emit("Mul", [value, w.constant(1 << words[f"{side}_left"], np.int64)])
        sides.append(_scaled(w, shifted, words[f"{side}_multiplier"], words[f"{side}_shift"]))
    total = _scaled(w, w.emit("Add", sides), words["y_multiplier"], words["y_shift"])
    return _stored(w, total, words["y_offset"], words["minimum"], words["maximum"])


def _product(w: Emitter, node: Node) -> str:
    words = mul.requantization(w.graph, node)
    a, b = node.operands
    sides = [_integers(w, a, -words["a_offset"]), _integers(w, b, -words["b_offset"])]
    product = _scaled(w, w.emit("Mul", sides), words["multiplier"], words["shift"])
    return _stored(w, product, words["y_offset"], words["minimum"], words["maximum"])


def _mean(w: Emitter, node: Node) -> str:
    x, y = w.graph.input(node), w.graph.output(node)
    axes = w.constant(node.attrs.axes, np.int64)
    total = w.emit("ReduceSum", [_integers(w, x.index, 0), axes], keepdims=0)
    offset = w.constant(mean.sum_offset(w.graph, node), np.int64)
    multiplier = mean.folded_multiplier(w.graph, node)
    scaled = _scaled(w, w.emit("Add", [total, offset]), *multiplier)
    made = _stored(w, scaled, y.zero_point, -128, 127)
    return w.emit("Reshape", [made, w.constant(y.shape, np.int64)])


def _average(w: Emitter, node: Node) -> str:
    x, attrs = w.graph.input(node), node.attrs
    p, channels = attrs.padding, x.shape[3]
    ones = np.ones((1, *x.shape[1:3], 1), np.int64)
    counts = windows(ones, attrs.window, attrs.stride, p, fill=0).sum(axis=(3, 4))
    image = w.emit("Transpose", [_whole(w, x.index, 0)], perm=TO_NCHW)
    pads = (p.top, p.left, p.bottom, p.right)
    taps = w.constant(np.ones((channels, 1, *attrs.window), np.float32))
    sums = w.emit("Conv", [image, taps], group=channels, strides=attrs.stride, pads=pads)
    total = w.emit("Cast", [w.emit("Transpose", [sums], perm=TO_NHWC)], to=INT64)
    offset = 128 if attrs.unsigned else 0
    total = w.emit("Add", [total, w.constant(offset * counts, np.int64)])
    size = w.emit("Add", [w.emit("Abs", [total]), w.constant(counts // 2, np.int64)])
    size = w.emit("Div", [size, w.constant(counts, np.int64)])
    signed = w.emit("Mul", [size, w.emit("Sign", [total])])
    return _stored(w, signed, -offset, *_range(w, node))


def _greatest(w: Emitter, node: Node) -> str:
    p = node.attrs.padding
    image = w.emit("Transpose", [w.stored(node.operands[0])], perm=TO_NCHW)
    pads = (p.top, p.left, p.bottom, p.right)
    attrs = {"kernel_shape": node.attrs.window, "strides": node.attrs.stride, "pads": pads}
    made = w.emit("Transpose", [w.emit("MaxPool", [image], **attrs)], perm=TO_NHWC)
    if node.attrs.activation == "none":
        return made
    return _stored(w, w.emit("Cast", [made], to=INT64), 0, *_range(w, node))


def _range(w: Emitter, node: Node) -> tuple[int, int]:
    activation = node.attrs.activation
    return (
        (-128, 127) if activation == "none" else activation_range(activation, w.graph.output(node))
    )


def _pad(w: Emitter, node: Node) -> str:
    x, value = w.graph.input(node), node.attrs.value
    amounts = w.constant([*node.attrs.before, *node.attrs.after], np.int64)
    fill = w.constant(x.zero_point if value is None else int(value), np.int8)
    return w.emit("Pad", [w.stored(x.index), amounts, fill])


def _reshape(w: Emitter, node: Node) -> str:
    shape = w.constant(node.attrs.shape, np.int64)
    return w.emit("Reshape", [w.stored(node.operands[0]), shape])


def _transpose(w: Emitter, node: Node) -> str:
    return w.emit("Transpose", [w.stored(node.operands[0])], perm=node.attrs.permutation)


_EXACT: Mapping[str, Callable[[Emitter, Node], str]] = {
    "conv2d": _convolution,
    "depthwise_conv2d": _convolution,
    "fully_connected": _fully_connected,
    "add": _sum,
    "sub": _sum,
    "mul": _product,
    "mean": _mean,
    "average_pool2d": _average,
    "max_pool2d": _greatest,
    "pad": _pad,
    "reshape": _reshape,
    "transpose": _transpose,
}
