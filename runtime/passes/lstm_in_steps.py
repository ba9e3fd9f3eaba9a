"""An LSTM of float32 or int16, written out step by step.

What multiplies the input is one layer for all steps. An int16 one follows TFLM, whose gates are
int16 additions and its logistic and tanh (tensorflow/lite/micro/kernels/lstm_eval.h); TFLite has no
such kernel. Of float32 the order of additions is that of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..attributes import Arithmetic, FullyConnected, NoAttrs, Reshape, Shape
from ..general import Axis, Function
from ..graph import Graph, Node, Quantization, Tensor

MOST_STEPS = 256
HIDDEN, CELL = 18, 19
# (input weights, recurrent weights, bias) of the gates input, forget, candidate, output.
GATES = ((1, 5, 12), (2, 6, 13), (3, 7, 14), (4, 8, 15))
OTHERS = (9, 10, 11, 16, 17, 20, 21, 22, 23)  # peephole, projection, layer normalization
_WEIGHTS = {"float32": "float32", "int16": "int8"}  # type of the input -> of the weights
_BEFORE = Quantization(np.array([2.0**-12]), np.zeros(1))  # a gate before its activation
_AFTER = Quantization(np.array([2.0**-15]), np.zeros(1))


def lstm_in_steps(graph: Graph) -> Graph:
    """Such an lstm becomes layers and elementwise nodes; its states are assigned at the end."""
    nodes: list[Node] = []
    tensors: dict[int, Tensor] = {}
    for node in graph.nodes:
        if node.op != "lstm" or not in_steps(graph, node):
            nodes.append(node)
            continue
        written = _Steps(graph, node, graph.next_index() + len(tensors))
        nodes += written.write_out()
        tensors |= written.tensors
    return graph.with_nodes(nodes, tensors) if tensors else graph


def in_steps(graph: Graph, node: Node) -> bool:
    """Whether an lstm is one of those."""
    x, cell = graph.input(node), graph.input(node, CELL)
    present = [graph.operand(node, p) for gate in GATES for p in gate[:2]]
    weights = {tensor.dtype for tensor in present if tensor is not None}
    absent = all(graph.operand(node, position) is None for position in OTHERS)
    coupled = None in present
    if x.dtype not in _WEIGHTS or len(x.shape) != 3 or not absent:
        return False
    if cell.dtype != x.dtype or weights != {_WEIGHTS[x.dtype]} or node.attrs.activation != "tanh":
        return False
    steps = x.shape[0 if node.attrs.time_major else 1]
    return steps <= MOST_STEPS and not (coupled and x.dtype == "int16")


class _Steps:
    """One lstm's nodes; `tensors` are those between them."""

    def __init__(self, graph: Graph, node: Node, free: int) -> None:
        self.graph, self.node, self.free = graph, node, free
        self.tensors: dict[int, Tensor] = {}
        self.nodes: list[Node] = []
        self.x, self.y = graph.input(node), graph.output(node)
        self.time = 0 if node.attrs.time_major else 1
        self.batch, self.steps = self.x.shape[1 - self.time], self.x.shape[self.time]
        self.hidden, self.cell = graph.input(node, HIDDEN), graph.input(node, CELL)
        self.units = self.cell.shape[1]
        self.shape = (self.batch, self.units)
        quantized = self.x.dtype != "float32"
        self.before: Quantization | None = _BEFORE if quantized else None
        self.after: Quantization | None = _AFTER if quantized else None
        # With a bias of int64 sums are of int64 too, and rescaled by another rule than without.
        self.no_bias = self._zeros() if quantized else None

    def write_out(self) -> list[Node]:
        gates = [self._of_input(gate) for gate in GATES]
        hidden, cell = self.hidden.index, self.cell.index
        answers = []
        for step in range(self.steps):
            sums = [
                None if parts is None else self._gate(gate, parts[step], hidden)
                for gate, parts in zip(GATES, gates, strict=True)
            ]
            hidden, cell = self._step(sums, cell)
            answers.append(hidden)
        self._add("stack", answers, self.y.index, Axis(self.time))
        for state, value in ((self.hidden, hidden), (self.cell, cell)):
            self._make("assign", [state.index, value], (0,), None, NoAttrs(), "int8")
        return self.nodes

    def _of_input(self, gate: Sequence[int]) -> list[int] | None:
        """What the input adds to a gate in each step; None if the gate is left out."""
        weights, bias = (self.node.inputs[position] for position in (gate[0], gate[2]))
        if weights is None:
            return None
        rows = self.batch * self.steps
        flat = self._make("fully_connected", [self.x.index, weights, bias], (rows, self.units),
                          self.before, FullyConnected())  # fmt: skip
        shape = (*self.x.shape[:2], self.units)
        whole = self._make("reshape", [flat], shape, self.before, Reshape(shape))
        made = [self._tensor(self.shape, self.before) for _ in range(self.steps)]
        self.nodes.append(Node("unstack", (whole,), tuple(made), Axis(self.time), *self._name()))
        return made

    def _gate(self, gate: Sequence[int], from_input: int, hidden: int) -> int:
        recurrent = self._layer(hidden, gate[1])
        return self._two("add", from_input, recurrent, self.before)

    def _layer(self, hidden: int, weights: int) -> int:
        operands = [hidden, self.node.inputs[weights], self.no_bias]
        return self._make("fully_connected", operands, self.shape, self.before, FullyConnected())

    def _step(self, sums: Sequence[int | None], cell: int) -> tuple[int, int]:
        """(hidden, cell) after a step."""
        take, forget, candidate, output = sums
        assert forget is not None and candidate is not None and output is not None
        forget, candidate = self._one("logistic", forget), self._one("tanh", candidate)
        taken = self._opposite(forget) if take is None else self._one("logistic", take)
        scale = self.cell.quantization
        kept = self._two("mul", forget, cell, scale)
        cell = self._two("add", kept, self._two("mul", taken, candidate, scale), scale)
        cell = self._clipped(cell) if self.node.attrs.cell_clip > 0 else cell
        shown = self._one("tanh", cell)
        opened = self._one("logistic", output)
        return self._two("mul", opened, shown, self.hidden.quantization), cell

    def _opposite(self, gate: int) -> int:
        """1 - gate: a cell takes what it forgets."""
        one = self._constant(np.ones(1, np.float32), None)
        return self._two("sub", one, gate, None)

    def _clipped(self, cell: int) -> int:
        scale, clip = self.cell.quantization, np.float32(self.node.attrs.cell_clip)
        dtype = self.cell.dtype
        if scale is not None:
            clip = np.float32(min(int(clip / np.float32(scale.scale)), (1 << 15) - 1))
        for op, bound in (("minimum", clip), ("maximum", -clip)):
            limit = self._constant(np.array([bound], dtype), scale)
            cell = self._make(op, [cell, limit], self.shape, scale, Function())
        return cell

    # ---- nodes ----

    def _one(self, op: str, x: int) -> int:
        return self._make(op, [x], self.shape, self.after, NoAttrs())

    def _two(self, op: str, a: int, b: int, scale: Quantization | None) -> int:
        return self._make(op, [a, b], self.shape, scale, Arithmetic())

    def _make(
        self, op: str, operands: Sequence[int | None], shape: Shape, scale: Quantization | None,
        attrs: object, dtype: str | None = None,
    ) -> int:  # fmt: skip
        made = self._tensor(shape, scale, dtype)
        self._add(op, operands, made, attrs)
        return made

    def _add(self, op: str, operands: Sequence[int | None], made: int, attrs: object) -> None:
        self.nodes.append(Node(op, tuple(operands), (made,), attrs, *self._name()))

    def _name(self) -> tuple[str, int | None]:
        return self.node.name, self.node.origin

    def _tensor(self, shape: Shape, scale: Quantization | None, dtype: str | None = None) -> int:
        index, name = self.free + len(self.tensors), self.node.name
        self.tensors[index] = Tensor(index, name, shape, dtype or self.x.dtype, scale)
        return index

    def _zeros(self) -> int:
        index = self._tensor((self.units,), None, "int64")
        self.tensors[index] = replace(self.tensors[index], data=np.zeros(self.units, np.int64))
        return index

    def _constant(self, data: np.ndarray, scale: Quantization | None) -> int:
        index = self._tensor(data.shape, scale)
        self.tensors[index] = replace(self.tensors[index], data=data)
        return index
