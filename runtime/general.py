"""General operators: functions of numbers, reductions and movement on tensors of any rank and type.

Attributes and shape rules of the operators that ONNX and TFLite share with NumPy; `ops` takes them
into its table. What they compute, `kernels/general_*.py` says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .attributes import Shape
from .graph import Graph, Node, Tensor
from .rearranging import sources

# Functions of one number, of two, and those of two that answer true or false.
UNARY = (
    "abs acos acosh asin asinh atan atanh ceil cos cosh elu erf exp floor is_infinite is_nan log "
    "logical_not bit_not negate reciprocal round rsqrt sin sinh softplus sqrt square tan"
).split()
BINARY = (
    "bit_and bit_or bit_xor divide floor_divide floor_modulo maximum minimum power prelu remainder "
    "shift_left shift_right squared_difference"
).split()
PREDICATES = (
    "equal greater greater_equal less less_equal logical_and logical_or logical_xor not_equal"
).split()
REDUCTIONS = "sum product reduce_max reduce_min reduce_all reduce_any".split()


@dataclass(frozen=True)
class Function:
    """A function of single numbers; what its parameters are depends on it (an alpha, a sign)."""

    parameters: tuple[float, ...] = ()


@dataclass(frozen=True)
class Reduce:
    axes: tuple[int, ...] = ()
    keep_dims: bool = False


@dataclass(frozen=True)
class Extreme:
    """The place of the greatest or least number along an axis, the first of equals or the last."""

    axis: int = 0
    keep_dims: bool = False
    last: bool = False


@dataclass(frozen=True)
class Cumulate:
    axis: int = 0
    exclusive: bool = False
    reverse: bool = False


@dataclass(frozen=True)
class TopK:
    count: int = 1
    axis: int = -1
    largest: bool = True


@dataclass(frozen=True)
class Axis:
    axis: int = 0
    batch_dims: int = 0


@dataclass(frozen=True)
class Scatter:
    """`combine`: none, add, mul, max or min, of what is there with what comes."""

    axis: int = 0
    combine: str = "none"


@dataclass(frozen=True)
class Repeats:
    counts: Shape = ()


@dataclass(frozen=True)
class Broadcast:
    shape: Shape = ()


@dataclass(frozen=True)
class Cast:
    """To the output's dtype: by value, or the same `bits`."""

    bits: bool = False


@dataclass(frozen=True)
class MatMul:
    """Whether the last two axes of an operand change places first."""

    turn_a: bool = False
    turn_b: bool = False


@dataclass(frozen=True)
class Rearrange:
    """Elements in other places: `kind` and its numbers as `rearranging.sources` has them."""

    kind: str = ""
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Einsum:
    """`equation` in NumPy's form, with all its output's letters written out."""

    equation: str = ""


def broadcast_all_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(*(graph.tensors[t].shape for t in node.operands)),)


def reduced_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape, axes = graph.input(node).shape, node.attrs.axes
    if any(not 0 <= axis < len(shape) for axis in axes):
        raise ValueError(f"axes {list(axes)} of a tensor with {len(shape)}")
    if node.attrs.keep_dims:
        return (tuple(1 if i in axes else n for i, n in enumerate(shape)),)
    return (tuple(n for i, n in enumerate(shape) if i not in axes),)


def extreme_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape, axis = list(graph.input(node).shape), node.attrs.axis
    if shape[axis] == 0:
        raise ValueError("there is no greatest of nothing")
    shape[axis : axis + 1] = [1] if node.attrs.keep_dims else []
    return (tuple(shape),)


def top_k_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape, attrs = list(graph.input(node).shape), node.attrs
    if not 0 <= attrs.count <= shape[attrs.axis]:
        raise ValueError(f"{attrs.count} of {shape[attrs.axis]} are asked for")
    shape[attrs.axis] = attrs.count
    return tuple(shape), tuple(shape)


def gather_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    """inputs: x, indices. Leading `batch_dims` axes of both are gone through together."""
    x, indices = graph.input(node, 0).shape, graph.input(node, 1).shape
    axis, batch = node.attrs.axis, node.attrs.batch_dims
    if not batch <= axis < len(x) or x[:batch] != indices[:batch]:
        raise ValueError(f"axis {axis} of {list(x)} by indices {list(indices)}")
    _known_inside(graph.input(node, 1), (x[axis],))
    return (x[:axis] + indices[batch:] + x[axis + 1 :],)


def gather_nd_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    x, indices = graph.input(node, 0).shape, graph.input(node, 1).shape
    batch = node.attrs.batch_dims
    depth = batch + indices[-1]
    if depth > len(x) or x[:batch] != indices[:batch]:
        raise ValueError(f"{list(x)} by indices {list(indices)}")
    _known_inside(graph.input(node, 1), x[batch:depth])
    return (indices[:-1] + x[depth:],)


