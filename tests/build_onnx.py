"""Small ONNX networks with random weights, in float and quantized by ONNX Runtime's own tool."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class Network:
    """Nodes one after the other; `x` names the last value, of `channels` channels."""

    def __init__(self, size: int, seed: int, channels: int = 3) -> None:
        self.rng, self.nodes, self.weights = np.random.default_rng(seed), [], []
        self.x, self.channels, self.size, self.shape = (
            "x",
            channels,
            size,
            (1, channels, size, size),
        )

    def _name(self, kind: str) -> str:
        return f"{kind}{len(self.nodes)}"

    def constant(self, values: np.ndarray, kind: str) -> str:
        name = f"{kind}_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def node(self, op: str, inputs: list[str], **attributes: object) -> str:
        name = self._name(op.lower())
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        self.x = name
        return name

    def conv(self, filters: int, kernel: int = 3, stride: int = 1, group: int = 1) -> str:
        depth = self.channels // group
        taps = depth * kernel * kernel
        weights = self.rng.normal(0, (2 / taps) ** 0.5, (filters, depth, kernel, kernel))
        bias = self.rng.normal(0, 0.1, filters)
        names = [self.x, self.constant(weights, "w"), self.constant(bias, "b")]
        pads = [kernel // 2] * 4
        self.channels = filters
        return self.node("Conv", names, kernel_shape=[kernel, kernel], strides=[stride, stride],
                         pads=pads, group=group)  # fmt: skip

    def dense(self, units: int, depth: int) -> str:
        weights = self.rng.normal(0, depth**-0.5, (units, depth))
        bias = self.rng.normal(0, 0.1, units)
        names = [self.x, self.constant(weights, "w"), self.constant(bias, "b")]
        return self.node("Gemm", names, transB=1)

    def model(self, outputs: int) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes, "network",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(self.x, TensorProto.FLOAT, (1, outputs))],
            self.weights,
        )  # fmt: skip
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        made.ir_version = 9
        onnx.checker.check_model(made)
        return made


def residual(seed: int = 0, softmax: bool = True) -> onnx.ModelProto:
    """Convolutions with residual sums, max pool, global average, dense, softmax."""
    net = Network(17, seed)
    net.conv(8)
    net.node("Relu", [net.x])
    net.node("MaxPool", [net.x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for filters, stride in ((8, 1), (12, 2)):
        before, channels = net.x, net.channels
        net.conv(filters, stride=stride)
        net.node("Relu", [net.x])
        body = net.conv(filters)
        if (filters, 1) != (channels, stride):
            net.x, net.channels = before, channels
            before = net.conv(filters, 1, stride)
        net.node("Add", [body, before])
        net.node("Relu", [net.x])
    net.node("GlobalAveragePool", [net.x])
    net.node("Flatten", [net.x])
    net.dense(10, 12)
    if softmax:
        net.node("Softmax", [net.x], axis=-1)
    return net.model(10)


def separable(seed: int = 0) -> onnx.ModelProto:
    """Depthwise and pointwise convolutions with ReLU6, flattened with its image."""
    net = Network(16, seed)
    low, high = net.constant(np.array(0.0), "low"), net.constant(np.array(6.0), "high")
    net.conv(8, stride=2)
    net.node("Clip", [net.x, low, high])
    for filters, stride in ((16, 1), (24, 2)):
        net.conv(net.channels, stride=stride, group=net.channels)
        net.node("Clip", [net.x, low, high])
        net.conv(filters, 1)
        net.node("Clip", [net.x, low, high])
    net.node("AveragePool", [net.x], kernel_shape=[2, 2], strides=[2, 2])
    net.node("Flatten", [net.x])
    net.dense(7, 24 * 4)
    return net.model(7)


def quantized(model: onnx.ModelProto, seed: int = 1, **options: object) -> onnx.ModelProto:
    """QDQ form by onnxruntime.quantization, calibrated on random inputs.

    Weights of 7 bits: without VNNI, ONNX Runtime's sums of two products saturate at 16.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    rng = np.random.default_rng(seed)

    class Samples(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter([{"x": rng.normal(0, 1, shape).astype(np.float32)} for _ in range(8)])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.left, None)

    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "float.onnx", Path(folder) / "quantized.onnx"
        onnx.save(model, source)
        quantize_static(
            source, made, Samples(), quant_format=QuantFormat.QDQ, reduce_range=True, **options
        )
        return onnx.load(made)


def qdq_residual() -> bytes:
    """uint8 activations, a scale for each filter."""
    from onnxruntime.quantization import QuantType

    model = residual(softmax=False)
    return quantized(
        model, per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8
    ).SerializeToString()


def qdq_separable() -> bytes:
    """int8 activations, one scale for all filters."""
    from onnxruntime.quantization import QuantType

    return quantized(
        separable(), activation_type=QuantType.QInt8, weight_type=QuantType.QInt8
    ).SerializeToString()
