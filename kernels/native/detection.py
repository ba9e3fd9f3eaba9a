"""Native twin of `kernels/detection.py`."""

from __future__ import annotations

import numpy as np

from ..detection import DETECTION_F32
from .fixedpoint import inline
from .memory import float32_at, float64_at, int8_at, int32_at
from .registry import kernel
from .transcendental import exp64

P = DETECTION_F32.index


@inline
def _decode(box, raw, anchor, scales, powers):  # type: ignore[no-untyped-def]
    for side in range(2):
        at, size = np.float64(anchor[side]), np.float64(anchor[side + 2])
        centre = np.float32(np.float64(raw[side]) / scales[side] * size + at)
        half = 0.5 * exp64(np.float64(raw[side + 2]) / scales[side + 2], powers) * size
        box[side] = centre - np.float32(half)
        box[side + 2] = centre + np.float32(half)


@inline
def _overlap(a, b):  # type: ignore[no-untyped-def]
    """Intersection over union."""
    zero = np.float32(0)
    area = (a[2] - a[0]) * (a[3] - a[1])
    other = (b[2] - b[0]) * (b[3] - b[1])
    if area <= zero or other <= zero:
        return zero
    height = (a[2] if a[2] < b[2] else b[2]) - (a[0] if a[0] > b[0] else b[0])
    width = (a[3] if a[3] < b[3] else b[3]) - (a[1] if a[1] > b[1] else b[1])
    common = (height if height > zero else zero) * (width if width > zero else zero)
    return common / (area + other - common)


@inline
def _best_class(scores, classes):  # type: ignore[no-untyped-def]
    best = 0
    for which in range(1, classes):
        best = which if scores[which] > scores[best] else best
    return best


@inline
def _score(scores, box, which, p):  # type: ignore[no-untyped-def]
    """Of one class, or of the best if `which` is -1."""
    own = float32_at(scores, 4 * (box * p[P.depth] + p[P.first]))
    return own[_best_class(own, p[P.classes]) if which < 0 else which]


@inline
def _next(scores, free, which, p):  # type: ignore[no-untyped-def]
    """The best box that may still be chosen; -1 if none may."""
    best, greatest = -1, np.float32(0)
    for box in range(p[P.count]):
        if free[box]:
            score = _score(scores, box, which, p)
            if best < 0 or score > greatest:
                best, greatest = box, score
    return best


@inline
def _put(kept, y_scores, y_classes, found, score, box, which, most):  # type: ignore[no-untyped-def]
    """Put a detection where its score belongs; answers how many there are."""
    place = found
    while place > 0 and score > y_scores[place - 1]:
        place -= 1
    if place >= most:
        return found
    for i in range(min(found, most - 1), place, -1):
        kept[i], y_scores[i], y_classes[i] = kept[i - 1], y_scores[i - 1], y_classes[i - 1]
    kept[place], y_scores[place], y_classes[place] = box, score, np.float32(which)
    return min(found + 1, most)


@kernel
def detection_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    count, most = p[P.count], p[P.most]
    scores = int8_at(arena, p[P.scores])
    anchors = int8_at(constants if p[P.anchors_constant] else arena, p[P.anchors])
    scales, powers = float64_at(constants, p[P.scales]), float64_at(constants, p[P.powers])
    limits = float32_at(constants, p[P.limits])
    boxes = int8_at(arena, p[P.room])
    kept = int32_at(boxes, 16 * count)
    free = int8_at(boxes, 16 * count + 4 * most)
    y_boxes, y_classes = float32_at(arena, p[P.y_boxes]), float32_at(arena, p[P.y_classes])
    y_scores = float32_at(arena, p[P.y_scores])
    for i in range(count):
        raw = float32_at(arena, p[P.boxes] + 4 * i * p[P.width])
        _decode(float32_at(boxes, 16 * i), raw, float32_at(anchors, 16 * i), scales, powers)
    found = 0
    passes = p[P.classes] if p[P.regular] else 1
    for number in range(passes):
        which = number if p[P.regular] else -1
        for i in range(count):
            free[i] = 1 if _score(scores, i, which, p) >= limits[0] else 0
        for _ in range(p[P.per_class] if p[P.regular] else most):
            box = _next(scores, free, which, p)
            if box < 0:
                break
            free[box] = 0
            own = float32_at(scores, 4 * (box * p[P.depth] + p[P.first]))
            chosen = _best_class(own, p[P.classes]) if which < 0 else which
            found = _put(kept, y_scores, y_classes, found, own[chosen], box, chosen, most)
            for i in range(count):
                if free[i]:
                    over = _overlap(float32_at(boxes, 16 * box), float32_at(boxes, 16 * i))
                    free[i] = 0 if over > limits[1] else 1
    for i in range(most):
        box = float32_at(boxes, 16 * kept[i] if i < found else 0)
        for side in range(4):
            y_boxes[4 * i + side] = box[side] if i < found else np.float32(0)
        if i >= found:
            y_classes[i] = y_scores[i] = np.float32(0)
    float32_at(arena, p[P.y_count])[0] = np.float32(found)