def update_slice_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    """inputs: x, a part that is no larger along any axis, an index for each axis."""
    x, part, indices = (graph.input(node, i).shape for i in range(3))
    if len(x) != len(part) or any(n > m for n, m in zip(part, x)) or indices != (len(x),):
        raise ValueError(f"{list(part)} in {list(x)} by indices {list(indices)}")
    return (x,)


def _known_inside(indices: Tensor, sizes: Shape) -> None:
    """Indices that are constants must be in an axis of that many; one size, or one for each of the
    last axis."""
    if indices.data is None or not indices.elements:
        return
    least = np.array(sizes)
    if (indices.data < -least).any() or (indices.data >= least).any():
        span = f"{indices.data.min()} to {indices.data.max()}"
        raise ValueError(f"indices from {span} in axes of {list(sizes)}")


def gather_elements_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    x, indices = graph.input(node, 0).shape, graph.input(node, 1)
    _known_inside(indices, (x[node.attrs.axis],))
    return (indices.shape,)


def scatter_elements_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    x, indices, updates = (graph.input(node, i) for i in range(3))
    if indices.shape != updates.shape or len(x.shape) != len(indices.shape):
        raise ValueError(f"{list(updates.shape)} in {list(x.shape)} by {list(indices.shape)}")
    _known_inside(indices, (x.shape[node.attrs.axis],))
    return (x.shape,)


def scatter_nd_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    x, indices, updates = (graph.input(node, i) for i in range(3))
    depth = indices.shape[-1]
    if depth > len(x.shape) or updates.shape != indices.shape[:-1] + x.shape[depth:]:
        raise ValueError(f"{list(updates.shape)} in {list(x.shape)} by {list(indices.shape)}")
    _known_inside(indices, x.shape[:depth])
    return (x.shape,)


def repeat_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape, counts = graph.input(node).shape, node.attrs.counts
    return (tuple(n * count for n, count in zip(shape, counts, strict=True)),)


def broadcast_to_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape, wanted = graph.input(node).shape, node.attrs.shape
    if np.broadcast_shapes(shape, wanted) != tuple(wanted):
        raise ValueError(f"{list(shape)} is no part of {list(wanted)}")
    return (tuple(wanted),)


def cast_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    x, y = graph.input(node), graph.output(node)
    if node.attrs.bits and x.itemsize != y.itemsize:
        raise ValueError(f"the bits of {x.dtype} are no {y.dtype}")
    return (x.shape,)


def matmul_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    """inputs: a [..., m, k], b [..., k, n]; a vector is a row of a, a column of b."""
    a, b = (graph.input(node, i).shape for i in (0, 1))
    a, b = turned(a, node.attrs.turn_a), turned(b, node.attrs.turn_b)
    rows, columns = (1, *a)[-2:], (*b, 1) if len(b) == 1 else b[-2:]
    if rows[1] != columns[0]:
        raise ValueError(f"{list(a)} by {list(b)}")
    batch = np.broadcast_shapes(a[:-2], b[:-2])
    return (batch + rows[:1] * (len(a) > 1) + columns[1:] * (len(b) > 1),)


def turned(shape: Shape, turn: bool) -> Shape:
    return (*shape[:-2], shape[-1], shape[-2]) if turn else shape


def matmul_macs(graph: Graph, node: Node) -> int:
    depth = (1, *turned(graph.input(node).shape, node.attrs.turn_a))[-1]
    return graph.output(node).elements * depth


def stack_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape, axis = graph.input(node).shape, node.attrs.axis
    return ((*shape[:axis], len(node.operands), *shape[axis:]),)


def unstack_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    shape, axis = graph.input(node).shape, node.attrs.axis
    return ((*shape[:axis], *shape[axis + 1 :]),) * len(node.outputs)


def rearrange_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    return (sources(node.attrs.kind, node.attrs.numbers, graph.input(node).shape).shape,)


def einsum_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    operands, answer = node.attrs.equation.split("->")
    sizes: dict[str, int] = {}
    for letters, tensor in zip(operands.split(","), node.operands, strict=True):
        for letter, size in zip(letters, graph.tensors[tensor].shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ValueError(f"{letter} has the sizes {sizes[letter]} and {size}")
    return (tuple(sizes[letter] for letter in answer),)


def einsum_macs(graph: Graph, node: Node) -> int:
    operands = node.attrs.equation.split("->")[0].split(",")
    sizes = {
        letter: size
        for letters, tensor in zip(operands, node.operands, strict=True)
        for letter, size in zip(letters, graph.tensors[tensor].shape, strict=True)
    }
    return math.prod(sizes.values())
