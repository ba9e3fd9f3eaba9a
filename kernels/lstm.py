"""lstm: a unidirectional sequence LSTM in integers: int8 in and out, int16 gates and cell state.

The input gate may be left out (CIFG: it is then one minus the forget gate). Gates before their
activation are Q3.12, after it Q0.15. (TFLite unidirectional_sequence_lstm.cc, lstm_eval.cc
EvalInteger8x8_16, reference/portable_tensor_utils.cc.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..runtime.graph import Graph, Node, Tensor
from ..runtime.lowering import ROW, Address, Constant, Cursor, Field, Lowered, Rows
from .fixedpoint import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
)
from .gemmlowp_int16 import INT16_MAX, INT16_MIN, logistic, tanh
from .operation import Operation, layout
from .scales import checked_log2

Int64Array = NDArray[np.int64]

# rows: time steps, each of `width` batches. x, y: cursors; hidden (the output state), cell:
# addresses. `gates` matrices lie in the order of GATES; `rescale` has four numbers for each:
# multiplier and shift of the input's product, then of the recurrent one.
S8 = layout(
    "lstm_s8",
    "rows width x y hidden cell depth units gates input_weights recurrent_weights input_bias"
    " recurrent_bias rescale cell_bits cell_clip hidden_multiplier hidden_shift hidden_zero",
)

# Operand positions.
HIDDEN, CELL = 18, 19
PEEPHOLE, PROJECTION, LAYER_NORM = (9, 10, 11), (16, 17), (20, 21, 22, 23)
# (input weights, recurrent weights, bias) of the gates forget, cell, output, input.
GATES = ((2, 6, 13), (3, 7, 14), (4, 8, 15), (1, 5, 12))
GATE_SCALE = np.float32(2.0**-12)
HIDDEN_INTERMEDIATE = 4


@dataclass(frozen=True, eq=False)
class Gates:
    """What the three or four gates add up, as stacked arrays."""

    input_weights: NDArray[np.int8]  # [gates, units, depth]
    recurrent_weights: NDArray[np.int8]  # [gates, units, units]
    input_bias: NDArray[np.int32]  # [gates, units], less the input's zero point times its weights
    recurrent_bias: NDArray[np.int32]  # likewise of the hidden state
    rescale: NDArray[np.int32]  # [gates, 4]


@dataclass(frozen=True)
class Output:
    """How a cell state becomes a hidden value."""

    cell_bits: int  # before the point of the int16 cell state
    cell_clip: int  # 0 is none
    multiplier: int
    shift: int
    zero: int


def gates_of(graph: Graph, node: Node) -> Gates:
    """The gates' parameters; without the input gate if it is left out."""
    present = GATES if graph.operand(node, GATES[3][0]) is not None else GATES[:3]
    x, hidden = graph.input(node), graph.input(node, HIDDEN)
    parts = [[graph.input(node, position) for position in gate] for gate in present]
    rescale = [
        (*quantize_multiplier(_effective(w, x)), *quantize_multiplier(_effective(r, hidden)))
        for w, r, _ in parts
    ]
    return Gates(
        np.stack([_data(w).astype(np.int8) for w, _, _ in parts]),
        np.stack([_data(r).astype(np.int8) for _, r, _ in parts]),
        np.stack([_bias(x, w) + _data(b) for w, _, b in parts]).astype(np.int32),
        np.stack([_bias(hidden, r) for _, r, _ in parts]).astype(np.int32),
        np.array(rescale, np.int32),
    )


def _data(tensor: Tensor) -> Int64Array:
    assert tensor.data is not None
    return tensor.data.astype(np.int64)


def _bias(x: Tensor, weights: Tensor) -> Int64Array:
    total: Int64Array = -x.zero_point * _data(weights).sum(axis=1)
    return total


def _effective(weights: Tensor, x: Tensor) -> float:
    """Accumulator units to gate units, in float32."""
    return float(np.float32(weights.scale) * np.float32(x.scale) / GATE_SCALE)


