"""The tail of a cut as ONNX, for servers that don't know midge (MLServer, Triton).

Tensors keep their names, types and layout (NHWC): a request is the same as to `midge serve`. In the
form `qdq` each node is written in real numbers between DequantizeLinear and QuantizeLinear, which
servers fuse into their own integer operators; where they round once and TFLite twice, a value is
one step off, and layers add such steps up. In `exact`, int8 operators are written out in whole
numbers with midge's own rounding (`onnx_exact.py`): the same bits on any server, but for a softmax
at the end, which is one step off at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...runtime.errors import MissingTool, Refusal, TargetError, UnsupportedModel
from ...runtime.graph import Graph, Node, Quantization, Tensor
from ...runtime.rounding import rounds_in_floats
from .onnx_exact import TO_NCHW, TO_NHWC, exact
from .onnx_real import IN_REAL_NUMBERS

FORMS = ("qdq", "exact")
OPSET, IR_VERSION = 14, 8  # HardSwish is of 14; servers of the last years read both
_TYPES = {"int8": "INT8", "uint8": "UINT8", "int32": "INT32", "float32": "FLOAT"}
_ACTIVATIONS = {"relu": (0.0, None), "relu6": (0.0, 6.0), "relu_n1_to_1": (-1.0, 1.0)}


def to_onnx(tail: Graph, cut: str = "", form: str = "qdq") -> Any:
    """An ONNX model of a graph; `UnsupportedModel` lists what can't be written.

    Its metadata has the model's digest and the cut, as a midge device says them in a request.
    """
    onnx = _onnx()
    twice = {tail.tensors[t].name for t in tail.inputs} & {
        tail.tensors[t].name for t in tail.outputs
    }
    if twice:
        raise TargetError(
            f"an input and an output of the tail are both called {sorted(twice)[0]!r}, which ONNX "
            "doesn't allow; cut the model earlier"
        )
    if form == "exact" and rounds_in_floats(tail):
        raise TargetError(
            "the form exact writes TFLite's rounding, and this model came from ONNX and rounds in "
            "floats; take the form qdq"
        )
    refused = [
        Refusal(i, node.op, why, "cut behind it, or serve the tail with `midge serve`")
        for i, node in enumerate(tail.nodes)
        if (why := _refusal(tail, node))
    ]
    if refused:
        raise UnsupportedModel("the tail", refused, "writing ONNX")
    writer = _Writer(tail, onnx, form == "exact")
    for node in tail.nodes:
        writer.write(node)
    graph = onnx.helper.make_graph(
        writer.nodes,
        "tail",
        [writer.described(i) for i in tail.inputs],
        [writer.described(i) for i in tail.outputs],
        writer.constants,
    )
    model = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="midge",
    )
    onnx.helper.set_model_props(model, {"midge_sha256": tail.sha256, "midge_cut": cut})
    onnx.checker.check_model(model, full_check=True)
    return model


def _onnx() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ModuleNotFoundError:
        raise MissingTool("writing ONNX needs the package onnx: pip install midge[onnx]") from None
    return onnx


def _refusal(graph: Graph, node: Node) -> str | None:
    if node.op not in IN_REAL_NUMBERS:
        return f"{node.op} has no form in real numbers here"
    tensors = [graph.tensors[t] for t in (*node.operands, *node.outputs)]
    for tensor in tensors:
        if tensor.variable:
            return "state stays on the device"
        if tensor.dtype not in _TYPES:
            return f"{tensor.name} is {tensor.dtype}; int8, uint8 and float32 can be written"
    return None


class _Writer:
    """Nodes and constants of the ONNX graph, so far. Values go by name."""

    def __init__(self, graph: Graph, onnx: Any, whole: bool) -> None:
        self.graph, self._onnx, self._whole = graph, onnx, whole
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        outer = {*graph.inputs, *graph.outputs}
        self._names = {
            i: tensor.name if i in outer else f"t{i}" for i, tensor in graph.tensors.items()
        }
        self._real: dict[int, str] = {}

    def described(self, index: int) -> Any:
        tensor = self.graph.tensors[index]
        kind = getattr(self._onnx.TensorProto, _TYPES[tensor.dtype])
        return self._onnx.helper.make_tensor_value_info(tensor.name, kind, tensor.shape)

    def write(self, node: Node) -> None:
        """One operator, its result quantized as the graph's tensor is."""
        tensor = self.graph.output(node)
        name = self._names[tensor.index]
        stored = exact(self, node) if self._whole else None
        if stored is not None:
            self._named("Identity", [stored], name)
            return
        real = IN_REAL_NUMBERS[node.op](self, node)
        real = self._bounded(real, getattr(node.attrs, "activation", "none"))
        if tensor.quantization is None or tensor.dtype == "float32":
            self._named("Identity", [real], name)
        else:
            parameters = self._parameters(tensor.quantization, tensor.dtype)
            self._named("QuantizeLinear", [real, *parameters], name)

    def _named(self, op: str, inputs: Sequence[str], output: str) -> None:
        self.nodes.append(self._onnx.helper.make_node(op, list(inputs), [output]))

    def emit(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(op, list(inputs), [name], name, **attributes))
        return name

    def constant(self, values: Any, dtype: Any = None) -> str:
        name = f"c{len(self.constants)}"
        array = np.array(values, dtype, order="C")  # which keeps scalars scalar
        self.constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def stored(self, index: int) -> str:
        """A tensor's values as they are."""
        data = self.graph.tensors[index].data
        return self._names[index] if data is None else self.constant(data)

    def real(self, index: int) -> str:
        """A tensor's values in real numbers."""
        if index not in self._real:
            tensor = self.graph.tensors[index]
            name = self._names[index]
            if tensor.data is not None:
                self._real[index] = self.weights(tensor, tensor.data, _axis(tensor))
            elif tensor.quantization is None or tensor.dtype == "float32":
                self._real[index] = name
            else:
                scale, zero = self._parameters(tensor.quantization, tensor.dtype)
                self._real[index] = self.emit("DequantizeLinear", [name, scale, zero])
        return self._real[index]

    def weights(self, tensor: Tensor, values: np.ndarray, axis: int) -> str:
        """Constant values of a tensor's type and scales, `axis` the one that scales go along."""
        name = self.constant(values)
        if tensor.quantization is None or tensor.dtype == "float32":
            return name
        scale, zero = self._parameters(tensor.quantization, tensor.dtype)
        extra = {"axis": axis} if tensor.quantization.per_axis else {}
        return self.emit("DequantizeLinear", [name, scale, zero], **extra)

    def bias(self, node: Node) -> list[str]:
        """The bias as its own operand list, at the scale that its products have."""
        tensor = self.graph.operand(node, 2)
        if tensor is None or tensor.data is None:
            return []
        name = self.constant(tensor.data)
        if tensor.dtype == "float32":
            return [name]
        x, w = self.graph.input(node).quantization, self.graph.input(node, 1).quantization
        assert x is not None and w is not None
        scales = x.scales * w.scales
        made = Quantization(scales, np.zeros(len(scales), np.int64))
        scale, zero = self._parameters(made, "int32")
        extra = {"axis": 0} if made.per_axis else {}
        return [self.emit("DequantizeLinear", [name, scale, zero], **extra)]

    def image(self, node: Node, op: str, operands: Sequence[str], **attributes: Any) -> str:
        """An ONNX operator over the node's NHWC image."""
        turned = self.emit("Transpose", [self.real(node.operands[0])], perm=TO_NCHW)
        made = self.emit(op, [turned, *operands], **attributes)
        return self.emit("Transpose", [made], perm=TO_NHWC)

    def _bounded(self, real: str, activation: str) -> str:
        low, high = _ACTIVATIONS.get(activation, (None, None))
        return self.clipped(real, low, high)

    def clipped(self, real: str, low: float | None, high: float | None) -> str:
        if low is None and high is None:
            return real
        if low == 0 and high is None:
            return self.emit("Relu", [real])
        bounds = ["" if b is None else self.constant(b, np.float32) for b in (low, high)]
        return self.emit("Clip", [real, *bounds])

    def _parameters(self, quantization: Quantization, dtype: str) -> tuple[str, str]:
        """The names of a scale and a zero point: scalars, or one for each slice."""
        shape = (-1,) if quantization.per_axis else ()
        scales = quantization.scales.astype(np.float32).reshape(shape)
        zeros = quantization.zero_points.astype(dtype).reshape(shape)
        return self.constant(scales), self.constant(zeros)


def _axis(tensor: Tensor) -> int:
    return tensor.quantization.axis if tensor.quantization is not None else 0
