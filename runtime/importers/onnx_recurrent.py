"""RNN, GRU and LSTM: written out step by step, since the number of steps is known.

Rules are those of https://onnx.ai/onnx/operators/ for opset 7 and newer. Sequences of different
lengths in a batch, clipping and other activations than the usual ones are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..attributes import Concatenation, NoAttrs, Split
from ..graph import DTYPES
from .onnx_building import Value
from .onnx_general import pair, product
from .onnx_normalizing import number
from .onnx_placing import picked
from .onnx_reading import REFIT, Made, NodeReading
from .tflite_reading import Unsupported

USUAL = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
_STATE = 5  # where the first state's operand stands; that of the cell follows it


@dataclass(frozen=True)
class Direction:
    """Weights of one direction, [input, gates * units] and so on, of constants or computed."""

    node: NodeReading
    weights: int
    recurrent: int
    bias: int | None
    recurrent_bias: int | None
    units: int
    gates: int

    def gated(self, x: int) -> int:
        """The input's part of all gates."""
        y = product(self.node, x, self.weights)
        return y if self.bias is None else pair(self.node, "add", y, self.bias)

    def returned(self, hidden: int) -> int:
        """The state's part of all gates."""
        y = product(self.node, hidden, self.recurrent)
        bias = self.recurrent_bias
        return y if bias is None else pair(self.node, "add", y, bias)

    def parts(self, x: int) -> tuple[int, ...]:
        """[batch, gates * units] gate by gate."""
        if self.gates == 1:
            return (x,)
        sizes = Split(1, (self.units,) * self.gates)
        return self.node.emit("split", [x], sizes, outputs=self.gates)


def of_floats(node: NodeReading) -> Made:
    return recurrent(node, lambda place: _direction(node, place))


def recurrent(node: NodeReading, direct: Callable[[int], Direction]) -> Made:
    """All steps of all directions, of which `direct` makes one by its place: the outputs, then the
    last states."""
    _refuse_unusual(node)
    batch_first = node.attribute("layout", 0) == 1
    x = node.build.plain(node.inputs[0])
    x = node.build.transposed(x, (1, 0, 2)) if batch_first else x
    steps, batch, width = node.build.tensors[x].shape
    rows = [
        node.build.reshaped(picked(node, x, [step], 0), (batch, width)) for step in range(steps)
    ]
    way = node.attribute("direction", "forward")
    backwards = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[way]
    made, hidden, cells = [], [], []
    for place, back in enumerate(backwards):
        series = rows[::-1] if back else rows
        outputs, last = _run(direct(place), place, series, batch, batch_first)
        made.append(outputs[::-1] if back else outputs)
        hidden.append(last[0])
        cells.append(last[-1])
    return _answers(node, made, hidden, cells, batch_first)


def _refuse_unusual(node: NodeReading) -> None:
    usual = USUAL[node.op] * (2 if node.attribute("direction", "forward") == "bidirectional" else 1)
    given = node.attribute("activations")
    names = usual if given is None else [a.decode() if isinstance(a, bytes) else a for a in given]
    if [n.lower() for n in names] != [n.lower() for n in usual]:
        raise Unsupported(f"its activations are {', '.join(names)}", REFIT)
    if node.attribute("clip") or node.attribute("input_forget", 0):
        raise Unsupported("it clips, or couples its input and forget gates", REFIT)
    lengths = node.optional_constant(4, "lengths")
    steps = node.shape(0)[1 if node.attribute("layout", 0) else 0]
    if lengths is not None and (lengths != steps).any():
        raise Unsupported("its sequences have different lengths", "run them one by one")


def _run(
    direction: Direction, place: int, rows: Sequence[int], batch: int, batch_first: bool
) -> tuple[list[int], list[int]]:
    """(output of each step, last states) of one direction."""
    node = direction.node
    state = [_initial(node, i, place, batch, direction.units, batch_first)
             for i in range(2 if node.op == "LSTM" else 1)]  # fmt: skip
    step = {"RNN": _rnn, "GRU": _gru, "LSTM": _lstm}[node.op]
    peepholes = _peepholes(node, place, direction.units)
    outputs = []
    for row in rows:
        state = step(direction, row, state, peepholes)
        outputs.append(state[0])
    return outputs, state


