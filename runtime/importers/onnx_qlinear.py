"""ONNX's operators on quantized numbers (QLinearConv, QGemm, ...), as what they stand for.

Each is its float operator between DequantizeLinear and QuantizeLinear, which `onnx_qdq` makes an
integer operator again. ConvInteger and MatMulInteger are whole numbers by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .tflite_reading import Unsupported

Make = Callable[..., Any]  # onnx.helper.make_node


class Writer:
    """Nodes that stand for one node, over new names."""

    def __init__(self, make: Make, node: Any, prefix: str) -> None:
        self._make, self._prefix = make, prefix
        self.inputs = list(node.input)
        self.output, self.outputs = node.output[0], list(node.output)
        self.attributes = list(node.attribute)
        self.nodes: list[Any] = []

    def op(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        made = self._make(op, list(inputs), [name], **attributes)
        self.nodes.append(made)
        return name

    def fresh(self, stem: str) -> str:
        return f"{self._prefix}{stem}{len(self.nodes)}"

    def real(self, first: int, **attributes: Any) -> str:
        """What the operand at `first`, its scale and its zero point stand for."""
        operands = [name for name in self.inputs[first : first + 3] if name]
        return self.op("DequantizeLinear", operands, self.fresh("real"), **attributes)

    def real_bias(self, place: int, scales: tuple[int, int]) -> list[str]:
        """A bias in the scale of its products; nothing where there is none."""
        if place >= len(self.inputs) or not self.inputs[place]:
            return []
        factors = [self.inputs[i] for i in scales]
        step = self.op("Mul", factors, self.fresh("step"))
        operands = [self.inputs[place], step]
        return [self.op("DequantizeLinear", operands, self.fresh("bias"), axis=0)]

    def quantized(self, name: str, scale: int) -> None:
        """The output, in the scale at `scale` and the zero point after it."""
        operands = [name, *(n for n in self.inputs[scale : scale + 2] if n)]
        self.op("QuantizeLinear", operands, self.output)

    def same(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        """The float operator with this node's own attributes."""
        made = self.op(op, inputs, self.fresh("y"), **attributes)
        self.nodes[-1].attribute.extend(self.attributes)
        return made


def _conv(w: Writer) -> None:
    operands = [w.real(0), w.real(3, axis=0), *w.real_bias(8, (1, 4))]
    w.quantized(w.same("Conv", operands), 6)


def _matmul(w: Writer) -> None:
    w.quantized(w.op("MatMul", [w.real(0), w.real(3, axis=1)], w.fresh("y")), 6)


def _gemm(w: Writer) -> None:
    axis = 0 if any(a.name == "transB" and a.i for a in w.attributes) else 1
    operands = [w.real(0), w.real(3, axis=axis), *w.real_bias(6, (1, 4))]
    w.quantized(w.same("Gemm", operands), 7)


def _two(op: str) -> Callable[[Writer], None]:
    return lambda w: w.quantized(w.op(op, [w.real(0), w.real(3)], w.fresh("y")), 6)


def _one(op: str) -> Callable[[Writer], None]:
    return lambda w: w.quantized(w.same(op, [w.real(0)]), 3)


def _pool(op: str) -> Callable[[Writer], None]:
    def write(w: Writer) -> None:
        if any(a.name == "channels_last" and a.i for a in w.attributes):
            raise Unsupported(
                "its channels come last", "save the model before ONNX Runtime changes its layout"
            )
        w.attributes = [a for a in w.attributes if a.name != "channels_last"]
        w.quantized(w.same(op, [w.real(0)]), 3)

    return write


def _concat(w: Writer) -> None:
    operands = [w.real(i) for i in range(2, len(w.inputs), 3)]
    w.quantized(w.same("Concat", operands), 0)


def _softmax(w: Writer) -> None:
    w.attributes = [a for a in w.attributes if a.name != "opset"]
    w.quantized(w.same("Softmax", [w.real(0)]), 3)


def _where(w: Writer) -> None:
    w.quantized(w.op("Where", [w.inputs[0], w.real(1), w.real(4)], w.fresh("y")), 7)


def _max_pool(w: Writer) -> None:
    """Of images whose channels come last."""
    x = w.op("Transpose", w.inputs, w.fresh("x"), perm=[0, 3, 1, 2])
    w.op("Transpose", [w.same("MaxPool", [x])], w.output, perm=[0, 2, 3, 1])


WRITERS: Mapping[str, Callable[[Writer], None]] = {
    "NhwcMaxPool": _max_pool,
    "QGemm": _gemm,
    "QLinearAdd": _two("Add"),
    "QLinearAveragePool": _pool("AveragePool"),
    "QLinearConcat": _concat,
    "QLinearConv": _conv,
    "QLinearGlobalAveragePool": _pool("GlobalAveragePool"),
    "QLinearLeakyRelu": _one("LeakyRelu"),
    "QLinearMatMul": _matmul,
    "QLinearMul": _two("Mul"),
    "QLinearSigmoid": _one("Sigmoid"),
    "QLinearSoftmax": _softmax,
    "QLinearWhere": _where,
}


# ---- operators of floats that ONNX Runtime's optimizer joins ------------------------------------


def _gelu(approximate: str) -> Callable[[Writer], None]:
    def write(w: Writer) -> None:
        biased = [name for name in w.inputs if name]
        x = w.op("Add", biased, w.fresh("x")) if len(biased) > 1 else biased[0]
        w.op("Gelu", [x], w.output, approximate=approximate)

    return write


def _skip_layer_normalization(w: Writer) -> None:
    """Of a sum, which is its fourth output; a bias may be added to it."""
    if any(w.outputs[1:3]):
        raise Unsupported("its mean or deviation is asked for", "leave that output out")
    x, skip, gamma, *others = w.inputs
    beta, bias = [*others, "", ""][:2]
    total = w.outputs[3] if len(w.outputs) > 3 and w.outputs[3] else w.fresh("sum")
    if bias:
        x = w.op("Add", [x, bias], w.fresh("x"))
    w.op("Add", [x, skip], total)
    w.op("LayerNormalization", [total, gamma, *([beta] if beta else [])], w.output, axis=-1)
    w.nodes[-1].attribute.extend(w.attributes)


FUSED: Mapping[str, Callable[[Writer], None]] = {
    "BiasGelu": _gelu("none"),
    "FastGelu": _gelu("tanh"),
    "Gelu": _gelu("none"),
    "SkipLayerNormalization": _skip_layer_normalization,
}


def written_out(make: Make, node: Any, prefix: str) -> list[Any]:
    """The nodes that an operator stands for, in ONNX's newest set; none if it is no such one."""
    writer = Writer(make, node, prefix)
    writers = {**WRITERS, **FUSED} if node.domain == "com.microsoft" else WRITERS
    if node.op_type in writers:
        writers[node.op_type](writer)
    return writer.nodes
