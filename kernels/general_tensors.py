"""Reductions, products and movement on tensors of any rank and type, in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..runtime.graph import DTYPES, Graph, Node
from ..runtime.rearranging import FILL, sources
from .general_functions import not_quantized, one_dtype
from .in_numpy import IN_NUMPY, lower
from .operation import Constraint, Operation

Arrays = Sequence[np.ndarray | None]


def _given(arrays: Arrays) -> list[np.ndarray]:
    return [array for array in arrays if array is not None]


# ---- reductions --------------------------------------------------------------------------------

_REDUCERS: Mapping[str, Callable[..., np.ndarray]] = {
    "sum": np.sum,
    "product": np.prod,
    "reduce_max": np.max,
    "reduce_min": np.min,
    "reduce_all": np.all,
    "reduce_any": np.any,
}


def _least(dtype: np.dtype) -> float | int:
    """What is no greater than any number of a type."""
    if dtype.kind == "f":
        return -np.inf
    return False if dtype.kind == "b" else int(np.iinfo(dtype).min)


def _most(dtype: np.dtype) -> float | int:
    if dtype.kind == "f":
        return np.inf
    return True if dtype.kind == "b" else int(np.iinfo(dtype).max)


def reduce_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """Numbers along `axes` made one; float32 sums one after the other, as TFLite's."""
    (x,), attrs, kind = _given(arrays), node.attrs, DTYPES[graph.output(node).dtype]
    extra: dict[str, object] = {}
    if x.dtype == np.float32 and node.op in ("sum", "product"):
        return [_in_order(x, attrs.axes, node.op).reshape(graph.output(node).shape)]
    if node.op in ("sum", "product"):
        extra["dtype"] = np.float64 if x.dtype.kind == "f" else x.dtype
    elif node.op == "reduce_max":
        extra["initial"] = _least(x.dtype)
    elif node.op == "reduce_min":
        extra["initial"] = _most(x.dtype)
    with np.errstate(all="ignore"):
        answer = _REDUCERS[node.op](x, axis=attrs.axes, keepdims=attrs.keep_dims, **extra)
    return [np.asarray(answer).astype(kind)]


def _in_order(x: np.ndarray, axes: Sequence[int], op: str) -> np.ndarray:
    """Sums or products of float32, rounded after every number."""
    moved = np.moveaxis(x, axes, range(len(axes)))
    kept = moved.shape[len(axes) :]
    count = math.prod(moved.shape[: len(axes)])  # -1 would not do for empty arrays
    total = np.full(kept, 0 if op == "sum" else 1, np.float32)
    with np.errstate(all="ignore"):
        for values in moved.reshape(count, *kept):
            total = total + values if op == "sum" else total * values
    return total


def extreme_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """The place of the greatest or least along an axis."""
    (x,), attrs = _given(arrays), node.attrs
    find = np.argmax if node.op == "arg_max" else np.argmin
    seen = np.flip(x, attrs.axis) if attrs.last else x
    place = find(seen, axis=attrs.axis, keepdims=attrs.keep_dims)
    place = x.shape[attrs.axis] - 1 - place if attrs.last else place
    return [np.asarray(place).astype(DTYPES[graph.output(node).dtype])]


def cumulate_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """Sums or products of all numbers so far along an axis."""
    (x,), attrs = _given(arrays), node.attrs
    start, run = (0, np.cumsum) if node.op == "cumulative_sum" else (1, np.cumprod)
    seen = np.flip(x, attrs.axis) if attrs.reverse else x
    if attrs.exclusive:
        first = np.full_like(seen.take([0], attrs.axis), start)
        before = seen.take(range(seen.shape[attrs.axis] - 1), attrs.axis)
        seen = np.concatenate([first, before], attrs.axis)
    total = run(seen, axis=attrs.axis, dtype=x.dtype)
    if start == 0:
        total = total + x.dtype.type(0)  # a sum begins at 0.0, and so is never -0.0
    return [np.ascontiguousarray(np.flip(total, attrs.axis) if attrs.reverse else total)]


