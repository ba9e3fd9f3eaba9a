"""Resize: along each axis a choice of pixels or a product with a matrix, both known beforehand.

Two rules have operators of their own; all others (cubic, antialiased, cropped, ...) are linear in
the numbers of an axis. Their matrix is what the onnx package's own evaluator makes of unit vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..attributes import Resize
from ..graph import DTYPES
from .onnx_building import IMAGE, Value
from .onnx_general import pair, product
from .onnx_placing import picked
from .onnx_reading import REFIT, Made, NodeReading
from .tflite_reading import Unsupported

MOST_WEIGHTS = 1 << 21  # of what an axis gives to a resized one
_HALVES = {
    "half_pixel": (False, True),
    "align_corners": (True, False),
    "asymmetric": (False, False),
}


def resize(node: NodeReading) -> Made:
    shape = node.shape(0)
    sizes, scales, axes = _wanted(node, shape)
    image = len(shape) == 4 and not set(axes) & {0, 1}
    own = _own_operator(node, shape, sizes, scales, axes) if image else None
    if own is not None:
        op, attrs = own
        return [Value(node.emit(op, [node.build.image(node.inputs[0])], attrs)[0], IMAGE)]
    x = node.build.plain(node.inputs[0])
    regions = _regions(node, axes)
    for place, axis in enumerate(axes):
        same = sizes[place] == shape[axis] and scales[place] == 1 and regions[place] == (0.0, 1.0)
        if not same:
            x = _along(node, x, axis, sizes[place], scales[place], regions[place])
    return [Value(x)]


def _wanted(node: NodeReading, shape: Sequence[int]) -> tuple[list[int], list[float], list[int]]:
    """Size and scale of each axis that is resized."""
    rank = len(shape)
    axes = [axis % rank for axis in node.attribute("axes") or range(rank)]
    sizes = node.optional_constant(3, "sizes")
    if sizes is None or not sizes.size:
        # Before opset 11 the scales are the second operand.
        scales = node.constant(2 if node.opset > 10 else 1, "scales").astype(float)
        return [int(shape[a] * s) for a, s in zip(axes, scales, strict=True)], list(scales), axes
    wanted = [int(n) for n in sizes]
    ratios = [n / shape[axis] for n, axis in zip(wanted, axes, strict=True)]
    policy = node.attribute("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        ratio = (min if policy == "not_larger" else max)(ratios)
        ratios = [ratio] * len(axes)
        wanted = [int(np.floor(shape[axis] * ratio + 0.5)) for axis in axes]
    return wanted, ratios, axes


def _own_operator(
    node: NodeReading,
    shape: Sequence[int],
    sizes: Sequence[int],
    scales: Sequence[float],
    axes: Sequence[int],
) -> tuple[str, Resize] | None:
    """The operator of images that does the same, with its attributes."""
    full = dict(zip(axes, sizes, strict=True))
    height, width = full.get(2, shape[2]), full.get(3, shape[3])
    exact = all(size == shape[a] * scale for a, size, scale in zip(axes, sizes, scales))
    how = node.attribute("coordinate_transformation_mode", "half_pixel")
    plain = not node.attribute("antialias", 0) and how != "tf_crop_and_resize"
    if not exact or not plain:
        return None
    if node.attribute("mode", "nearest") == "linear" and how in _HALVES:
        return "resize_bilinear", Resize((height, width), *_HALVES[how])
    down = node.attribute("nearest_mode", "round_prefer_floor") == "floor"
    usual = how in ("half_pixel", "asymmetric", "pytorch_half_pixel")
    prefers_floor = node.attribute("nearest_mode", "round_prefer_floor") == "round_prefer_floor"
    # Enlarged a whole number of times, rounding half down from half pixels picks the same pixel.
    whole = height % shape[2] == 0 and width % shape[3] == 0 and usual and prefers_floor
    if node.attribute("mode", "nearest") == "nearest":
        if (how == "asymmetric" and down) or (whole and how == "half_pixel"):
            return "resize_nearest", Resize((height, width))
    return None


def _regions(node: NodeReading, axes: Sequence[int]) -> list[tuple[float, float]]:
    """What part of each axis is resized, of `tf_crop_and_resize`."""
    if node.attribute("coordinate_transformation_mode") != "tf_crop_and_resize":
        return [(0.0, 1.0)] * len(axes)
    region = [float(v) for v in node.constant(1, "region")]
    half = len(region) // 2
    return [(region[i], region[i + half]) for i in range(len(axes))]


def _along(
    node: NodeReading, x: int, axis: int, size: int, scale: float, region: tuple[float, float]
) -> int:
    before = node.build.tensors[x].shape[axis]
    matrix, filled = _matrix(node, before, size, scale, region)
    rows, places = (matrix != 0).sum(0), matrix.argmax(0)
    if (rows == 1).all() and (matrix.max(0) == 1).all() and not filled.any():
        return picked(node, x, places, axis)
    if node.build.tensors[x].dtype not in ("float32", "float64", "float16"):
        raise Unsupported("it interpolates whole numbers", REFIT)
    order = tuple(i for i in range(len(node.build.tensors[x].shape)) if i != axis) + (axis,)
    kind = DTYPES[node.build.tensors[x].dtype]
    last = product(node, node.build.transposed(x, order), node.build.constant(matrix.astype(kind)))
    if filled.any():
        last = pair(node, "add", last, node.build.constant(filled.astype(kind)))
    return node.build.transposed(last, tuple(order.index(i) for i in range(len(order))))


def _matrix(
    node: NodeReading, before: int, size: int, scale: float, region: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """[before, size]: what each number of an axis gives to each number of the resized one; and
    [size] what stands there where they lie outside."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    if before * size > MOST_WEIGHTS:
        raise Unsupported(f"it interpolates from {before} to {size}", "export a smaller image")
    kept = ("mode", "nearest_mode", "coordinate_transformation_mode", "cubic_coeff_a",
            "exclude_outside", "antialias", "extrapolation_value")  # fmt: skip
    attributes: dict[str, Any] = {k: v for k, v in node.attributes.items() if k in kept}
    by_size = size != int(before * scale)
    made = onnx.helper.make_node(
        "Resize", ["x", "roi", "" if by_size else "scales", "sizes" if by_size else ""], ["y"],
        **attributes,
    )  # fmt: skip
    named = onnx.helper.make_empty_tensor_value_info
    given = {
        "roi": np.array([0, region[0], 1, region[1]], np.float64),
        "scales": np.array([1, scale], np.float32),
        "sizes": np.array([before, size], np.int64),
    }
    graph = onnx.helper.make_graph([made], "axis", [named(n) for n in given], [named("y")])
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", max(node.opset, 13))]
    )
    evaluator = ReferenceEvaluator(model)

    def resized(x: np.ndarray) -> np.ndarray:
        (answer,) = evaluator.run(None, given | {"x": x})
        return np.asarray(answer, np.float64)

    filled = resized(np.zeros((before, before)))
    return resized(np.eye(before)) - filled, filled[0]
