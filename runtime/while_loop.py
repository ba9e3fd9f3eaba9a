"""A loop that asks while it runs whether it goes on: two graphs inside one node.

Condition and body are graphs over the loop's states, which keep their shapes and types. They are
planned as programs of their own, by the same road as the whole, and share one piece of the arena
that is the node's scratch; the states lie in the node's outputs. The call has the two programs as
`parts`, and its words say where scratch, constants and states are.
(tensorflow/lite/kernels/while.cc, which like TFLM's has no limit of turns.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .attributes import Shape
from .graph import Graph, Node
from .lowering import Address, Constant, Field, Lowered, Scratch

if TYPE_CHECKING:
    from .program import Call, Program

WHILE = "while_loop"  # the operator, and the kernel of its calls
MOST_TURNS = 1 << 16  # of one loop: a loop that never ends would hang a device
ENDLESS = (
    f"a loop of the model went on after {MOST_TURNS} turns, and no loop may run more often; "
    "give it inputs for which it ends"
)
_LINE = 64  # vectors may read a line more than a program's constants


@dataclass(frozen=True, eq=False)
class WhileLoop:
    """`condition` makes one bool of the states, `body` the states of the next turn."""

    condition: Graph
    body: Graph

    @property
    def parts(self) -> tuple[Graph, Graph]:
        return self.condition, self.body

    def __repr__(self) -> str:
        condition, body = (", ".join(node.op for node in part.nodes) for part in self.parts)
        return f"WhileLoop(condition: {condition}; body: {body})"


def while_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    """Those of the states; the parts must have the same, and types and scales, too."""
    states = [graph.input(node, position) for position in range(len(node.inputs))]
    condition, body = node.attrs.parts
    answers = [condition.tensors[index] for index in condition.outputs]
    if len(answers) != 1 or answers[0].dtype != "bool" or answers[0].elements != 1:
        raise ValueError("the condition must make one bool")
    for part, ends in ((condition, (condition.inputs,)), (body, (body.inputs, body.outputs))):
        for indices in ends:
            found = [(part.tensors[t].shape, part.tensors[t].dtype) for t in indices]
            if found != [(state.shape, state.dtype) for state in states]:
                raise ValueError(f"the states become {found}")
        if any(tensor.variable for tensor in part.tensors.values()):
            raise ValueError("a part keeps a state of its own")
    return tuple(state.shape for state in states)


def in_parts(graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
    """The graph with a change made to the parts of its loops."""
    if not any(node.op == WHILE for node in graph.nodes):
        return graph
    nodes = [
        replace(node, attrs=WhileLoop(*map(change, node.attrs.parts))) if node.op == WHILE else node
        for node in graph.nodes
    ]
    return graph.with_nodes(nodes)


def lower_while(graph: Graph, node: Node, parts: Sequence[Program]) -> Lowered:
    """The call of a loop whose condition and body are these programs."""
    fields: dict[str, Field] = {
        "memory": Scratch(
            max(part.arena_bytes for part in parts), max(part.alignment for part in parts)
        )
    }
    for name, part in zip(("condition", "body"), parts, strict=True):
        content = np.frombuffer(part.constants + bytes(_LINE), np.int8)
        fields[name] = Constant(content, _LINE)
    for number, (given, state) in enumerate(zip(node.operands, node.outputs, strict=True)):
        data = graph.tensors[given].data
        if data is None:
            fields[f"given_{number}"] = Address(given)
        else:
            fields[f"constant_{number}"] = Constant(data)
        fields[f"state_{number}"] = Address(state)
    for number, tensor in enumerate(parts[1].outputs):
        if tensor.data is not None:
            fields[f"value_{number}"] = Constant(tensor.data)
    return Lowered(WHILE, fields, parts=tuple(parts))


@dataclass(frozen=True)
class Copy:
    """`size` bytes to an offset into the arena, from another or from an offset into constants."""

    to: int
    origin: int
    size: int
    constant: bool = False


@dataclass(frozen=True)
class Turns:
    """What the words of a loop's call mean; all offsets are into the whole's arena and constants.

    `start` is copied once, `ask` before the condition, whose answer is the byte at `answer`,
    `enter` before the body and `leave` after it.
    """

    memory: int  # where the arena of the parts begins
    constants: tuple[int, int]  # of the condition, and of the body
    start: tuple[Copy, ...]
    ask: tuple[Copy, ...]
    answer: int
    enter: tuple[Copy, ...]
    leave: tuple[Copy, ...]


def turns_of(call: Call) -> Turns:
    """How a loop's call runs."""
    words, (condition, body) = call.args, call.parts
    memory = words["memory"]
    start, leave = [], []
    for number, (tensor, made) in enumerate(zip(body.inputs, body.outputs, strict=True)):
        state, constant = words[f"state_{number}"], f"constant_{number}" in words
        origin = words[f"constant_{number}" if constant else f"given_{number}"]
        start.append(Copy(state, origin, tensor.bytes, constant))
        if made.data is not None:
            leave.append(Copy(state, words[f"value_{number}"], tensor.bytes, True))
        else:
            leave.append(Copy(state, memory + body.addresses[made.index], tensor.bytes))
    ask, enter = (
        tuple(
            Copy(memory + part.addresses[tensor.index], words[f"state_{number}"], tensor.bytes)
            for number, tensor in enumerate(part.inputs)
            if part.graph.consumers[tensor.index] or tensor.index in part.graph.outputs
        )
        for part in call.parts
    )
    answer = memory + condition.addresses[condition.graph.outputs[0]]
    constants = words["condition"], words["body"]
    return Turns(memory, constants, tuple(start), ask, answer, enter, tuple(leave))
