"""Boxes of objects out of a detector's raw answers: attributes and shapes. (TFLM
detection_postprocess.cc.)"""

from __future__ import annotations

from dataclasses import dataclass

from .attributes import Shape
from .graph import Graph, Node

SIDES = 4  # numbers of a box


@dataclass(frozen=True)
class Detection:
    """`scales` are those of y, x, height and width. `regular` looks for the best boxes of each
    class, `per_class` at most; else each box has its best class only."""

    most: int = 10
    classes: int = 1
    per_class: int = 100
    regular: bool = False
    least_score: float = 0.0
    most_overlap: float = 0.5
    scales: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)


def detection_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    """inputs: encoded boxes [1, n, 4 or more], scores [1, n, classes and perhaps a background],
    anchors [n, 4]; outputs: boxes [1, most, 4], classes and scores [1, most], how many [1]."""
    boxes, scores, anchors = (graph.input(node, i).shape for i in range(3))
    if len(boxes) != 3 or boxes[0] != 1 or boxes[2] < SIDES or anchors != (boxes[1], SIDES):
        raise ValueError(f"boxes {list(boxes)} by anchors {list(anchors)}")
    if len(scores) != 3 or scores[:2] != boxes[:2] or not 0 <= scores[2] - node.attrs.classes <= 1:
        raise ValueError(f"scores {list(scores)} of {node.attrs.classes} classes")
    most = node.attrs.most
    return (1, most, SIDES), (1, most), (1, most), (1,)
