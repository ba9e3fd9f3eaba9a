"""Lowering of int8 sums to one linear function, with the bits of TFLite's (see `linear_add`)."""

from __future__ import annotations

from ...kernels.add import rescaling
from ...kernels.linear_add import linear
from ...kernels.operation import layout
from ...runtime.graph import Graph, Node
from ...runtime.lowering import Lowered

ADD = layout("add_linear_s8", "rows count a b y a_scale b_scale offset least greatest")


def lower_add(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The call for an `add_s8`, or None if a pair of inputs would get other bits."""
    found = linear(rescaling(graph, node))
    if found is None:
        return None
    a_scale, b_scale, offset = found
    own = {name: plain.fields[name] for name in ADD.fields if name in plain.fields}
    return ADD.lowered(
        plain.granularity,
        **own,
        a_scale=a_scale,
        b_scale=b_scale,
        offset=offset,
        least=plain.fields["minimum"],
        greatest=plain.fields["maximum"],
    )
