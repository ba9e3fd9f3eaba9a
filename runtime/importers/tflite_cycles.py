"""Inferences that a circular buffer of TFLM ends, so that one of so many (`cycles_max`) goes on.

Its row moves in each time. All nodes behind it become the body of a loop that runs once when a
count of inferences is due, and otherwise not at all; the loop's states are what the body reads, the
count, and what keeps its numbers in between: the outputs that are made behind the buffer (zeros at
first) and the states that are written there. (tensorflow/lite/micro/kernels/circular_buffer.cc;
after a reset the count begins anew.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..attributes import Arithmetic, Concatenation, NoAttrs, Reshape, StridedSlice
from ..errors import Refusal, UnsupportedModel
from ..general import Function
from ..graph import DTYPES, Graph, Node, Tensor
from ..while_loop import WHILE, WhileLoop

MOST_DEPTH = 16  # buffers behind one another that end inferences


def with_cycles(
    graph: Graph, cycles: Mapping[int, int], plain: Set[int], label: str | Path
) -> Graph:
    """The graph whose circular buffers, by their outputs, end all but one of `cycles` inferences.

    `plain` are the states that ASSIGN_VARIABLE and circular buffers write. Raises
    `UnsupportedModel` for nodes behind a buffer that keep anything else, or rows in another scale.
    """
    due = [node for node in graph.nodes[:-1] if cycles.get(node.outputs[0], 1) > 1]
    if not due:
        return graph
    refusals = [_too_deep(due[-1])] if len(due) > MOST_DEPTH else []
    behind = graph.nodes[graph.nodes.index(due[0]) + 1 :]
    refusals += (_keeps(node) for node in behind if _states(graph, node) - plain)
    refusals += (
        _rescaled(node) for node in behind if node.op == "slide" and _rescales(graph, node)
    )
    if refusals:
        raise UnsupportedModel(label, refusals, readable=graph)
    return _Cycles(graph, cycles).graph_of_all()


def _states(graph: Graph, node: Node) -> set[int]:
    return {index for index in node.operands if graph.tensors[index].variable}


def _rescales(graph: Graph, node: Node) -> bool:
    """Whether a row's numbers would mean something else in the buffer."""
    kinds = [
        None if values is None else (values.scales.tolist(), values.zero_points.tolist())
        for values in (graph.tensors[index].quantization for index in node.operands)
    ]
    return kinds[0] != kinds[1]


def _refusal(node: Node, why: str, remedy: str) -> Refusal:
    return Refusal(-1 if node.origin is None else node.origin, node.op, why, remedy)


def _keeps(node: Node) -> Refusal:
    return _refusal(
        node, "it keeps a state, and a CIRCULAR_BUFFER before it ends inferences (cycles_max)",
        "keep it before that buffer, or run what follows the buffer as a model of its own",
    )  # fmt: skip


def _rescaled(node: Node) -> Refusal:
    return _refusal(
        node, "this CIRCULAR_BUFFER's rows come in another scale than it keeps them in, and one "
        "before it ends inferences (cycles_max)", "give its input and output one scale",
    )  # fmt: skip


def _too_deep(node: Node) -> Refusal:
    return _refusal(
        node, f"more than {MOST_DEPTH} CIRCULAR_BUFFERs end inferences (cycles_max)",
        "run what follows one of them as a model of its own",
    )  # fmt: skip


