"""Lowering of int8 additions and subtractions of two whole tensors to `add_vector_s8`.

The operand with the larger scale is half of the common scale exactly: its rescaling is a shift, and
it always comes first here.
"""

from __future__ import annotations

from ...runtime.graph import Graph, Node
from ...runtime.lowering import ELEMENT, Lowered
from .. import add
from ..operation import layout

# a's rescaling is a product with a_factor; multipliers are applied doubling and high, right shifts
# round to nearest, ties away from zero.
S8 = layout(
    "add_vector_s8",
    "rows count a b y a_offset a_factor b_left b_offset b_multiplier b_right "
    "y_offset y_multiplier y_right minimum maximum",
)
LAYOUTS = (S8,)
HALF = 1 << 30  # the multiplier of 0.5, with a shift of 0


def lower(graph: Graph, node: Node) -> Lowered | None:
    """None where the plain kernel must do it: other types, broadcasts, outputs scaled up."""
    if graph.output(node).dtype != "int8":
        return None
    plain = add.lower(graph, node)
    if plain.kernel != add.ADD_S8.same.kernel:
        return None
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
