"""What an importer knows before a model runs: small integers, and the part that it could read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..backend import find_backend
from ..graph import Graph, Node, Tensor
from .tflite_reading import Unsupported

MOST_ELEMENTS = 4096  # of a value that is computed while a model is read
MOST_PASSES = 1024  # of a loop that is written out


def limited(passes: int) -> int:
    """How often a loop runs, which must not be too often to be written out."""
    if passes > MOST_PASSES:
        raise Unsupported(f"it runs more than {MOST_PASSES} times", "let it run fewer times")
    return passes


def known_values(
    node: Node, tensors: Mapping[int, Tensor], any_type: bool = False
) -> list[np.ndarray] | None:
    """The answers of a node on constant whole numbers, as shapes are made of; None for others.

    With `any_type` of other constants, too, as a loop's counters are.
    """
    operands = [None if t is None else tensors[t] for t in node.inputs]
    ends = [*(t for t in operands if t is not None), *(tensors[t] for t in node.outputs)]
    small = all(t.elements <= MOST_ELEMENTS for t in ends)
    small = small and (any_type or all(t.dtype in ("int32", "int64") for t in ends))
    constant = [t.constant for t in operands if t is not None]
    if not small or not constant or not all(constant):
        return None
    graph = Graph((node,), {t.index: t for t in ends}, (), node.outputs)
    reference: Any = find_backend("reference")
    if reference.refuse(graph, node) is not None:
        return None
    values: list[np.ndarray] = reference.evaluate(
        graph, node, [None if t is None else t.data for t in operands]
    )
    return values


def graph_of(nodes: Sequence[Node], tensors: Mapping[int, Tensor]) -> Graph:
    """These nodes of a model, as many as there are: what others would have made are inputs."""
    made = {t for node in nodes for t in node.outputs}
    read = dict.fromkeys(t for node in nodes for t in node.operands)
    inputs = [t for t in read if t not in made and not tensors[t].constant]
    inputs = [t for t in inputs if not tensors[t].variable]
    outputs = [t for node in nodes for t in node.outputs if t not in read]
    used = {t: tensors[t] for t in (*read, *made)}
    return Graph(tuple(nodes), used, tuple(inputs), tuple(outputs))