class _Cycles:
    """The nodes behind each buffer, from the last buffer to the first, as loops in loops."""

    def __init__(self, graph: Graph, cycles: Mapping[int, int]) -> None:
        self.graph, self.cycles = graph, cycles
        self.tensors = dict(graph.tensors)
        self.kept: dict[int, int] = {}  # output -> the state that keeps it
        self.initial = {
            node.outputs[0]: node.operands[0] for node in graph.nodes if node.op == "slide"
        }

    def graph_of_all(self) -> Graph:
        nodes, values = self.loops(self.graph.nodes)
        for state, value in values.items():
            readers = (node for node in nodes if state in node.operands and node.op != WHILE)
            seen = tuple(dict.fromkeys(node.outputs[0] for node in readers))
            token = self.new(Tensor(0, "", (0,), "int8"))
            nodes.append(Node("assign", (state, value, *seen), (token,), NoAttrs()))
        return self.graph.with_nodes(nodes, self.tensors)

    def new(self, tensor: Tensor, **changes: object) -> int:
        """The index of a tensor like this one."""
        index = len(self.tensors)
        while index in self.tensors:
            index += 1
        self.tensors[index] = replace(tensor, index=index, **changes)  # type: ignore[arg-type]
        return index

    def constant(self, value: int) -> int:
        return self.new(Tensor(0, "", (1,), "int32", data=np.array([value], np.int32)))

    def loops(self, nodes: Sequence[Node]) -> tuple[list[Node], dict[int, int]]:
        """The nodes, those behind the first buffer as a loop; state -> its next value."""
        for position, node in enumerate(nodes[:-1]):
            if self.cycles.get(node.outputs[0], 1) > 1:
                made, values = self.loop(node, nodes[position + 1 :])
                return [*nodes[: position + 1], *made], values
        return list(nodes), {}

    def loop(self, buffer: Node, nodes: Sequence[Node]) -> tuple[list[Node], dict[int, int]]:
        """The loop over what is behind a buffer."""
        nodes, values = self.loops(nodes)
        nodes, written = self.with_values(nodes)
        values |= written
        made = {index for node in nodes for index in node.outputs}
        for index in self.graph.outputs:
            if index in made:
                values.setdefault(self.keeping(index), index)
        count = self.constant(self.cycles[buffer.outputs[0]])
        name = f"{self.tensors[buffer.outputs[0]].name}/until it goes on"
        left, less, answer = (
            self.new(Tensor(0, name, (1,), dtype, variable=variable, initial=initial))
            for dtype, variable, initial in (
                ("int32", True, self.tensors[count].data), ("int32", False, None),
                ("bool", False, None),
            )
        )  # fmt: skip
        one_less = Node("add", (left, self.constant(-1)), (less,), Arithmetic(), name)
        read = {index for node in nodes for index in node.operands} | set(values.values())
        given = [i for i in sorted(read - made - set(values)) if not self.tensors[i].constant]
        states = (less, *values, *given)
        becomes = (count, *values.values(), *given)
        is_due = Node("equal", (less, self.constant(0)), (answer,), Function(), name)
        condition = self.part([is_due], states, (answer,))
        attrs = WhileLoop(condition, self.part(nodes, states, becomes))
        ends = [
            value if value in self.kept and self.kept[value] == state else self.end_of(state)
            for state, value in zip(states, becomes, strict=True)
        ]
        loop = Node(WHILE, states, tuple(ends), attrs, name, buffer.origin)
        return [one_less, loop], {left: ends[0], **dict(zip(values, ends[1:], strict=False))}

    def keeping(self, index: int) -> int:
        """The state that keeps an output while the nodes that make it don't run."""
        if index not in self.kept:
            tensor = self.tensors[index]
            zeros = np.zeros(tensor.shape, DTYPES[tensor.dtype])
            state = self.initial.get(index)
            if state is None:
                name = f"{tensor.name}/kept"
                state = self.new(tensor, name=name, variable=True, initial=zeros)
            self.kept[index] = state
        return self.kept[index]

    def end_of(self, state: int) -> int:
        return self.new(self.tensors[state], variable=False, initial=None)

    def part(self, nodes: Sequence[Node], inputs: Sequence[int], outputs: Sequence[int]) -> Graph:
        """A graph over the loop's states."""
        tensors = self.tensors | {
            index: replace(self.tensors[index], variable=False, initial=None) for index in inputs
        }
        return Graph((), {}, tuple(inputs), tuple(outputs)).with_nodes(nodes, tensors)

    def with_values(self, nodes: Sequence[Node]) -> tuple[list[Node], dict[int, int]]:
        """The nodes with no effect but their outputs; state -> its next value."""
        found: list[Node] = []
        values: dict[int, int] = {}
        for node in nodes:
            if node.op == "assign":
                values[node.operands[0]] = node.operands[1]
            elif node.op == "slide":
                values[node.operands[0]] = node.outputs[0]
                found += self.moved_on(node)
            else:
                found.append(node)
        return found, values

    def moved_on(self, node: Node) -> list[Node]:
        """A circular buffer's rows but the first, and the new one."""
        state, row = node.operands
        shape, kept = self.tensors[state].shape, node.attrs.kept
        if not kept:
            return [replace(node, op="reshape", inputs=(row,), attrs=Reshape(shape))]
        sizes = (shape[0], kept, *shape[2:])
        rest = self.new(self.tensors[state], shape=sizes, variable=False, initial=None)
        attrs = StridedSlice((0, 1, 0, 0), (1, 1, 1, 1), sizes)
        cut = replace(node, op="strided_slice", inputs=(state,), outputs=(rest,), attrs=attrs)
        joined = replace(node, op="concatenation", inputs=(rest, row), attrs=Concatenation(1))
        return [cut, joined]
