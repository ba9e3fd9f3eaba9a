"""grid_sample: numbers of an image between its pixels, at places that are computed, in NumPy.

(ONNX GridSample.) Places are computed in the grid's type, as ONNX Runtime has them, so that the
nearest pixel is the same; answers in float64, rounded once. A place that is no number is outside.
For a cubic answer pixels outside are brought inside but not the place itself, as ONNX Runtime and
PyTorch have it; the onnx package's evaluator brings in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.sampling import GridSample
from .general_functions import not_quantized
from .in_numpy import IN_NUMPY, lower
from .operation import Operation

CUBIC = -0.75  # of Keys' convolution
FAR = 8  # pixels beyond which nothing more is seen of an image


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """x at the places of the grid."""
    x, grid = arrays[0], arrays[1]
    assert x is not None and grid is not None
    attrs, (batch, channels, *image) = node.attrs, x.shape
    places = grid.reshape(batch, -1, len(image))
    along = [_taps(places, axis, image, attrs) for axis in range(len(image))]
    flat = x.reshape(batch, channels, -1)
    y = np.zeros((batch, channels, places.shape[1]), np.float64)
    rows = np.arange(batch)[:, None]
    for chosen in product(*along):
        at, weight = np.zeros((batch, 1), np.int64), np.ones((batch, 1))
        for size, (index, part) in zip(image, chosen, strict=True):
            at, weight = at * size + index, weight * part
        # A tap without weight adds nothing, not even of an infinite pixel.
        pixels = np.where((weight != 0)[..., None], flat[rows, :, at], 0)
        y += (pixels * weight[..., None]).transpose(0, 2, 1)
    return [y.astype(x.dtype).reshape(graph.output(node).shape)]


def _taps(
    places: np.ndarray, axis: int, image: Sequence[int], attrs: GridSample
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each pixel that places need along an axis: its index and its weight, [batch, places]."""
    size, corners = image[axis], attrs.places == "corners"
    given = places[..., axis if attrs.places == "pixels" else len(image) - 1 - axis]
    with np.errstate(all="ignore"):
        at = _pixels(given, size, attrs.places)
        if attrs.mode == "nearest":
            at = np.rint(at)
        least, most = (0.0, size - 1.0) if corners else (-0.5, size - 0.5)
        if attrs.places != "pixels" and attrs.mode != "cubic":
            at = _held(at, size, least, most, attrs.outside)
    at = np.clip(np.nan_to_num(at.astype(np.float64), nan=-FAR), -FAR, size + FAR)
    first = np.floor(at)
    found = []
    for step, weight in _weights(at - first, attrs.mode):
        index = first + step
        inside = (index >= 0) & (index < size)
        if attrs.outside == "zeros":
            weight = np.where(inside, weight, 0.0)
        else:
            index = np.trunc(_held(index, size, least, most, attrs.outside))
        found.append((np.clip(index, 0, size - 1).astype(np.int64), weight))
    return found


def _pixels(given: np.ndarray, size: int, places: str) -> np.ndarray:
    """Places in pixels."""
    one, half = given.dtype.type(1), given.dtype.type(2)
    if places == "corners":
        return (given + one) / half * given.dtype.type(size - 1)
    if places == "halves":
        return ((given + one) * given.dtype.type(size) - one) / half
    return given


def _held(at: np.ndarray, size: int, least: float, most: float, outside: str) -> np.ndarray:
    """Places before `least` and behind `most` brought inside, if they are."""
    beyond = (at < least) | (at > most)
    if outside == "border":
        return np.where(beyond, np.clip(at, 0, size - 1), at)
    if outside == "reflection":
        if most == least:
            return np.where(beyond, least, at)
        way = np.where(at < least, least - at, at - most)
        turns = np.trunc(way / (most - least))
        rest = way - turns * (most - least)
        from_least = (at < least) == (turns % 2 == 0)
        return np.where(beyond, np.where(from_least, least + rest, most - rest), at)
    return at


def _weights(x: np.ndarray, mode: str) -> list[tuple[int, np.ndarray]]:
    """Pixels from the one at or before a place, which is x behind it, and their weights."""
    if mode == "nearest":
        return [(0, np.ones_like(x))]
    if mode == "linear":
        return [(0, 1 - x), (1, x)]
    return [(step, _keys(np.abs(x - step))) for step in (-1, 0, 1, 2)]


def _keys(away: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution, of distances up to two pixels."""
    near = ((CUBIC + 2) * away - (CUBIC + 3)) * away * away + 1
    far = CUBIC * (((away - 5) * away + 8) * away - 4)
    return np.where(away <= 1, near, far)


def of_floats(graph: Graph, node: Node) -> bool:
    """Image, grid and output must be floats, image and output of one dtype."""
    x, places, y = graph.input(node, 0), graph.input(node, 1), graph.output(node)
    floats = ("float16", "float32", "float64")
    return x.dtype == y.dtype and x.dtype in floats and places.dtype in floats


OPERATION = Operation(reference, lower, (IN_NUMPY,), (not_quantized, of_floats))
