"""svdf: a rank-decomposed filter bank over time, with the last `memory` activations as its state.

Each filter's newest activation is its feature weights times x; a unit is the sum over its `rank`
filters of time weights times state. The state moves on by one when an inference begins.
(TFLite svdf.cc, reference/svdf.h.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Address, Constant, Field, Lowered
from .fixedpoint import (
    float_activation_range,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
)
from .operation import Operation, layout

_SIZES = "x y state batches depth units rank memory features times bias"

S8 = layout(
    "svdf_s8",
    f"{_SIZES} input_zero state_multiplier state_shift output_multiplier output_shift output_zero",
)
F32 = layout("svdf_f32", f"{_SIZES} bounds")

FEATURES, TIMES, BIAS, STATE = 1, 2, 3, 4  # operand positions


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """One inference of x [batch, depth]. The state's array is updated in place."""
    x, state = arrays[0], arrays[STATE]
    assert x is not None and state is not None
    filters, memory = graph.input(node, TIMES).shape
    history = state.reshape(len(x), filters, memory)  # a view: the newest activation is the last
    history[:, :, :-1] = history[:, :, 1:].copy()
    make = _integer if graph.input(node).dtype == "int8" else _float
    return [make(graph, node, x, history)]


def _integer(graph: Graph, node: Node, x: np.ndarray, history: np.ndarray) -> np.ndarray:
    words, features = rescaling(graph, node), _constant(graph, node, FEATURES).astype(np.int64)
    products = ((x.astype(np.int64) - words["input_zero"]) @ features.T).astype(np.int32)
    activations = multiply_by_quantized_multiplier(
        products, words["state_multiplier"], words["state_shift"]
    )
    history[:, :, -1] = np.clip(activations, -32768, 32767)
    weighted = history.astype(np.int64) * _constant(graph, node, TIMES).astype(np.int64)
    units = weighted.sum(axis=2).reshape(len(x), -1, node.attrs.rank).sum(axis=2)
    totals = (units + bias(graph, node)).astype(np.int32)
    scaled = multiply_by_quantized_multiplier(
        totals, words["output_multiplier"], words["output_shift"]
    )
    return np.clip(scaled.astype(np.int64) + words["output_zero"], -128, 127).astype(np.int8)


def _float(graph: Graph, node: Node, x: np.ndarray, history: np.ndarray) -> np.ndarray:
    """Every sum in the order of its terms."""
    features, times = _constant(graph, node, FEATURES), _constant(graph, node, TIMES)
    history[:, :, -1] = _sum_in_order(x[:, None, :] * features)
    filtered = _sum_in_order(history * times).reshape(len(x), -1, node.attrs.rank)
    totals = _sum_in_order(filtered) + bias(graph, node)
    return np.clip(totals, *float_activation_range(node.attrs.activation))


def _sum_in_order(terms: np.ndarray) -> NDArray[np.float32]:
    """The sum over the last axis, one term after the other from 0."""
    total = np.zeros(terms.shape[:-1], np.float32)
    for term in np.moveaxis(terms, -1, 0):
        total += term
    return total


def _constant(graph: Graph, node: Node, position: int) -> np.ndarray:
    data = graph.input(node, position).data
    assert data is not None
    return data


def bias(graph: Graph, node: Node) -> np.ndarray:
    """The bias of each unit; zeros where it is left out."""
    found = graph.operand(node, BIAS)
    if found is None or found.data is None:
        kind = np.int32 if graph.input(node).dtype == "int8" else np.float32
        return np.zeros(graph.output(node).shape[1], kind)
    return found.data


def rescaling(graph: Graph, node: Node) -> dict[str, int]:
    """The zero points, and both real multipliers, which are float32."""
    x, y, state = graph.input(node), graph.output(node), graph.input(node, STATE)
    features, times = graph.input(node, FEATURES), graph.input(node, TIMES)
    first = np.float32(x.scale) * np.float32(features.scale) / np.float32(state.scale)
    second = np.float32(state.scale) * np.float32(times.scale) / np.float32(y.scale)
    state_multiplier, state_shift = quantize_multiplier(float(first))
    output_multiplier, output_shift = quantize_multiplier(float(second))
    return {
        "input_zero": x.zero_point,
        "state_multiplier": state_multiplier,
        "state_shift": state_shift,
        "output_multiplier": output_multiplier,
        "output_shift": output_shift,
        "output_zero": y.zero_point,
    }


def lower(graph: Graph, node: Node) -> Lowered:
    """One call; the state is updated in place."""
    x, y = graph.input(node), graph.output(node)
    sizes: dict[str, Field] = {
        "x": Address(x.index),
        "y": Address(y.index),
        "state": Address(graph.input(node, STATE).index),
        "batches": x.shape[0],
        "depth": x.shape[1],
        "units": y.shape[1],
        "rank": node.attrs.rank,
        "memory": graph.input(node, TIMES).shape[1],
        "features": Constant(_constant(graph, node, FEATURES)),
        "times": Constant(_constant(graph, node, TIMES)),
        "bias": Constant(bias(graph, node)),
    }
    if x.dtype == "int8":
        return S8.lowered(**sizes, **rescaling(graph, node))
    bounds = np.array(float_activation_range(node.attrs.activation), np.float32)
    return F32.lowered(**sizes, bounds=Constant(bounds))


# ---- constraints -------------------------------------------------------------------------------

_KINDS = {
    ("int8", "int8", "int16", "int16", "int8"),
    ("float32", "float32", "float32", "float32", "float32"),
}


def types_match(graph: Graph, node: Node) -> bool:
    """Input, feature weights and output must be int8 with int16 time weights and state, or all must
    be float32."""
    operands = [graph.input(node, position) for position in (0, FEATURES, TIMES, STATE)]
    return tuple(t.dtype for t in (*operands, graph.output(node))) in _KINDS


def weights_are_constant(graph: Graph, node: Node) -> bool:
    """Weights and bias must be constants."""
    found = (graph.operand(node, position) for position in (FEATURES, TIMES, BIAS))
    return all(t.constant for t in found if t is not None)


def is_symmetric(graph: Graph, node: Node) -> bool:
    """An int8 SVDF must have one scale a tensor, and zero point 0 in its weights and state."""
    if graph.input(node).dtype == "float32":
        return True
    symmetric = [graph.input(node, position) for position in (FEATURES, TIMES, STATE)]
    others = [graph.input(node), graph.output(node)]
    single = all(t.quantization and not t.quantization.per_axis for t in symmetric + others)
    return single and all(t.zero_point == 0 for t in symmetric)


def known_activation(graph: Graph, node: Node) -> bool:
    """The activation must be relu; for float32 it may also be none, relu6 or relu_n1_to_1."""
    # TFLite's int8 SVDF insists on relu, and then doesn't compute it: outputs saturate at int8.
    integer = graph.input(node).dtype == "int8"
    known = ("relu",) if integer else ("none", "relu", "relu6", "relu_n1_to_1")
    return node.attrs.activation in known


OPERATION = Operation(
    reference,
    lower,
    (S8, F32),
    (types_match, weights_are_constant, is_symmetric, known_activation),
)
