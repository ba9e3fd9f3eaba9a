"""Readers of the operators that keep a state: UNIDIRECTIONAL_SEQUENCE_LSTM and SVDF."""

from __future__ import annotations

from ..attributes import Lstm, Svdf
from ..graph import Tensor
from .tflite_compute import check_bias, check_weights
from .tflite_file import Malformed
from .tflite_reading import Parts, Reading, Unsupported

LSTM_INPUTS = 24
LSTM_INTERMEDIATES = 5


def svdf(node: Reading) -> Parts:
    """Operands: x, feature weights, time weights, bias, state."""
    x, features, times, state = (node.tensor(position) for position in (0, 1, 2, 4))
    rank = node.option("Rank", 0)
    shapes = [len(t.shape) for t in (x, features, times, state)]
    if shapes != [2, 2, 2, 2]:
        raise Malformed(f"its operands must have 2 axes each, not {shapes}")
    filters, memory = times.shape
    if rank < 1 or filters % rank or not filters:
        raise Malformed(f"rank {rank} doesn't divide {filters} filters")
    if features.shape != (filters, x.shape[1]) or state.shape != (x.shape[0], filters * memory):
        raise Malformed(
            f"weights {list(features.shape)} and {list(times.shape)} and a state "
            f"{list(state.shape)} don't fit an input {list(x.shape)}"
        )
    check_weights(node, x, features, filters, 0)
    check_bias(node, 3, x, features, filters // rank)
    node.state(4)
    attrs = Svdf(rank=rank, activation=node.activation())
    return Parts("svdf", attrs, node.operands(0, 1, 2, 3, 4))


def lstm(node: Reading) -> Parts:
    """Operands: the 24 positions of tensorflow/lite/kernels/lstm_shared.h, None where left out."""
    x, time_major = node.tensor(0), bool(node.option("TimeMajor"))
    if len(x.shape) != 3:
        raise Malformed(f"its input must have 3 axes, not {len(x.shape)}")
    if node.option("DiagonalRecurrentTensors"):
        raise Unsupported("its recurrent weights are diagonal", "use full recurrent weights")
    _check_lstm_shapes(node, x, x.shape[1 if time_major else 0])
    node.same_type()
    node.per_tensor(x, node.output(), node.state(18), node.state(19))
    attrs = Lstm(
        cell_clip=node.number("CellClip"),
        projection_clip=node.number("ProjClip"),
        time_major=time_major,
        activation=node.activation("tanh"),
        intermediates=_intermediates(node, x),
    )
    found = tuple(node.index(position) for position in range(LSTM_INPUTS))
    return Parts("lstm", attrs, found)


def _intermediates(node: Reading, x: Tensor) -> tuple[tuple[float, int] | None, ...]:
    """(scale, zero point) of values inside the cell, which have no tensor at run time."""
    indices = node.operator.intermediates
    if x.dtype == "int8" and len(indices) != LSTM_INTERMEDIATES:
        raise Malformed(f"it has {len(indices)} intermediates, {LSTM_INTERMEDIATES} are needed")
    found = [node.tensors[i].quantization if i in node.tensors else None for i in indices]
    if x.dtype == "int8" and found[-1] is None:
        raise Malformed("its hidden value, the last intermediate, has no scale")
    return tuple(None if q is None else (q.scale, q.zero_point) for q in found)


def _check_lstm_shapes(node: Reading, x: Tensor, batch: int) -> None:
    """Every operand has the shape that the sizes of gates 2 to 4 and of the states ask for."""
    hidden, cell = node.state(18), node.state(19)
    if len(hidden.shape) != 2 or len(cell.shape) != 2:
        raise Malformed("its states must have 2 axes")
    outputs, units, depth = hidden.shape[1], cell.shape[1], x.shape[2]
    needed = {18: (batch, outputs), 19: (batch, units), 16: (outputs, units), 17: (outputs,)}
    needed |= dict.fromkeys((1, 2, 3, 4), (units, depth))
    needed |= dict.fromkeys((5, 6, 7, 8), (units, outputs))
    needed |= dict.fromkeys((9, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23), (units,))
    for position, shape in needed.items():
        operand = node.optional(position)
        if operand is None:
            continue
        if operand.shape != shape:
            raise Malformed(
                f"input {position} must have shape {list(shape)}, not {list(operand.shape)}"
            )
        if 1 <= position <= 8:
            check_weights(node, x, operand, units, 0)
        if 12 <= position <= 15:
            check_bias(node, position, x, node.tensor(2), units)
    for position in (2, 3, 4, 6, 7, 8, 13, 14, 15):
        node.tensor(position)  # only the input gate (1, 5, 12) may be left out
    if outputs != units and node.optional(16) is None:
        raise Malformed(f"{units} cells and {outputs} outputs need projection weights")
