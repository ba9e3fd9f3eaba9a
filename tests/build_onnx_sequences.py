"""Small ONNX networks of sequences with random weights: transformers and a recurrent one."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
Inputs = dict[str, tuple[tuple[int, ...], int]]  # name -> shape, type


class Nodes:
    """Nodes as they come, each named by its output; weights are drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.known: list[onnx.TensorProto] = []

    def __call__(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        names = [f"{op.lower()}{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=names[0], **attributes))
        return names[0]

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.known)}"
        self.known.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def weights(self, *shape: int) -> str:
        return self.constant(
            self.rng.normal(0, shape[-2] ** -0.5 if len(shape) > 1 else 0.1, shape)
        )

    def dense(self, x: str, depth: int, units: int) -> str:
        return self("Add", self("MatMul", x, self.weights(depth, units)), self.weights(units))

    def normalized(self, x: str, depth: int) -> str:
        scale, bias = self.constant(self.rng.uniform(0.5, 1.5, depth)), self.weights(depth)
        return self("LayerNormalization", x, scale, bias, axis=-1)

    def gelu(self, x: str) -> str:
        """As PyTorch writes it where the opset has no Gelu."""
        half, one = self.constant(0.5), self.constant(1.0)
        spread = self("Erf", self("Div", x, self.constant(math.sqrt(2))))
        return self("Mul", self("Mul", x, self("Add", spread, one)), half)

    def attention(self, x: str, length: int, depth: int, heads: int, mask: str = "") -> str:
        size = depth // heads
        split = self.constant([1, length, heads, size], np.int64)
        q, k, v = (
            self("Transpose", self("Reshape", self.dense(x, depth, depth), split), perm=order)
            for order in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
        )
        scores = self("Div", self("MatMul", q, k), self.constant(math.sqrt(size)))
        scores = self("Add", scores, mask) if mask else scores
        mixed = self("Transpose", self("MatMul", self("Softmax", scores, axis=-1), v),
                     perm=[0, 2, 1, 3])  # fmt: skip
        joined = self("Reshape", mixed, self.constant([1, length, depth], np.int64))
        return self.dense(joined, depth, depth)

    def block(self, x: str, length: int, depth: int, heads: int, mask: str = "") -> str:
        x = self("Add", x, self.attention(self.normalized(x, depth), length, depth, heads, mask))
        wide = self.gelu(self.dense(self.normalized(x, depth), depth, 2 * depth))
        return self("Add", x, self.dense(wide, 2 * depth, depth))

    def model(self, inputs: Inputs, output: str, shape: tuple[int, ...]) -> onnx.ModelProto:
        given = [helper.make_tensor_value_info(n, kind, s) for n, (s, kind) in inputs.items()]
        made = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)]
        graph = helper.make_graph(self.nodes, "sequence", given, made, self.known)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 9
        onnx.checker.check_model(model)
        return model


def vision_transformer(seed: int = 0, depth: int = 16, heads: int = 2) -> onnx.ModelProto:
    """Patches of an image, a class token, two blocks, a dense layer."""
    make = Nodes(seed)
    weights = make.weights(depth, 3, 4, 4)
    patches = make("Conv", "x", weights, make.weights(depth), kernel_shape=[4, 4], strides=[4, 4])
    flat = make("Reshape", patches, make.constant([1, depth, 9], np.int64))
    tokens = make(
        "Concat", make.weights(1, 1, depth), make("Transpose", flat, perm=[0, 2, 1]), axis=1
    )
    x = make("Add", tokens, make.weights(1, 10, depth))
    for _ in range(2):
        x = make.block(x, 10, depth, heads)
    first = make("Gather", make.normalized(x, depth), make.constant(0, np.int64), axis=1)
    y = make("Gemm", first, make.weights(5, depth), make.weights(5), transB=1)
    return make.model({"x": ((1, 3, 12, 12), TensorProto.FLOAT)}, y, (1, 5))


