"""Operators in real numbers, as ONNX has them: what stands between a QDQ tail's roundings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ...runtime.graph import Node, Tensor
from .onnx_exact import TO_NCHW, Emitter


class RealEmitter(Emitter, Protocol):
    def real(self, index: int) -> str: ...
    def weights(self, tensor: Tensor, values: np.ndarray, axis: int) -> str: ...
    def bias(self, node: Node) -> list[str]: ...
    def image(self, node: Node, op: str, operands: Sequence[str], **attributes: Any) -> str: ...
    def clipped(self, real: str, low: float | None, high: float | None) -> str: ...


def _window(attrs: Any) -> dict[str, Any]:
    p = attrs.padding
    return {"strides": attrs.stride, "pads": (p.top, p.left, p.bottom, p.right)}


def _conv2d(w: RealEmitter, node: Node) -> str:
    kernel = w.graph.input(node, 1)
    assert kernel.data is not None
    groups = w.graph.input(node).shape[-1] // kernel.shape[-1]
    name = w.weights(kernel, kernel.data.transpose(TO_NCHW), 0)
    return w.image(
        node,
        "Conv",
        [name, *w.bias(node)],
        dilations=node.attrs.dilation,
        group=groups,
        **_window(node.attrs),
    )


def _depthwise_conv2d(w: RealEmitter, node: Node) -> str:
    kernel = w.graph.input(node, 1)  # [1, h, w, out]
    assert kernel.data is not None
    name = w.weights(kernel, kernel.data.transpose((3, 0, 1, 2)), 0)
    return w.image(
        node,
        "Conv",
        [name, *w.bias(node)],
        dilations=node.attrs.dilation,
        group=w.graph.input(node).shape[-1],
        **_window(node.attrs),
    )


def _fully_connected(w: RealEmitter, node: Node) -> str:
    depth = w.graph.input(node, 1).shape[1]
    flat = w.emit("Reshape", [w.real(node.operands[0]), w.constant([-1, depth], np.int64)])
    made = w.emit("Gemm", [flat, w.real(node.operands[1]), *w.bias(node)], transB=1)
    return w.emit("Reshape", [made, w.constant(w.graph.output(node).shape, np.int64)])


def _pool(op: str) -> Callable[[RealEmitter, Node], str]:
    def write(w: RealEmitter, node: Node) -> str:
        return w.image(node, op, [], kernel_shape=node.attrs.window, **_window(node.attrs))

    return write


def _mean(w: RealEmitter, node: Node) -> str:
    axes, keep = node.attrs.axes, int(node.attrs.keep_dims)
    return w.emit("ReduceMean", [w.real(node.operands[0])], axes=axes, keepdims=keep)


def _two(op: str) -> Callable[[RealEmitter, Node], str]:
    return lambda w, node: w.emit(op, [w.real(t) for t in node.operands])


def _one(op: str) -> Callable[[RealEmitter, Node], str]:
    return lambda w, node: w.emit(op, [w.real(node.operands[0])])


def _pad(w: RealEmitter, node: Node) -> str:
    x, value = w.graph.input(node), node.attrs.value
    if value is None:
        value = 0.0
    elif x.quantization is not None and x.dtype != "float32":
        value = (value - x.zero_point) * x.scale
    amounts = w.constant([*node.attrs.before, *node.attrs.after], np.int64)
    return w.emit("Pad", [w.real(x.index), amounts, w.constant(value, np.float32)])


def _softmax(w: RealEmitter, node: Node) -> str:
    real = w.real(node.operands[0])
    if node.attrs.beta != 1.0:
        real = w.emit("Mul", [real, w.constant(node.attrs.beta, np.float32)])
    return w.emit("Softmax", [real], axis=-1)


def _relu(w: RealEmitter, node: Node) -> str:
    return w.clipped(w.real(node.operands[0]), node.attrs.minimum, node.attrs.maximum)


def _leaky_relu(w: RealEmitter, node: Node) -> str:
    return w.emit("LeakyRelu", [w.real(node.operands[0])], alpha=node.attrs.alpha)


def _concatenation(w: RealEmitter, node: Node) -> str:
    return w.emit("Concat", [w.real(t) for t in node.operands], axis=node.attrs.axis)


def _reshape(w: RealEmitter, node: Node) -> str:
    shape = w.constant(node.attrs.shape, np.int64)
    return w.emit("Reshape", [w.real(node.operands[0]), shape])


def _transpose(w: RealEmitter, node: Node) -> str:
    return w.emit("Transpose", [w.real(node.operands[0])], perm=node.attrs.permutation)


def _same(w: RealEmitter, node: Node) -> str:
    return w.real(node.operands[0])


IN_REAL_NUMBERS: Mapping[str, Callable[[RealEmitter, Node], str]] = {
    "conv2d": _conv2d,
    "depthwise_conv2d": _depthwise_conv2d,
    "fully_connected": _fully_connected,
    "average_pool2d": _pool("AveragePool"),
    "max_pool2d": _pool("MaxPool"),
    "mean": _mean,
    "add": _two("Add"),
    "sub": _two("Sub"),
    "mul": _two("Mul"),
    "pad": _pad,
    "softmax": _softmax,
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "logistic": _one("Sigmoid"),
    "tanh": _one("Tanh"),
    "hard_swish": _one("HardSwish"),
    "concatenation": _concatenation,
    "reshape": _reshape,
    "transpose": _transpose,
    "quantize": _same,
    "dequantize": _same,
}
