"""roi_align: each region of an image as a small image of one size, in NumPy. (ONNX RoiAlign, of
Mask R-CNN.)

Every pixel of the answer is the mean of samples between x's pixels, or the greatest of all of
their parts, each pixel by its weight, as ONNX has it. Samples more than a pixel outside are zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.errors import InputError
from ..runtime.graph import Graph, Node
from ..runtime.sampling import RoiAlign
from .general_functions import not_quantized
from .grid_sample import of_floats
from .in_numpy import IN_NUMPY, lower
from .operation import Operation

MOST_SAMPLES = 1 << 12  # of one pixel along an axis


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The regions of x."""
    x, regions, images = arrays
    assert x is not None and regions is not None and images is not None
    if images.size and not (0 <= images.min() and images.max() < len(x)):
        raise InputError(f"regions are of images 0 to {len(x) - 1}, {images.max()} came")
    y = np.zeros(graph.output(node).shape, x.dtype)
    for i, (region, image) in enumerate(zip(regions, images, strict=True)):
        y[i] = _aligned(x[int(image)], region, node.attrs)
    return [y]


def _aligned(x: np.ndarray, region: np.ndarray, attrs: RoiAlign) -> np.ndarray:
    """One region [channels, height, width]."""
    rows, columns = (_samples(x.shape[1 + i], region[[1 - i, 3 - i]], attrs, i) for i in (0, 1))
    y: list[np.ndarray] = []
    for at_y, low in rows:
        for at_x, left in columns:
            pixels = x[:, at_y[:, :, None, None], at_x]  # [channels, h, samples, w, samples]
            y.append(pixels * (low[:, :, None, None] * left))
    parts = np.stack(y)
    if attrs.greatest:
        return np.asarray(parts.max(axis=(0, 3, 5), initial=-np.inf) if parts.size else 0)
    samples = max(parts.shape[3] * parts.shape[5], 1)
    return np.asarray(parts.sum(axis=(0, 3, 5), dtype=np.float64) / samples)


def _samples(
    size: int, ends: np.ndarray, attrs: RoiAlign, axis: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two pixels of x round each sample along an axis, with their weights:
    [pixels of the answer, samples]."""
    kind, count = ends.dtype.type, attrs.size[axis]
    first, last = ends * kind(attrs.scale) - kind(0.5 if attrs.half_pixel else 0)
    length = last - first if attrs.half_pixel else max(last - first, kind(1))
    step = length / kind(count)
    samples = attrs.samples if attrs.samples > 0 else max(np.ceil(step), 0)
    if not samples <= MOST_SAMPLES:
        raise InputError(f"a region of {length} pixels came, {MOST_SAMPLES * count} are the most")
    samples = int(samples)
    within = (np.arange(samples, dtype=kind) + kind(0.5)) * step / kind(max(samples, 1))
    at = first + np.arange(count, dtype=kind)[:, None] * step + within
    seen = (at >= -1) & (at <= size)
    at = np.clip(at, 0, size - 1)
    before = np.floor(at).astype(np.int64)
    behind = np.minimum(before + 1, size - 1)
    part = at - before
    return [(before, np.where(seen, 1 - part, 0)), (behind, np.where(seen, part, 0))]


def of_whole_images(graph: Graph, node: Node) -> bool:
    """The images' numbers must be int32 or int64."""
    return graph.input(node, 2).dtype in ("int32", "int64")


OPERATION = Operation(reference, lower, (IN_NUMPY,), (not_quantized, of_floats, of_whole_images))