def top_k_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """The greatest (least) numbers along an axis in order, and where they stand."""
    (x,), attrs = _given(arrays), node.attrs
    if attrs.largest:
        # A stable sort of the reversed numbers from the end keeps the first of equals first.
        places = np.flip(np.argsort(np.flip(x, attrs.axis), attrs.axis, kind="stable"), attrs.axis)
        places = x.shape[attrs.axis] - 1 - places
    else:
        places = np.argsort(x, attrs.axis, kind="stable")
    places = places.take(range(attrs.count), attrs.axis)
    kind = DTYPES[graph.output(node, 1).dtype]
    return [np.take_along_axis(x, places, attrs.axis), places.astype(kind)]


# ---- products ----------------------------------------------------------------------------------


def matmul_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """Matrix products, stacks of them broadcast; float32 sums in order, as TFLite's."""
    a, b = _given(arrays)
    kind = DTYPES[graph.output(node).dtype]
    a = a.swapaxes(-1, -2) if node.attrs.turn_a else a
    b = b.swapaxes(-1, -2) if node.attrs.turn_b else b
    with np.errstate(all="ignore"):
        if kind == np.float32:
            y = _products_in_order(a if a.ndim > 1 else a[None], b if b.ndim > 1 else b[:, None])
            return [y.reshape(graph.output(node).shape)]
        wide = np.float64 if kind.kind == "f" else kind
        return [np.asarray(np.matmul(a.astype(wide), b.astype(wide))).astype(kind)]


