"""The reference backend: the graph, node by node, in NumPy.

It knows no arena, no schedule and no kernel words, so that a fault in any of them shows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..runtime.backend import Measurement, check_inputs
from ..runtime.errors import Refusal
from ..runtime.graph import DTYPES, Graph, Node
from ..runtime.lowering import Lowered
from ..runtime.program import Program
from . import table
from .host import ALIGNMENT


class ReferenceBackend:
    """The NumPy reference kernels; slow, and the measure of all others."""

    alignment = ALIGNMENT
    strategy = None
    progress_bytes = 0
    several_memories = False
    rounds_in_floats = True

    def __init__(self, name: str = "reference") -> None:
        self.name = name

    def refuse(self, graph: Graph, node: Node) -> Refusal | None:
        """Why there is no kernel for this node, or None."""
        return table.refusal(graph, node, graph.nodes.index(node))

    def lower(self, graph: Graph, node: Node) -> Lowered:
        """As for the host, so that a program has a plan; the executor doesn't look at it."""
        return table.lower(graph, node)

    def build(self, program: Program, out: Path | None = None) -> ReferenceExecutor:
        """An executor over the program's graph; nothing is written to `out`."""
        return ReferenceExecutor(program)

    def evaluate(
        self, graph: Graph, node: Node, inputs: Sequence[np.ndarray | None]
    ) -> list[np.ndarray]:
        """The outputs of one node. State operands are updated in place."""
        return _evaluate(graph, node, inputs)


class ReferenceExecutor:
    """Runs `program.graph` in its node order; state tensors are held here between inferences."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.measurement = Measurement()
        self._state: dict[int, np.ndarray] = {}
        self.reset()

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference; the answers are copies."""
        started = time.perf_counter()
        values = self._start(inputs)
        for _ in self._walk(values):
            pass
        outputs = [values[index].copy() for index in self.program.graph.outputs]
        self.measurement = Measurement(latency_ms=(time.perf_counter() - started) * 1e3)
        return outputs

    def trace(self, inputs: Sequence[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
        """One inference, yielding (node, tensor index, value) of every node's outputs."""
        values = self._start(inputs)
        for node, tensor in self._walk(values):
            yield node, tensor, values[tensor].copy()

    def reset(self) -> None:
        """Set state tensors to their initial values."""
        self._state = {index: np.array(v) for index, v in self.program.state.items()}

    def close(self) -> None:
        """Nothing is held but memory."""

    def _start(self, inputs: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        graph = self.program.graph
        constants = {i: t.data for i, t in graph.tensors.items() if t.data is not None}
        given = zip(graph.inputs, check_inputs(graph, inputs), strict=True)
        return {**constants, **self._state, **dict(given)}

    def _walk(self, values: dict[int, np.ndarray]) -> Iterator[tuple[int, int]]:
        """Compute every node into `values`, yielding (node, tensor)."""
        graph = self.program.graph
        for number, node in enumerate(graph.nodes):
            inputs = [None if index is None else values[index] for index in node.inputs]
            outputs = _evaluate(graph, node, inputs)
            for index, value in zip(node.outputs, outputs, strict=True):
                tensor = graph.tensors[index]
                assert value.shape == tensor.shape and value.dtype == DTYPES[tensor.dtype]
                values[index] = value
                yield number, index


def _evaluate(graph: Graph, node: Node, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    if node.op != "tile":
        operation = table.operation_of(node.op)
        assert operation is not None  # else the node was refused
        return operation.reference(graph, node, inputs)
    (image,), at = inputs, node.attrs
    assert image is not None
    return [image[:, at.top : at.top + at.size[0], at.left : at.left + at.size[1]]]
