"""WHILE as its passes, one after the other, where it is known beforehand how many there are.

Condition and body are then read as often as they run, each time with tensors of their own. What is
computed from constants is a constant at once, as a counter is, and a condition on it. Any other
loop is one node over two graphs, `runtime/while_loop.py`. (tensorflow/lite/kernels/while.cc.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from itertools import count

from ..attributes import Reshape, Shape
from ..graph import Graph, Node, Tensor
from ..while_loop import WHILE, WhileLoop
from .known import MOST_PASSES
from .tflite_branches import moved, with_choices
from .tflite_file import FileModel, FileOperator, FileTensor, Malformed
from .tflite_order import check_order
from .tflite_reading import Unsupported
from .tflite_sums import with_chains

MOST_DEPTH = 16  # of loops within loops
MOST_OPERATORS = 5_000  # of all passes of all loops that are written out


class _Unknown(Exception):
    """How often a loop runs isn't known, or is too often to write it out."""


class Loops:
    """The loops of one model, while it is read.

    `files` and `tensors` are those of the model, and grow. `read` answers the nodes of operators,
    and None once one of them is refused; `graph` that of an operator's subgraph with these
    shapes of inputs.
    """

    def __init__(
        self,
        model: FileModel,
        files: list[FileTensor],
        tensors: dict[int, Tensor],
        convert: Callable[[FileTensor, Set[int]], Tensor | None],
        read: Callable[[Sequence[FileOperator]], list[Node] | None],
        graph: Callable[[int, FileModel, Mapping[int, Shape]], Graph | None],
        depth: int,
    ) -> None:
        self.model, self.files, self.tensors = model, files, tensors
        self.convert, self.read, self.graph = convert, read, graph
        self.depth, self.operators = depth, 0

    def nodes(self, operator: FileOperator) -> list[Node]:
        """The nodes of all passes, or the loop's own; none if one of its operators is refused."""
        if self.depth == MOST_DEPTH:
            raise Malformed(f"its loops lie more than {MOST_DEPTH} deep in one another")
        self.depth += 1
        known, spent = len(self.files), self.operators
        try:
            return self._passes(operator)
        except _Unknown:
            for index in range(known, len(self.files)):
                self.tensors.pop(index, None)
            self.operators = spent
            return self._node(operator)
        finally:
            self.depth -= 1

    def _node(self, operator: FileOperator) -> list[Node]:
        """A loop that asks while it runs."""
        states = [self.tensors[index] for index in operator.inputs]
        ends = len(states)
        condition, body = [
            self._graph(operator.index, self._subgraph(operator, which, ends, made), states)
            for which, made in (("Cond", 1), ("Body", ends))
        ]
        if condition is None or body is None:
            return []
        answer = condition.tensors[condition.outputs[0]]
        if answer.constant:
            raise Unsupported("its condition never changes", "leave the loop out")
        for number, (state, index) in enumerate(zip(states, body.outputs, strict=True)):
            made = body.tensors[index]
            if _kind(made) != _kind(state) or made.shape != state.shape:
                raise Unsupported(
                    f"its state {number} is {state.dtype}{list(state.shape)} first and "
                    f"{made.dtype}{list(made.shape)} after a turn, or has another scale then",
                    "give each state one shape, one type and one scale",
                )
        for index, state in zip(operator.outputs, states, strict=True):
            named = replace(state, index=index, name=self.files[index].name)
            self.tensors[index] = replace(named, data=None, variable=False, initial=None)
        name, attrs = self.files[operator.outputs[0]].name, WhileLoop(condition, body)
        return [Node(WHILE, operator.inputs, operator.outputs, attrs, name, operator.index)]

    def _graph(self, number: int, part: FileModel, states: Sequence[Tensor]) -> Graph | None:
        self.check_states(part, states)
        shapes = (state.shape for state in states)
        return self.graph(number, part, dict(zip(part.inputs, shapes, strict=True)))

    def check_states(self, part: FileModel, states: Sequence[Tensor | None]) -> None:
        """A part's inputs are of the states' types."""
        for number, (index, found) in enumerate(zip(part.inputs, states, strict=True)):
            wanted = self.convert(part.tensors[index], set())
            if found is None or wanted is None or _kind(found) != _kind(wanted):
                raise Unsupported(
                    f"its state {number} comes in another type or scale than it is read in",
                    "give each state one type and one scale",
                )

    def _passes(self, operator: FileOperator) -> list[Node]:
        ends = len(operator.inputs)
        condition = _Part(self, operator, self._subgraph(operator, "Cond", ends, 1))
        body = _Part(self, operator, self._subgraph(operator, "Body", ends, ends))
        if len(operator.outputs) != ends or -1 in operator.inputs:
            raise Malformed(f"its {ends} states must be its inputs and its outputs")
        nodes: list[Node] = []
        state = operator.inputs
        for passes in count(1):
            asked = condition.run(state)
            if asked is None:
                return []
            if not self._goes_on(asked[1][0]):
                return nodes + self._ends(operator, state)
            if passes > MOST_PASSES:
                raise _Unknown
            made = body.run(state)
            if made is None:
                return []
            nodes += made[0]
            state = made[1]
        raise AssertionError("a loop without end")

    def _goes_on(self, index: int) -> bool:
        answer = self.tensors[index]
        if answer.dtype != "bool" or answer.elements != 1:
            raise Malformed(f"its condition must be one bool, not {answer.dtype}{answer.shape}")
        if answer.data is None:
            raise _Unknown
        return bool(answer.data.reshape(-1)[0])

    def _subgraph(self, operator: FileOperator, which: str, inputs: int, outputs: int) -> FileModel:
        options = operator.options
        if options is None or options.type != "WhileOptions":
            raise Malformed("its options are missing")
        number = options.get(f"{which}SubgraphIndex")
        if not 0 < number <= len(self.model.others):
            raise Malformed(f"there is no subgraph {number} to be its {which.lower()}")
        part = replace(self.model.others[number - 1], others=self.model.others)
        if (len(part.inputs), len(part.outputs)) != (inputs, outputs):
            raise Malformed(
                f"subgraph {number} must have {inputs} inputs and {outputs} outputs, it has "
                f"{len(part.inputs)} and {len(part.outputs)}"
            )
        if any(tensor.variable for tensor in part.tensors):
            raise Unsupported("its body keeps a state", "pass the state in and out instead")
        part = with_chains(with_choices(part))
        check_order(part)
        return part

    def spend(self, operators: int) -> None:
        self.operators += operators
        if self.operators > MOST_OPERATORS:
            raise _Unknown

    def _ends(self, operator: FileOperator, state: Sequence[int]) -> list[Node]:
        """The loop's outputs are the states after the last pass."""
        nodes = []
        for index, last in zip(operator.outputs, state, strict=True):
            found = self.tensors[last]
            self.tensors[index] = replace(
                found, index=index, name=self.files[index].name, variable=False
            )
            if found.data is not None:
                if index in self.model.outputs:
                    raise Unsupported(
                        "it makes an output of the model that never changes",
                        "leave that output out",
                    )
                continue
            attrs = Reshape(found.shape)
            name = self.files[index].name
            nodes.append(Node("reshape", (last,), (index,), attrs, name, operator.index))
        return nodes