def _products_in_order(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    total = np.zeros(shape, np.float32)
    for k in range(a.shape[-1]):
        total += a[..., :, k, None] * b[..., None, k, :]
    return total


def einsum_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """NumPy's einsum, float32 in float64 and rounded once."""
    operands, kind = _given(arrays), DTYPES[graph.output(node).dtype]
    wide = np.float64 if kind.kind == "f" else kind
    answer = np.einsum(node.attrs.equation, *(x.astype(wide) for x in operands))
    return [np.asarray(answer).astype(kind)]


# ---- movement ----------------------------------------------------------------------------------


def _nearest(indices: np.ndarray, size: int) -> np.ndarray:
    """Indices from 0 on; negative ones count from the end, those outside are the nearest inside."""
    wide = indices.astype(np.int64)
    return np.clip(np.where(wide < 0, wide + size, wide), 0, size - 1)


def _inside(indices: np.ndarray, size: ArrayLike) -> np.ndarray:
    size = np.asarray(size, np.int64)
    return (indices >= -size) & (indices < size)


def gather_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """Slices of x along an axis, in the order of the indices."""
    (x, indices), attrs = _given(arrays), node.attrs
    counted = _nearest(indices, x.shape[attrs.axis])
    if not attrs.batch_dims:
        return [np.take(x, counted, attrs.axis)]
    shape, batch = graph.output(node).shape, attrs.batch_dims
    y = np.empty(shape, x.dtype)
    for place in np.ndindex(*x.shape[:batch]):
        y[place] = np.take(x[place], counted[place], attrs.axis - batch)
    return [y]


def gather_elements_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """For every place of `indices` the number of x there, but along the axis at the index."""
    (x, indices), axis = _given(arrays), node.attrs.axis
    return [x[_along(x, indices, axis)]]


def _along(x: np.ndarray, indices: np.ndarray, axis: int) -> tuple[np.ndarray, ...]:
    places = list(np.indices(indices.shape))
    places[axis] = _nearest(indices, x.shape[axis])
    return tuple(places)


def gather_nd_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """Slices of x at the index tuples in the last axis of `indices`."""
    (x, indices), batch = _given(arrays), node.attrs.batch_dims
    y = np.empty(graph.output(node).shape, x.dtype)
    for place in np.ndindex(*indices.shape[:batch]):
        y[place] = x[place][_tuples(x[place].shape, indices[place])]
    return [y]


def _tuples(shape: Sequence[int], indices: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(_nearest(indices[..., i], shape[i]) for i in range(indices.shape[-1]))


_COMBINE: Mapping[str, Callable[..., None]] = {
    "add": np.add.at,
    "mul": np.multiply.at,
    "max": np.maximum.at,
    "min": np.minimum.at,
}


def _put(y: np.ndarray, places: tuple[np.ndarray, ...], values: np.ndarray, how: str) -> None:
    if how == "none":
        y[places] = values
    else:
        _COMBINE[how](y, places, values)


def scatter_elements_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """x with each update put (or combined) at its place, along the axis at its index; an update
    whose index is outside is left out."""
    (x, indices, updates), attrs = _given(arrays), node.attrs
    y, kept = x.copy(), _inside(indices, x.shape[attrs.axis])
    places = tuple(each[kept] for each in _along(x, indices, attrs.axis))
    _put(y, places, updates[kept], attrs.combine)
    return [y]


def scatter_nd_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """x with slices put (or combined) at the index tuples in the last axis of `indices`; a slice of
    which an index is outside is left out."""
    x, indices, updates = _given(arrays)
    y, kept = x.copy(), _inside(indices, x.shape[: indices.shape[-1]]).all(axis=-1)
    _put(y, _tuples(x.shape, indices[kept]), updates[kept], node.attrs.combine)
    return [y]


def stack_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """The operands along a new axis."""
    return [np.stack(_given(arrays), node.attrs.axis)]


def unstack_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """The slices of an axis, which goes."""
    (x,) = _given(arrays)
    return [np.ascontiguousarray(part) for part in np.moveaxis(x, node.attrs.axis, 0)]


def rearrange_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """Each element from where it comes; where none does, the zero point."""
    (x,), tensor = _given(arrays), graph.input(node)
    places = sources(node.attrs.kind, node.attrs.numbers, x.shape)
    fill = tensor.zero_point if tensor.quantization is not None else 0
    return [np.where(places == FILL, x.dtype.type(fill), x.reshape(-1)[places])]


def repeat_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """x again and again along every axis."""
    (x,) = _given(arrays)
    return [np.tile(x, node.attrs.counts).reshape(graph.output(node).shape)]


def broadcast_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """x repeated along axes where it has one element."""
    (x,) = _given(arrays)
    return [np.broadcast_to(x, node.attrs.shape).copy()]


def whole_indices(graph: Graph, node: Node) -> bool:
    """Indices must be int32 or int64, and inside if they are known before the model runs. Negative
    ones count from the end. Computed ones that are outside take the nearest slice."""
    return graph.input(node, 1).dtype in ("int32", "int64")


def whole_places(graph: Graph, node: Node) -> bool:
    """Indices must be int32 or int64, and inside if they are known before the model runs. Negative
    ones count from the end. Updates whose computed indices are outside are left out."""
    return whole_indices(graph, node)


def moved_dtype(graph: Graph, node: Node) -> bool:
    """Input and output must be of one dtype."""
    return graph.input(node).dtype == graph.output(node).dtype


def _operation(reference: Callable[..., list[np.ndarray]], *constraints: Constraint) -> Operation:
    return Operation(reference, lower, (IN_NUMPY,), (not_quantized, *constraints))


def _movement(reference: Callable[..., list[np.ndarray]], *constraints: Constraint) -> Operation:
    """Quantized numbers may be moved as well."""
    return Operation(reference, lower, (IN_NUMPY,), (moved_dtype, *constraints))


OPERATIONS: Mapping[str, Operation] = {
    "top_k": _operation(top_k_reference),
    "einsum": _operation(einsum_reference, one_dtype),
    "gather_elements": _movement(gather_elements_reference, whole_indices),
    "scatter_elements": _movement(scatter_elements_reference, whole_places),
    "scatter_nd": _movement(scatter_nd_reference, whole_places),
}
