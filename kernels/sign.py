"""sign, of TFLite's SIGN: 1, 0 or -1 (tensorflow/lite/kernels/sign.cc)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import ELEMENT, Lowered
from .elementwise import ROWS, unary_rows
from .operation import Operation, layout

F32 = layout("sign_f32", f"{ROWS} x y")


def reference(graph: Graph, node: Node, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """A NaN is neither above nor below 0, and gives 0."""
    x = inputs[0]
    assert x is not None
    return [(x > 0).astype(np.float32) - (x < 0).astype(np.float32)]


def is_float32(graph: Graph, node: Node) -> bool:
    """Input and output must be float32."""
    return graph.input(node).dtype == graph.output(node).dtype == "float32"


def lower(graph: Graph, node: Node) -> Lowered:
    """A row kernel."""
    return F32.lowered(ELEMENT, **unary_rows(graph, node))


OPERATION = Operation(reference, lower, (F32,), (is_float32,))