def text_transformer(seed: int = 0, depth: int = 16, heads: int = 2) -> onnx.ModelProto:
    """Embeddings of words and places, a mask, two blocks, the first word's answer."""
    make, length = Nodes(seed), 8
    words = make("Gather", make.weights(50, depth), "x", axis=0)
    x = make.normalized(make("Add", words, make.weights(1, length, depth)), depth)
    one, least = make.constant(1.0), make.constant(-1e4)
    axes = make.constant([1, 2], np.int64)
    wide = make("Cast", make("Unsqueeze", "mask", axes), to=TensorProto.FLOAT)
    mask = make("Mul", make("Sub", one, wide), least)
    for _ in range(2):
        x = make.block(x, length, depth, heads, mask)
    first = make("Gather", x, make.constant(0, np.int64), axis=1)
    pooled = make("Tanh", make("Gemm", first, make.weights(depth, depth), make.weights(depth)))
    y = make("Gemm", pooled, make.weights(3, depth), make.weights(3), transB=1)
    numbers = ((1, length), TensorProto.INT64)
    return make.model({"x": numbers, "mask": numbers}, y, (1, 3))


def recurrent(kind: str, seed: int = 0, units: int = 12, length: int = 16) -> onnx.ModelProto:
    """Sound: convolutions over time, a GRU or LSTM both ways, a dense layer of its last state."""
    make, gates = Nodes(seed), {"GRU": 3, "LSTM": 4}[kind]
    x = make("Conv", "x", make.weights(8, 10, 3), make.weights(8), kernel_shape=[3], pads=[1, 1])
    x = make("Relu", x)
    x = make("Conv", x, make.weights(8, 8, 3), make.weights(8), kernel_shape=[3], strides=[2],
             pads=[1, 1])  # fmt: skip
    x = make("Transpose", make("Relu", x), perm=[2, 0, 1])
    own = [make.constant(make.rng.normal(0, 0.3, shape)) for shape in (
        (2, gates * units, 8), (2, gates * units, units), (2, 2 * gates * units))]  # fmt: skip
    more = {"linear_before_reset": 1} if kind == "GRU" else {}
    make(kind, x, *own, outputs=2 if kind == "GRU" else 3, hidden_size=units,
         direction="bidirectional", **more)  # fmt: skip
    last = make.nodes[-1].output[1]
    joined = make("Reshape", make("Transpose", last, perm=[1, 0, 2]),
                  make.constant([1, 2 * units], np.int64))  # fmt: skip
    y = make("Gemm", joined, make.weights(4, 2 * units), make.weights(4), transB=1)
    return make.model({"x": ((1, 10, length), TensorProto.FLOAT)}, y, (1, 4))


def samples(model: onnx.ModelProto, count: int, seed: int = 1) -> list[dict[str, np.ndarray]]:
    """Inputs: floats of a normal distribution, words and masks of whole numbers."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        feed = {}
        for value in model.graph.input:
            kind = value.type.tensor_type
            shape = [d.dim_value for d in kind.shape.dim]
            if kind.elem_type == TensorProto.FLOAT:
                feed[value.name] = rng.normal(size=shape).astype(np.float32)
            else:
                feed[value.name] = rng.integers(0, 2 if value.name == "mask" else 50, shape)
        found.append(feed)
    return found


def quantized(model: onnx.ModelProto, static: bool) -> onnx.ModelProto:
    """By ONNX Runtime's own tool: calibrated, in QDQ form, or dynamic, with integer products.

    Weights of 7 bits: without VNNI, its sums of two products saturate at 16.
    """
    from onnxruntime import quantization as tool

    given = iter(samples(model, 8))

    class Samples(tool.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(given, None)

    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "float.onnx", Path(folder) / "quantized.onnx"
        onnx.save(model, source)
        if static:
            tool.quantize_static(
                source, made, Samples(), quant_format=tool.QuantFormat.QDQ, reduce_range=True
            )
        else:
            tool.quantize_dynamic(source, made, reduce_range=True)
        return onnx.load(made)
