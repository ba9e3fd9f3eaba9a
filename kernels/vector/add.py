"""Lowering of int8 additions and subtractions to vector kernels.

Most are one linear function of both operands (`kernels/linear_add.py`). Else, in `add_vector_s8`,
the operand with the larger scale is half of the common scale exactly: its rescaling is a shift, and
it always comes first there.
"""

from __future__ import annotations

import numpy as np

from ...runtime.graph import Graph, Node
from ...runtime.lowering import ELEMENT, Constant, Field, Lowered
from .. import add
from ..linear_add import linear
from ..operation import Layout, layout

# a's rescaling is a product with a_factor; multipliers are applied doubling and high, right shifts
# round to nearest, ties away from zero.
S8 = layout(
    "add_vector_s8",
    "rows count a b y a_offset a_factor b_left b_offset b_multiplier b_right "
    "y_offset y_multiplier y_right minimum maximum",
)
_LINEAR = "a_scale b_scale offset minimum maximum"
LINEAR_S8 = layout("add_linear_vector_s8", f"rows count a b y {_LINEAR}")
# b is the same for each row, and perhaps for each column: see `kernels/elementwise.py`.
LINEAR_ROW_S8 = layout(
    "add_linear_row_vector_s8", f"rows columns channels a b y b_constant b_column {_LINEAR}"
)
LAYOUTS = (S8, LINEAR_S8, LINEAR_ROW_S8)
HALF = 1 << 30  # the multiplier of 0.5, with a shift of 0
SLACK = 16  # bytes after a constant that a vector may read


def lower(graph: Graph, node: Node) -> Lowered | None:
    """None where the plain kernel must do it: other types, other broadcasts, rare numbers."""
    if graph.output(node).dtype != "int8":
        return None
    plain = add.lower(graph, node)
    if plain.kernel == add.ADD_S8.row.kernel and plain.fields["b_channel"]:
        return _linear(plain, LINEAR_ROW_S8)
    if plain.kernel != add.ADD_S8.same.kernel:
        return None
    return _linear(plain, LINEAR_S8) or _by_parts(graph, node, plain)


def _linear(plain: Lowered, words: Layout) -> Lowered | None:
    numbers = {name: field for name, field in plain.fields.items() if isinstance(field, int)}
    found = linear(numbers, together=True)
    if found is None:
        return None
    fields: dict[str, Field] = dict(zip(("a_scale", "b_scale", "offset"), found, strict=True))
    own = {name: plain.fields[name] for name in words.fields if name in plain.fields}
    if isinstance(own["b"], Constant):
        own["b"] = Constant(np.append(own["b"].array.reshape(-1), np.zeros(SLACK, np.int8)))
    return words.lowered(ELEMENT, **own, **fields)


def _by_parts(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    words = add.rescaling(graph, node)
    first, second = ("a", "b") if _is_half(words, "a") else ("b", "a")
    if not _is_half(words, first) or words["y_shift"] > 0 or words[f"{second}_shift"] > 0:
        return None
    sign = 1 if words[f"{first}_multiplier"] > 0 else -1
    return S8.lowered(
        ELEMENT,
        rows=plain.fields["rows"],
        count=plain.fields["count"],
        a=plain.fields[first],
        b=plain.fields[second],
        y=plain.fields["y"],
        a_offset=words[f"{first}_offset"],
        a_factor=sign << (add.LEFT_SHIFT["int8"] - 1),
        b_left=words[f"{second}_left"],
        b_offset=words[f"{second}_offset"],
        b_multiplier=words[f"{second}_multiplier"],
        b_right=-words[f"{second}_shift"],
        y_offset=words["y_offset"],
        y_multiplier=words["y_multiplier"],
        y_right=-words["y_shift"],
        minimum=words["minimum"],
        maximum=words["maximum"],
    )


def _is_half(words: dict[str, int], side: str) -> bool:
    return abs(words[f"{side}_multiplier"]) == HALF and words[f"{side}_shift"] == 0
