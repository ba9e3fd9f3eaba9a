"""Windows over any number of axes as tables, known beforehand, of where their numbers stand.

Pools and convolutions that no kernel of images takes (over three axes, dilated pools, places of the
greatest, computed weights, other types) gather the numbers of each window, and reduce or multiply
them by operators of any rank and type.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..attributes import Pad
from .onnx_building import refuse_large
from .onnx_general import pair, product
from .onnx_placing import picked
from .onnx_reading import REFIT, NodeReading
from .tflite_reading import Unsupported

OUTSIDE = -1
Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Geometry:
    """A window's numbers along each of its axes.

    `added` is padding behind `end` that rounding the size up takes (`ceil_mode`).
    """

    size: Sizes
    stride: Sizes
    dilation: Sizes
    begin: Sizes
    end: Sizes
    added: Sizes

    def windows(self, image: Sequence[int]) -> Sizes:
        """How many there are along each axis of an image."""
        padded = (sum(part) for part in zip(image, self.begin, self.end, self.added, strict=True))
        extents = ((k - 1) * d + 1 for k, d in zip(self.size, self.dilation, strict=True))
        return tuple(
            (n - extent) // s + 1 for n, extent, s in zip(padded, extents, self.stride, strict=True)
        )


def each(node: NodeReading, name: str, rank: int) -> Sizes:
    """An attribute with a number for each axis, 1 where it is left out."""
    values = tuple(int(v) for v in node.attribute(name) or [1] * rank)
    if len(values) != rank or min(values) < 1:
        raise Unsupported(f"its {name} are {list(values)}, needed are {rank}", REFIT)
    return values


def geometry(node: NodeReading, kernel: Sequence[int]) -> Geometry:
    """The window that a convolution's or a pool's attributes state."""
    size, rank = node.shape(0)[2:], len(kernel)
    if not kernel or len(size) != rank or min(kernel) < 1:
        raise ValueError(f"a window of {list(kernel)} over {list(size)}")
    stride, dilation = (each(node, name, rank) for name in ("strides", "dilations"))
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    auto = node.attribute("auto_pad", "NOTSET")
    pads = [int(p) for p in node.attribute("pads") or [0] * 2 * rank]
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        totals = [
            max((-(-size[i] // stride[i]) - 1) * stride[i] + extent[i] - size[i], 0)
            for i in range(rank)
        ]
        small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
        pads = [*small, *large] if auto == "SAME_UPPER" else [*large, *small]
    elif auto == "VALID":
        pads = [0] * 2 * rank
    if len(pads) != 2 * rank or min(pads) < 0:
        raise Unsupported(f"its padding is {pads}", REFIT)
    begin, end, added = pads[:rank], pads[rank:], [0] * rank
    for i in range(rank) if node.attribute("ceil_mode", 0) else ():
        space = size[i] + begin[i] + end[i] - extent[i]
        last = -(-space // stride[i])
        if last * stride[i] >= size[i] + begin[i]:
            last -= 1  # a window must begin inside the image or its first padding
        added[i] = max(last * stride[i] - space, 0)
    return Geometry(tuple(kernel), stride, dilation, tuple(begin), tuple(end), tuple(added))


# ---- tables ------------------------------------------------------------------------------------


def spans(image: Sequence[int], window: Geometry) -> list[np.ndarray]:
    """For each axis [windows, numbers of one]: where they stand, outside of the image too."""
    counts = window.windows(image)
    if min(counts) < 1:
        raise ValueError(f"a window of {list(window.size)} is larger than {list(image)}")
    return [
        np.arange(count)[:, None] * s - b + np.arange(k) * d
        for count, k, s, d, b in zip(
            counts, window.size, window.stride, window.dilation, window.begin, strict=True
        )
    ]


def spans_back(out: Sequence[int], image: Sequence[int], window: Geometry) -> list[np.ndarray]:
    """For each axis [places, numbers of a window]: the window of `image` whose number falls there,
    as a transposed convolution lays them down."""
    found = []
    for o, n, k, s, d, b in zip(
        out, image, window.size, window.stride, window.dilation, window.begin, strict=True
    ):
        from_first = np.arange(o)[:, None] + b - np.arange(k) * d
        meets = (from_first % s == 0) & (from_first // s < n)
        found.append(np.where(meets, from_first // s, OUTSIDE))
    return found


def table(image: Sequence[int], along: Sequence[np.ndarray]) -> np.ndarray:
    """[windows, numbers of one]: where in the flat image each stands, or OUTSIDE."""
    refuse_large([math.prod(part.shape[i] for part in along) for i in (0, 1)])
    flat, inside = np.zeros((1, 1), np.int64), np.ones((1, 1), bool)
    for n, part in zip(image, along, strict=True):
        shape = (len(flat) * len(part), -1)
        good = (part >= 0) & (part < n)
        inside = (inside[:, None, :, None] & good[None, :, None, :]).reshape(shape)
        flat = (flat[:, None, :, None] * n + part[None, :, None, :]).reshape(shape)
    return np.where(inside, flat, OUTSIDE)


def taken(node: NodeReading, x: int, places: np.ndarray) -> int:
    """[batch, channels, windows, numbers of one] of a tensor in ONNX's order; outside are zeros."""
    build = node.build
    batch, channels, *image = build.tensors[x].shape
    size = math.prod(image)
    flat = build.reshaped(x, (batch, channels, size))
    if (places == OUTSIDE).any():
        flat = node.emit("pad", [flat], Pad((0, 0, 0), (0, 0, 1), 0))[0]
        places = np.where(places == OUTSIDE, size, places)
    return build.reshaped(
        picked(node, flat, places.reshape(-1), 2), (batch, channels, *places.shape)
    )


def convolved(node: NodeReading, seen: int, weights: int, bias: int | None, out: Sizes) -> int:
    """Windows [batch, channels, windows, numbers of one] by weights [filters, channels of a group,
    numbers of one], and a bias for each filter."""
    build = node.build
    filters, depth, numbers = build.tensors[weights].shape
    batch, channels, count = build.tensors[seen].shape[:3]
    groups = channels // depth
    split = build.reshaped(seen, (batch, groups, depth, count, numbers))
    moved = build.transposed(split, (0, 1, 3, 2, 4))
    rows = build.reshaped(moved, (batch, groups, count, depth * numbers))
    share = build.reshaped(weights, (groups, filters // groups, depth * numbers))
    made = product(node, rows, build.transposed(share, (0, 2, 1)))
    y = build.reshaped(build.transposed(made, (0, 1, 3, 2)), (batch, filters, *out))
    if bias is None:
        return y
    return pair(node, "add", y, build.reshaped(bias, (filters, *(1 for _ in out))))