def _direction(node: NodeReading, place: int) -> Direction:
    build = node.build

    def part(operand: int) -> int:
        whole = build.plain(node.inputs[operand])
        return build.reshaped(picked(node, whole, [place], 0), build.tensors[whole].shape[1:])

    weights, back = (build.transposed(part(i), (1, 0)) for i in (1, 2))
    units, columns = build.tensors[back].shape
    bias = recurrent_bias = None
    if node.has(3):
        both = part(3)
        bias = picked(node, both, range(columns), 0)
        recurrent_bias = picked(node, both, range(columns, 2 * columns), 0)
    return Direction(node, weights, back, bias, recurrent_bias, units, columns // units)


def _initial(
    node: NodeReading, state: int, place: int, batch: int, units: int, batch_first: bool
) -> int:
    build, operand = node.build, _STATE + state
    if not node.has(operand):
        kind = DTYPES[build.tensors[build.plain(node.inputs[0])].dtype]
        return build.constant(np.zeros((batch, units), kind))
    whole = build.plain(node.inputs[operand])
    whole = build.transposed(whole, (1, 0, 2)) if batch_first else whole
    return build.reshaped(picked(node, whole, [place], 0), (batch, units))


def _peepholes(node: NodeReading, place: int, units: int) -> list[int]:
    """Of the input, output and forget gates; none where they are left out."""
    if node.op != "LSTM" or not node.has(7):
        return []
    whole = node.build.plain(node.inputs[7])
    own = node.build.reshaped(picked(node, whole, [place], 0), (3 * units,))
    return [picked(node, own, range(i * units, (i + 1) * units), 0) for i in range(3)]


def _of(node: NodeReading, op: str, x: int) -> int:
    return node.emit(op, [x], NoAttrs())[0]


def _rnn(d: Direction, row: int, state: list[int], peepholes: list[int]) -> list[int]:
    return [_of(d.node, "tanh", pair(d.node, "add", d.gated(row), d.returned(state[0])))]


def _gru(d: Direction, row: int, state: list[int], peepholes: list[int]) -> list[int]:
    """Gates: update, reset, hidden."""
    node, (hidden,) = d.node, state
    own = d.parts(d.gated(row))
    back = d.parts(d.returned(hidden))
    update, reset = (_of(node, "logistic", pair(node, "add", own[i], back[i])) for i in (0, 1))
    if node.attribute("linear_before_reset", 0):
        inner = pair(node, "mul", reset, back[2])
    else:
        third = range(2 * d.units, 3 * d.units)
        inner = product(node, pair(node, "mul", reset, hidden), picked(node, d.recurrent, third, 1))
        if d.recurrent_bias is not None:
            inner = pair(node, "add", inner, picked(node, d.recurrent_bias, third, 0))
    candidate = _of(node, "tanh", pair(node, "add", own[2], inner))
    rest = pair(node, "sub", number(node, update, 1.0), update)
    return [
        pair(node, "add", pair(node, "mul", rest, candidate), pair(node, "mul", update, hidden))
    ]


def _lstm(d: Direction, row: int, state: list[int], peepholes: list[int]) -> list[int]:
    """Gates: input, output, forget, cell."""
    node, (hidden, cell) = d.node, state
    gates = list(d.parts(pair(node, "add", d.gated(row), d.returned(hidden))))
    if peepholes:
        for i in (0, 2):
            seen = pair(node, "mul", peepholes[i], cell)
            gates[i] = pair(node, "add", gates[i], seen)
    inward, forget = (_of(node, "logistic", gates[i]) for i in (0, 2))
    new = pair(node, "mul", inward, _of(node, "tanh", gates[3]))
    cell = pair(node, "add", pair(node, "mul", forget, cell), new)
    if peepholes:
        gates[1] = pair(node, "add", gates[1], pair(node, "mul", peepholes[1], cell))
    outward = _of(node, "logistic", gates[1])
    return [pair(node, "mul", outward, _of(node, "tanh", cell)), cell]


def _answers(
    node: NodeReading,
    made: Sequence[Sequence[int]],
    hidden: Sequence[int],
    cells: Sequence[int],
    batch_first: bool,
) -> Made:
    build = node.build
    batch, units = build.tensors[hidden[0]].shape
    steps, ways = len(made[0]), len(made)
    pieces = [made[way][step] for step in range(steps) for way in range(ways)]
    together = _joined(node, pieces, (steps, ways, batch, units))
    states = [_joined(node, part, (ways, batch, units)) for part in (hidden, cells)]
    if batch_first:
        together = build.transposed(together, (2, 0, 1, 3))
        states = [build.transposed(state, (1, 0, 2)) for state in states]
    answers = [together, *states]
    return [Value(index) for index in answers[: 3 if node.op == "LSTM" else 2]]


def _joined(node: NodeReading, parts: Sequence[int], shape: tuple[int, ...]) -> int:
    whole = parts[0]
    if len(parts) > 1:
        whole = node.emit("concatenation", list(parts), Concatenation(0))[0]
    return node.build.reshaped(whole, shape)


READERS: Mapping[str, Callable[[NodeReading], Made]] = dict.fromkeys(USUAL, of_floats)
