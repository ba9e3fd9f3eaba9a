"""narrow: the nearest number of a narrower type, in the type that carries it; in NumPy.

Ties go to the number whose last bit is 0. (ONNX Cast; ml_dtypes, which the onnx package computes
with.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.narrow import BFLOAT16, CARRIERS, POWERS, REAL, WHOLE, Narrow, numbers
from .general_functions import not_quantized
from .general_tensors import moved_dtype
from .in_numpy import IN_NUMPY, lower
from .operation import Operation


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Each number of x in the narrower type."""
    x, attrs = arrays[0], node.attrs
    assert x is not None
    with np.errstate(invalid="ignore"):
        return [_narrowed(x, attrs)]


def _narrowed(x: np.ndarray, attrs: Narrow) -> np.ndarray:
    if attrs.kind in WHOLE:
        return _lowest_bits(x, attrs)
    if attrs.kind == BFLOAT16:
        return _upper_half(x)
    return _power(x, attrs) if attrs.kind == POWERS else _nearest(x, attrs)


def _lowest_bits(x: np.ndarray, attrs: Narrow) -> np.ndarray:
    least, most = WHOLE[attrs.kind].limits
    return (((x.astype(np.int16) - least) & (most - least)) + least).astype(x.dtype)


def _upper_half(x: np.ndarray) -> np.ndarray:
    """A bfloat16 is the upper half of a float32."""
    bits = np.ascontiguousarray(x).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return np.where(np.isnan(x), x, rounded.astype(np.uint32).view(np.float32))


def _power(x: np.ndarray, attrs: Narrow) -> np.ndarray:
    """Powers of two from 2**-127 to 2**127, of the exponent's bits alone; the sign is lost."""
    bits = np.ascontiguousarray(x).view(np.uint32)
    exponent, rest = ((bits >> 23) & 0xFF).astype(np.int64), bits & 0x7FFFFF
    half = 1 << 22
    if attrs.rounding == "up":
        more = rest > 0
    elif attrs.rounding == "nearest":
        more = (rest > half) | ((rest == half) & (exponent > 0))
    else:
        more = np.zeros(x.shape, bool)
    finite = exponent < 0xFF
    rounded = exponent + more
    rounded = np.minimum(rounded, 0xFE) if attrs.saturate else rounded
    known = finite & (rounded < 0xFF)
    value = np.ldexp(np.float32(1), np.where(known, rounded - 127, 0).astype(np.int32))
    return np.where(known, value, np.float32(np.nan))


def _nearest(x: np.ndarray, attrs: Narrow) -> np.ndarray:
    """By a search among the format's numbers."""
    form, table = REAL[attrs.kind], numbers(attrs.kind)
    size = np.abs(x.astype(np.float64))
    beyond = 2 * table[-1] - table[-2]  # what would be next
    ends = np.append(table, beyond)
    middles = (ends[:-1] + ends[1:]) / 2
    below, above = np.searchsorted(middles, size), np.searchsorted(middles, size, side="right")
    place = np.where(below % 2 == 0, below, above)  # one of them is even
    hold = attrs.saturate or form.always
    values = np.append(table, table[-1] if hold else np.inf if form.infinite else np.nan)
    found = np.copysign(values[np.minimum(place, len(table))], x)
    nothing = np.copysign(0.0, x) if form.always else np.nan
    return np.where(np.isnan(x), nothing, found).astype(np.float32)


def carried_type(graph: Graph, node: Node) -> bool:
    """Its numbers must be of the type that carries the narrower one."""
    return graph.input(node).dtype == CARRIERS[node.attrs.kind]


OPERATION = Operation(reference, lower, (IN_NUMPY,), (not_quantized, moved_dtype, carried_type))