class _Part:
    """A loop's condition or body; its constants are the same in all passes."""

    def __init__(self, loops: Loops, operator: FileOperator, model: FileModel) -> None:
        self.loops, self.operator, self.model = loops, operator, model
        self.produced = {index for inner in model.operators for index in inner.outputs}
        self.constants = {
            tensor.index: self._added(tensor)
            for tensor in model.tensors
            if tensor.data is not None and tensor.index not in model.inputs
        }

    def _added(self, tensor: FileTensor) -> int:
        """The model's own copy of a tensor."""
        files = self.loops.files
        index = len(files)
        files.append(replace(tensor, index=index))
        converted = self.loops.convert(tensor, self.produced)
        if converted is not None:
            self.loops.tensors[index] = replace(converted, index=index)
        return index

    def run(self, state: Sequence[int]) -> tuple[list[Node], tuple[int, ...]] | None:
        """One pass: its nodes and outputs; None once one of its operators is refused."""
        loops = self.loops
        loops.spend(1 + len(self.model.operators))
        places = dict(zip(self.model.inputs, state, strict=True)) | self.constants
        loops.check_states(self.model, [loops.tensors.get(index) for index in state])
        begin = len(loops.files)
        for tensor in self.model.tensors:
            if tensor.index not in places:
                places[tensor.index] = self._added(tensor)
        nodes = loops.read([moved(op, self.operator.index, places) for op in self.model.operators])
        if nodes is None:
            return None
        outputs = tuple(places[index] for index in self.model.outputs)
        used = {t for node in nodes for t in (*node.operands, *node.outputs)} | set(outputs)
        for index in range(begin, len(loops.files)):
            if index not in used:
                loops.tensors.pop(index, None)
        return nodes, outputs


def _kind(tensor: Tensor) -> tuple[object, ...]:
    values = tensor.quantization
    if values is None:
        return (tensor.dtype,)
    return tensor.dtype, values.scales.tolist(), values.zero_points.tolist(), values.axis
