"""Readers of the ONNX operators that take numbers of images at places that are computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ..sampling import GridSample, RoiAlign
from .onnx_building import Value
from .onnx_general import pair
from .onnx_reading import Made, NodeReading
from .onnx_taps import convolved, geometry, spans

_MODES = {"bilinear": "linear", "bicubic": "cubic"}  # as they are called before opset 20


def grid_sample(node: NodeReading) -> Made:
    operands = [node.build.plain(name) for name in node.inputs[:2]]
    mode = node.attribute("mode", "linear")
    attrs = GridSample(
        _MODES.get(mode, mode),
        node.attribute("padding_mode", "zeros"),
        "corners" if node.attribute("align_corners", 0) else "halves",
    )
    return [Value(node.emit("grid_sample", operands, attrs)[0])]


def deform_conv(node: NodeReading) -> Made:
    """A convolution whose taps are moved by computed offsets, and weighed by a mask."""
    build, (batch, channels, *image) = node.build, node.shape(0)
    filters, depth, *kernel = node.shape(1)
    stated, shifts = geometry(node, kernel), node.attribute("offset_group", 1)
    out, rank = stated.windows(image), len(image)
    windows, taps = math.prod(out), math.prod(kernel)
    if node.shape(2) != (batch, shifts * taps * rank, *out) or channels % shifts:
        raise ValueError(f"offsets {list(node.shape(2))} of {shifts} groups of {channels}")
    grids = [np.stack(np.meshgrid(*cut, indexing="ij"), -1) for cut in _cuts(spans(image, stated))]
    places = np.stack(grids).reshape(windows, taps, rank).astype(np.float32)
    offsets = build.reshaped(build.plain(node.inputs[2]), (batch * shifts, taps, rank, windows))
    moved = pair(node, "add", build.transposed(offsets, (0, 3, 1, 2)), build.constant(places))
    x = build.reshaped(build.plain(node.inputs[0]), (batch * shifts, channels // shifts, *image))
    seen = node.emit("grid_sample", [x, moved], GridSample(places="pixels"))[0]
    if node.has(4):
        mask = build.reshaped(build.plain(node.inputs[4]), (batch * shifts, 1, taps, windows))
        seen = pair(node, "mul", seen, build.transposed(mask, (0, 1, 3, 2)))
    columns = build.reshaped(seen, (batch, channels, windows, taps))
    weights = build.reshaped(build.plain(node.inputs[1]), (filters, depth, taps))
    bias = build.plain(node.inputs[3]) if node.has(3) else None
    return [Value(convolved(node, columns, weights, bias, out))]


def _cuts(along: list[np.ndarray]) -> list[list[np.ndarray]]:
    """For each window, where its numbers stand along each axis."""
    return [
        [part[i] for part, i in zip(along, window, strict=True)]
        for window in np.ndindex(*(len(part) for part in along))
    ]


def roi_align(node: NodeReading) -> Made:
    operands = [node.build.plain(name) for name in node.inputs[:3]]
    default = "half_pixel" if node.opset >= 16 else "output_half_pixel"
    attrs = RoiAlign(
        (node.attribute("output_height", 1), node.attribute("output_width", 1)),
        node.attribute("sampling_ratio", 0),
        node.attribute("spatial_scale", 1.0),
        node.attribute("coordinate_transformation_mode", default) == "half_pixel",
        node.attribute("mode", "avg") == "max",
    )
    return [Value(node.emit("roi_align", operands, attrs)[0])]


READERS: Mapping[str, Callable[[NodeReading], Made]] = {
    "DeformConv": deform_conv,
    "GridSample": grid_sample,
    "RoiAlign": roi_align,
}
