"""Operators of one int8 operand as ONNX Runtime computes them: of real numbers, rounded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import wraps

import numpy as np

from ..runtime.graph import Graph, Node
from .fixedpoint import is_in_floats
from .operation import Reference


def through_floats(reference: Reference) -> Reference:
    """The reference, or where the output is rounded in floats, its own float32 form between a
    dequantization and a quantization with ties to even."""

    @wraps(reference)
    def run(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        x, y = graph.input(node), graph.output(node)
        if x.dtype != "int8" or not is_in_floats(y) or arrays[0] is None:
            return reference(graph, node, arrays)
        real = (arrays[0].astype(np.float32) - np.float32(x.zero_point)) * np.float32(x.scale)
        floats = {t.index: replace(t, dtype="float32", quantization=None) for t in (x, y)}
        with_floats = graph.with_nodes(graph.nodes, {**graph.tensors, **floats})
        (made,) = reference(with_floats, node, [real])
        whole = np.rint(made / np.float32(y.scale)) + y.zero_point
        return [np.clip(whole, -128, 127).astype(np.int8)]

    return run
