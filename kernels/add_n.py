"""add_n: the sum of several int8 tensors of one scale, rounded once. (TFLM add_n.cc.)

As TFLM's does, a sum starts at less its zero point, not at 0. Of float32 and int32 it is a chain of
additions, which an importer makes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.graph import Graph, Node, Tensor
from ..runtime.lowering import ELEMENT, Address, Constant, Field, Lowered
from .elementwise import all_of, is_quantized
from .fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from .operation import Operation, layout

MOST_TERMS = 16
SHIFT = 19  # of a sum before it is scaled; it may wrap then, in 32 bits
_TERMS = tuple(f"x{i}" for i in range(MOST_TERMS))
SCALING = "x_offset multiplier shift y_offset"
# Bit i of `constant`: term i is in the constants. Terms beyond `terms` are 0.
ADD_N_S8 = layout("add_n_s8", f"y count terms constant {SCALING} {' '.join(_TERMS)}")


def scaling(x: Tensor, y: Tensor) -> dict[str, int]:
    """The words of `SCALING`."""
    multiplier, shift = quantize_multiplier(2.0 * x.scale / ((1 << (SHIFT + 1)) * y.scale))
    return {
        "x_offset": -x.zero_point,
        "multiplier": multiplier,
        "shift": shift,
        "y_offset": y.zero_point,
    }


def scaled_sums(sums: np.ndarray, words: dict[str, int]) -> np.ndarray:
    """Sums of numbers less their zero points, in the output's scale."""
    fine = (sums.astype(np.int64) << SHIFT).astype(np.int32)  # wraps
    scaled = multiply_by_quantized_multiplier(fine, words["multiplier"], words["shift"])
    return np.clip(scaled.astype(np.int64) + words["y_offset"], -128, 127).astype(np.int8)


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The sum of all terms."""
    words = scaling(graph.input(node), graph.output(node))
    terms = [array.astype(np.int64) + words["x_offset"] for array in arrays if array is not None]
    return [scaled_sums(words["x_offset"] + np.sum(terms, axis=0), words)]


def lower(graph: Graph, node: Node) -> Lowered:
    """One call for all terms."""
    terms, y = [graph.tensors[t] for t in node.operands], graph.output(node)
    fields: dict[str, Field] = dict.fromkeys(_TERMS, 0)
    for name, term in zip(_TERMS, terms):
        fields[name] = Address(term.index) if term.data is None else Constant(term.data)
    return ADD_N_S8.lowered(
        ELEMENT,
        **fields,
        **scaling(terms[0], y),
        y=Address(y.index),
        count=y.elements,
        terms=len(terms),
        constant=sum(int(term.constant) << i for i, term in enumerate(terms)),
    )


def terms_alike(graph: Graph, node: Node) -> bool:
    """The terms must be 2 to 16, of one shape, scale and zero point, as the first."""
    terms = [graph.tensors[t] for t in node.operands]
    kinds = {(t.shape, t.scale, t.zero_point) for t in terms}
    return len(kinds) == 1 and 2 <= len(terms) <= MOST_TERMS


def scales_fit(graph: Graph, node: Node) -> bool:
    """Input scale / output scale must be under 2**19."""
    return graph.input(node).scale / graph.output(node).scale < 1 << SHIFT


OPERATION = Operation(
    reference, lower, (ADD_N_S8,), (all_of("int8"), is_quantized, terms_alike, scales_fit)
)
