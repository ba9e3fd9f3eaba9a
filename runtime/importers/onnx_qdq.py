"""Integer operators for ONNX's QuantizeLinear(op(DequantizeLinear(x))).

What is written in floats between a dequantization and the next quantization is what an integer
operator does whose sums are multiplied by a float32 (`Quantization.in_floats`). Operators that no
integer kernel can take stay as they are written, which is always right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..attributes import NoAttrs, Relu
from ..graph import Graph, Node, Quantization, Tensor

WEIGHTED = ("conv2d", "depthwise_conv2d", "fully_connected", "transpose_conv")
MOVERS = (
    "average_pool2d", "max_pool2d", "reshape", "transpose", "strided_slice", "resize_nearest",
    "resize_bilinear", "gather", "repeat", "broadcast_to",
)  # fmt: skip
FREE = ("mean", "relu", "leaky_relu", "hard_swish", "add", "sub", "mul")
FIXED = {"softmax": (1 / 256, -128), "logistic": (1 / 256, -128), "tanh": (1 / 128, 0)}
SOFTMAX_LONGEST = 511  # exponentials that add up to 512 are too many for TFLite's fixed point
FUSED: dict[tuple[float | None, float | None], str] = {
    (0.0, None): "relu",
    (0.0, 6.0): "relu6",
    (-1.0, 1.0): "relu_n1_to_1",
}
BIAS_LIMIT = 2**31 - 1


def fuse(graph: Graph) -> Graph:
    """The graph with integer operators where it has quantized ones written in floats."""
    fusion = _Fusion(graph)
    nodes = [made for node in graph.nodes for made in fusion.node(node)]
    return _without_notes(graph.with_nodes(_alive(graph, nodes), fusion.tensors))


def _alive(graph: Graph, nodes: list[Node]) -> list[Node]:
    """The nodes that lead to an output."""
    needed, kept = set(graph.outputs), []
    for node in reversed(nodes):
        if needed & set(node.outputs):
            needed.update(node.operands)
            kept.append(node)
    return kept[::-1]


def _without_notes(graph: Graph) -> Graph:
    """Float constants drop the scales that they remembered."""
    tensors = {
        i: replace(t, quantization=None)
        for i, t in graph.tensors.items()
        if t.dtype == "float32" and t.quantization is not None
    }
    return graph.with_nodes(graph.nodes, tensors)


class _Fusion:
    def __init__(self, graph: Graph) -> None:
        self.graph, self.tensors = graph, dict(graph.tensors)
        self.integers: dict[int, int] = {}  # float tensor -> int8 tensor of the same numbers
        self.made: list[Node] = []

    def node(self, node: Node) -> Iterator[Node]:
        """The nodes that take a node's place: integer ones for a quantization, else itself."""
        self.made = []
        if node.op == "dequantize":
            source = self.graph.input(node)
            self.integers[node.outputs[0]] = self._signed(source)
        if node.op == "quantize" and self._quantized(node):
            return iter(self.made)
        return iter([*self.made, node])

    def _add(self, node: Node, output: Tensor | None = None) -> int:
        self.made.append(node)
        if output is not None:
            self.tensors[output.index] = output
        return node.outputs[0]

    def _fresh(self, like: Tensor, dtype: str, quantization: Quantization | None) -> Tensor:
        index = max(self.tensors) + 1
        made = replace(like, index=index, dtype=dtype, quantization=quantization, data=None)
        self.tensors[index] = made
        return made

    def _signed(self, source: Tensor) -> int:
        """An int8 tensor for a quantized one that may be uint8 (an input of the model)."""
        if source.dtype != "uint8":
            return source.index
        scales = Quantization([source.scale], [source.zero_point - 128])  # type: ignore[arg-type]
        made = self._fresh(source, "int8", scales)
        return self._add(Node("quantize", (source.index,), (made.index,), NoAttrs(), source.name))

    def _integer(self, index: int) -> int | None:
        """The int8 tensor behind a float one: dequantized, a constant, or one of them moved."""
        if index in self.integers:
            return self.integers[index]
        tensor = self.tensors[index]
        if tensor.data is not None:
            return self._constant(tensor)
        producer = self.graph.producers.get(index)
        if producer is None:
            return None
        node = self.graph.nodes[producer]
        if node.op not in ("transpose", "reshape"):
            return None
        source = self._integer(node.operands[0])
        if source is None:
            return None
        made = self._fresh(tensor, self.tensors[source].dtype, self.tensors[source].quantization)
        self._add(replace(node, inputs=(source,), outputs=(made.index,)))
        self.integers[index] = made.index
        return made.index

    def _constant(self, tensor: Tensor) -> int | None:
        """A float constant's integers; None if it never was quantized."""
        scales = tensor.quantization
        if scales is None or tensor.dtype != "float32" or tensor.data is None:
            return None
        along = [1] * len(tensor.shape)
        if scales.per_axis:
            along[scales.axis] = -1
        steps = scales.scales.astype(np.float64).reshape(along if scales.per_axis else ())
        points = scales.zero_points.reshape(along if scales.per_axis else ())
        numbers = np.rint(tensor.data.astype(np.float64) / steps) + points
        made = self._fresh(tensor, "int8", scales)
        self.tensors[made.index] = replace(made, data=numbers.astype(np.int8))
        self.integers[tensor.index] = made.index
        return made.index

    # ---- one quantization ----

    def _quantized(self, quantize: Node) -> bool:
        """Whether integer nodes now make the output of `quantize`; they are in `made`."""
        y = self.graph.output(quantize)
        source = self._only_producer(quantize.operands[0])
        if y.dtype not in ("int8", "int16") or source is None:
            return False
        activation = "none"
        if source.op == "relu" and (kind := _fused_name(source)) is not None:
            before = self._only_producer(source.operands[0])
            if before is not None and getattr(before.attrs, "activation", None) == "none":
                source, activation = before, kind
        if source.op in WEIGHTED:
            return self._weighted(source, activation, y)
        # Of a choice, the indices are whole numbers already.
        moved = source.operands[:1] if source.op == "gather" else source.operands
        operands = [self._integer(t) for t in moved]
        if y.dtype != "int8" or any(t is None for t in operands):
            return False
        if any(self.tensors[t].dtype != "int8" for t in operands):  # type: ignore[index]
            return False
        return self._plain(source, (*operands, *source.operands[len(moved) :]), activation, y)

    def _only_producer(self, index: int) -> Node | None:
        producer = self.graph.producers.get(index)
        if producer is None or len(self.graph.consumers[index]) > 1 or index in self.graph.outputs:
            return None
        return self.graph.nodes[producer]

    def _plain(
        self, node: Node, operands: tuple[int | None, ...], activation: str, y: Tensor
    ) -> bool:
        attrs = node.attrs
        if activation != "none":
            attrs = replace(attrs, activation=activation)
        fixed = FIXED.get(node.op)
        if node.op == "softmax" and y.shape[-1] > SOFTMAX_LONGEST:
            return False
        if node.op in FREE or (fixed and (y.scale, y.zero_point) == fixed):
            self._add(replace(node, inputs=operands, outputs=(y.index,), attrs=attrs))
            return True
        if node.op == "concatenation":
            same = tuple(self._requantized(t, y) for t in operands)  # type: ignore[arg-type]
            self._add(replace(node, inputs=same, outputs=(y.index,), attrs=attrs))
            return True
        if node.op in MOVERS or (node.op == "pad" and node.attrs.value in (None, 0, 0.0)):
            return self._moved(node, operands, attrs, y)
        return False

    def _moved(
        self, node: Node, operands: tuple[int | None, ...], attrs: object, y: Tensor
    ) -> bool:
        """Moved as bytes in the input's scale, then requantized if the output has another."""
        x = self.tensors[operands[0]]  # type: ignore[index]
        if node.op == "pad":
            attrs = replace(attrs, value=None)  # type: ignore[type-var]
        if (x.scale, x.zero_point) == (y.scale, y.zero_point):
            self._add(replace(node, inputs=operands, outputs=(y.index,), attrs=attrs))
            return True
        if node.op == "average_pool2d":  # rounded twice it would be another number
            return False
        if getattr(attrs, "activation", "none") != "none":
            return False
        moved = self._fresh(self.graph.output(node), "int8", x.quantization)
        self._add(replace(node, inputs=operands, outputs=(moved.index,), attrs=attrs))
        self._add(Node("quantize", (moved.index,), (y.index,), NoAttrs(), y.name))
        return True

    def _requantized(self, index: int, y: Tensor) -> int:
        x = self.tensors[index]
        if (x.scale, x.zero_point) == (y.scale, y.zero_point):
            return index
        made = self._fresh(x, "int8", y.quantization)
        return self._add(Node("quantize", (index,), (made.index,), NoAttrs(), x.name))

    def _weighted(self, node: Node, activation: str, y: Tensor) -> bool:
        """Convolutions and products: int8 weights and a bias at the product of the scales."""
        source, float_weights = node.operands[:2]
        x_index, weights = self._integer(source), self._integer(float_weights)
        if x_index is None or weights is None or y.dtype != "int8":
            return False
        x, kernel = self.tensors[x_index], self.tensors[weights]
        if x.dtype != "int8" or kernel.quantization is None:
            return False
        if kernel.quantization.per_axis and kernel.quantization.zero_points.any():
            return False
        integers: dict[int, int] = {source: x_index, float_weights: weights}
        bias = self.graph.operand(node, 2)
        if bias is not None:
            made = self._bias(bias, x, kernel)
            if made is None:
                return False
            integers[bias.index] = made
        attrs = node.attrs if activation == "none" else replace(node.attrs, activation=activation)
        inputs = tuple(None if t is None else integers.get(t, t) for t in node.inputs)
        self._add(replace(node, inputs=inputs, outputs=(y.index,), attrs=attrs))
        return True

    def _bias(self, bias: Tensor, x: Tensor, kernel: Tensor) -> int | None:
        """The bias in int32; None if it doesn't fit."""
        assert kernel.quantization is not None and bias.data is not None
        steps = np.float64(x.scale) * kernel.quantization.scales.astype(np.float64)
        values = np.rint(bias.data.astype(np.float64) / steps)
        if np.abs(values).max(initial=0.0) > BIAS_LIMIT:
            return None
        made = self._fresh(bias, "int32", None)
        scales = Quantization(steps.astype(np.float32), np.zeros(len(steps), np.int64))
        self.tensors[made.index] = replace(made, data=values.astype(np.int32), quantization=scales)
        return made.index


def _fused_name(node: Node) -> str | None:
    bounds = node.attrs
    return FUSED.get((bounds.minimum, bounds.maximum)) if isinstance(bounds, Relu) else None