def output_of(graph: Graph, node: Node) -> Output:
    """The cell state's and the hidden value's parameters."""
    cell, attrs = graph.input(node, CELL), node.attrs
    log2, hidden = checked_log2(cell.scale), attrs.intermediates[HIDDEN_INTERMEDIATE]
    assert log2 is not None and hidden is not None
    clip = np.float32(attrs.cell_clip) / np.float32(cell.scale) if attrs.cell_clip > 0 else 0
    multiplier, shift = quantize_multiplier(float(np.float32(2.0**-30 / hidden[0])))
    return Output(15 + log2, int(min(clip, INT16_MAX)), multiplier, shift, hidden[1])


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The hidden value after each time step of x [batch, time, batch, depth].

    The arrays of both states are updated in place.
    """
    x, hidden, cell = arrays[0], arrays[HIDDEN], arrays[CELL]
    assert x is not None and hidden is not None and cell is not None
    gates, output, shape = gates_of(graph, node), output_of(graph, node), graph.output(node).shape
    answers = []
    for step in np.moveaxis(x, 1, 0).reshape(x.shape[1], -1, x.shape[3]):
        hidden[...], cell[...] = _step(gates, output, step, hidden, cell)
        answers.append(hidden.reshape(shape[0], shape[2], shape[3]).copy())
    return [np.stack(answers, axis=1)]


def _step(
    gates: Gates, output: Output, x: np.ndarray, hidden: np.ndarray, cell: np.ndarray
) -> tuple[Int64Array, Int64Array]:
    """(hidden, cell) after one time step of x [batch, depth]."""

    def gate(index: int, activation: Callable[[ArrayLike, int], np.ndarray]) -> Int64Array:
        return activation(_gate(gates, index, x, hidden), 3).astype(np.int64)

    forget, candidate, out = gate(0, logistic), gate(1, tanh), gate(2, logistic)
    take = gate(3, logistic) if len(gates.rescale) == 4 else INT16_MAX - forget
    kept = rounding_divide_by_pot(forget * cell, 15)
    added = rounding_divide_by_pot(take * candidate, 15 + output.cell_bits)
    cell = np.clip(kept + added, INT16_MIN, INT16_MAX).astype(np.int64)
    if output.cell_clip > 0:
        cell = np.clip(cell, -output.cell_clip, output.cell_clip)
    product = out * tanh(cell, output.cell_bits).astype(np.int64)
    scaled = multiply_by_quantized_multiplier(product, output.multiplier, output.shift)
    return np.clip(scaled.astype(np.int64) + output.zero, -128, 127), cell


def _gate(gates: Gates, index: int, x: np.ndarray, hidden: np.ndarray) -> Int64Array:
    """A gate before its activation, in Q3.12: cut to int16 after each of its two products."""
    total = np.zeros((), np.int64)
    sides = (
        (x, gates.input_weights, gates.input_bias, gates.rescale[index, :2]),
        (hidden, gates.recurrent_weights, gates.recurrent_bias, gates.rescale[index, 2:]),
    )
    for values, weights, bias, (multiplier, shift) in sides:
        product = values.astype(np.int64) @ weights[index].T.astype(np.int64) + bias[index]
        scaled = multiply_by_quantized_multiplier(product, multiplier, shift)
        total = np.clip(total + scaled.astype(np.int64), INT16_MIN, INT16_MAX)
    return total


def lower(graph: Graph, node: Node) -> Lowered:
    """Time steps are rows; the states are updated in place."""
    x, y = graph.input(node), graph.output(node)
    hidden, cell = graph.input(node, HIDDEN), graph.input(node, CELL)
    gates, output = gates_of(graph, node), output_of(graph, node)
    fields: dict[str, Field] = {
        "rows": Rows(),
        "width": x.shape[2],
        "x": Cursor(x.index),
        "y": Cursor(y.index),
        "hidden": Address(hidden.index, image=True),
        "cell": Address(cell.index, image=True),
        "depth": x.shape[3],
        "units": y.shape[3],
        "gates": len(gates.rescale),
        "input_weights": Constant(gates.input_weights),
        "recurrent_weights": Constant(gates.recurrent_weights),
        "input_bias": Constant(gates.input_bias),
        "recurrent_bias": Constant(gates.recurrent_bias),
        "rescale": Constant(gates.rescale),
        "cell_bits": output.cell_bits,
        "cell_clip": output.cell_clip,
        "hidden_multiplier": output.multiplier,
        "hidden_shift": output.shift,
        "hidden_zero": output.zero,
    }
    return S8.lowered(ROW, **fields)


# ---- constraints -------------------------------------------------------------------------------


def _present(graph: Graph, node: Node, positions: Sequence[int]) -> list[Tensor]:
    found = (graph.operand(node, position) for position in positions)
    return [tensor for tensor in found if tensor is not None]


def _gate_operands(graph: Graph, node: Node, part: int) -> list[Tensor]:
    return _present(graph, node, [gate[part] for gate in GATES])


def is_integer(graph: Graph, node: Node) -> bool:
    """Input, output, output state and weights must be int8, the cell state int16, biases int32; or
    all float32, or activations and both states int16 and weights int8 (with four gates), in at most
    256 time steps, which are written out."""
    weights = _gate_operands(graph, node, 0) + _gate_operands(graph, node, 1)
    small = [graph.input(node), graph.output(node), graph.input(node, HIDDEN), *weights]
    biases = _gate_operands(graph, node, 2)
    return (
        all(t.dtype == "int8" for t in small)
        and graph.input(node, CELL).dtype == "int16"
        and all(t.dtype == "int32" for t in biases)
    )


def is_plain(graph: Graph, node: Node) -> bool:
    """An LSTM must have no peephole, projection or layer normalization, and tanh activation."""
    absent = (*PEEPHOLE, *PROJECTION, *LAYER_NORM)
    return not _present(graph, node, absent) and node.attrs.activation == "tanh"


def gates_are_whole(graph: Graph, node: Node) -> bool:
    """The input gate's weights and bias must be all there or all left out."""
    return len(_present(graph, node, GATES[3])) in (0, 3)


def weights_are_constant(graph: Graph, node: Node) -> bool:
    """Weights and biases must be constants, and weights have one scale and zero point 0."""
    weights = _gate_operands(graph, node, 0) + _gate_operands(graph, node, 1)
    plain = all(
        t.quantization and not t.quantization.per_axis and not t.zero_point for t in weights
    )
    return plain and all(t.constant for t in weights + _gate_operands(graph, node, 2))


def cell_scale_fits(graph: Graph, node: Node) -> bool:
    """The cell state's scale must be a power of two between 2**-15 and 2**-9."""
    cell = graph.input(node, CELL)
    log2 = checked_log2(cell.scale) if cell.quantization is not None else None
    return log2 is not None and -15 <= log2 <= -9


def hidden_is_quantized(graph: Graph, node: Node) -> bool:
    """The fifth intermediate tensor must have a scale and a zero point."""
    found = node.attrs.intermediates
    return len(found) > HIDDEN_INTERMEDIATE and found[HIDDEN_INTERMEDIATE] is not None


OPERATION = Operation(
    reference,
    lower,
    (S8,),
    (
        is_plain,
        is_integer,
        gates_are_whole,
        weights_are_constant,
        cell_scale_fits,
        hidden_is_quantized,
    ),
)
