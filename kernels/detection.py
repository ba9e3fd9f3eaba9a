"""detection: boxes by anchors and scores, those that overlap better ones left out.

(TFLM detection_postprocess.cc.) Where two scores are equal the earlier box comes first, and the
earlier class. A box without area overlaps none; TFLite gives no answer to a model with such a box.
The numbers behind the last detection are 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..runtime.detection import SIDES, Detection
from ..runtime.graph import Graph, Node, Tensor
from ..runtime.lowering import Address, Constant, Field, Lowered, Scratch
from .elementwise import all_of
from .exponential import power_table
from .operation import Operation, layout
from .transcendental import exp64

Found = tuple[np.float32, int, int]  # score, box, class

# `count` boxes of `width` numbers, scores of `depth` classes from `first` on. `scales` are float64,
# `limits` the least score and the most overlap, float32. `room` has the boxes, what is kept of
# them, and a byte for each box that says whether it may still be chosen.
DETECTION_F32 = layout(
    "detection_f32",
    "boxes scores anchors anchors_constant count width depth first classes most per_class regular "
    "scales limits powers room y_boxes y_classes y_scores y_count",
)


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """(boxes as top, left, bottom and right, their classes, their scores, how many there are)."""
    raw, scores, anchors = arrays
    assert raw is not None and scores is not None and anchors is not None
    attrs = node.attrs
    with np.errstate(all="ignore"):
        boxes = _decoded(raw[0], anchors, attrs.scales)
        own = scores[0, :, scores.shape[2] - attrs.classes :]
        found = _regular(boxes, own, attrs) if attrs.regular else _fast(boxes, own, attrs)
    y = np.zeros((attrs.most, SIDES), np.float32), *np.zeros((2, attrs.most), np.float32)
    for i, (score, box, which) in enumerate(found):
        y[0][i], y[1][i], y[2][i] = boxes[box], which, score
    return [*(part[None] for part in y), np.array([len(found)], np.float32)]


def _decoded(raw: np.ndarray, anchors: np.ndarray, scales: Sequence[float]) -> np.ndarray:
    """Centre, height and width by anchors to sides; in float64, rounded for each."""
    y, x, height, width = (raw[:, i].astype(np.float64) / scales[i] for i in range(SIDES))
    at_y, at_x, high, wide = anchors.astype(np.float64).T
    centre_y, centre_x = (y * high + at_y).astype(np.float32), (x * wide + at_x).astype(np.float32)
    half_y = (0.5 * exp64(height) * high).astype(np.float32)
    half_x = (0.5 * exp64(width) * wide).astype(np.float32)
    return np.stack(
        [centre_y - half_y, centre_x - half_x, centre_y + half_y, centre_x + half_x], axis=1
    )


def _fast(boxes: np.ndarray, scores: np.ndarray, attrs: Detection) -> list[Found]:
    best = np.zeros(len(scores), np.int64)
    rows = np.arange(len(scores))
    for which in range(1, scores.shape[1]):
        best = np.where(scores[:, which] > scores[rows, best], which, best)
    greatest = scores[rows, best]
    chosen = _chosen(boxes, greatest, attrs.most, attrs)
    return [(greatest[box], box, int(best[box])) for box in chosen]


def _regular(boxes: np.ndarray, scores: np.ndarray, attrs: Detection) -> list[Found]:
    kept: list[Found] = []
    for which in range(scores.shape[1]):
        own = scores[:, which]
        kept += [(own[box], box, which) for box in _chosen(boxes, own, attrs.per_class, attrs)]
        kept = sorted(kept, key=lambda each: -each[0])[: attrs.most]  # stable
    return kept


def _chosen(boxes: np.ndarray, scores: np.ndarray, most: int, attrs: Detection) -> Iterator[int]:
    """Boxes in the order of their scores, without those that overlap one before."""
    free = scores >= np.float32(attrs.least_score)
    for _ in range(most):
        if not free.any():
            return
        box = int(np.argmax(np.where(free, scores, -np.inf)))
        box = box if free[box] else int(np.argmax(free))  # all are -inf
        free[box] = False
        yield box
        free &= ~(_overlaps(boxes, box) > np.float32(attrs.most_overlap))


def _overlaps(boxes: np.ndarray, box: int) -> np.ndarray:
    """Intersection over union of one with each."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    low, high = np.maximum(boxes[:, :2], boxes[box, :2]), np.minimum(boxes[:, 2:], boxes[box, 2:])
    sides = np.maximum(high - low, np.float32(0))
    common = sides[:, 0] * sides[:, 1]
    ratio = common / (areas[box] + areas - common)
    return np.where((areas <= 0) | (areas[box] <= 0), np.float32(0), ratio)


def lower(graph: Graph, node: Node) -> Lowered:
    """One call with all operands in the arena, but for anchors that are constants."""
    boxes, scores, anchors = (graph.input(node, i) for i in range(3))
    attrs, count = node.attrs, boxes.shape[1]
    fields: dict[str, Field] = {
        "boxes": Address(boxes.index),
        "scores": Address(scores.index),
        "anchors": _whole(anchors),
        "anchors_constant": int(anchors.constant),
        "count": count,
        "width": boxes.shape[2],
        "depth": scores.shape[2],
        "first": scores.shape[2] - attrs.classes,
        "classes": attrs.classes,
        "most": attrs.most,
        "per_class": attrs.per_class,
        "regular": int(attrs.regular),
        "scales": Constant(np.array(attrs.scales, np.float64)),
        "limits": Constant(np.array([attrs.least_score, attrs.most_overlap], np.float32)),
        "powers": Constant(power_table()),
        "room": Scratch(4 * SIDES * count + 4 * attrs.most + count),
    }
    for name, index in zip(("boxes", "classes", "scores", "count"), node.outputs, strict=True):
        fields[f"y_{name}"] = Address(index)
    return DETECTION_F32.lowered(**fields)


def _whole(tensor: Tensor) -> Field:
    return Address(tensor.index) if tensor.data is None else Constant(tensor.data)


def computed(graph: Graph, node: Node) -> bool:
    """Boxes and scores must be computed, not constants."""
    return not graph.input(node, 0).constant and not graph.input(node, 1).constant


OPERATION = Operation(reference, lower, (DETECTION_F32,), (all_of("float32"), computed))
