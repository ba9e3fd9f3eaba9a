"""Readers of the operators on numbers of any rank and type: functions, comparisons, choices, sums.

(tensorflow/lite/kernels/: elementwise.cc, comparisons.cc, maximum_minimum.cc, reduce.cc, gather.cc,
batch_matmul.cc, cumsum.cc, pack.cc, space_to_depth.cc and others, each of the operator's name.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..attributes import NoAttrs
from ..general import (
    Axis,
    Broadcast,
    Cast,
    Cumulate,
    Extreme,
    Function,
    MatMul,
    Rearrange,
    Reduce,
    Repeats,
)
from . import tflite_shapes as shapes
from .tflite_file import Malformed
from .tflite_reading import Parts, Reader, Reading, Unsupported, axis_in

Read = Callable[[Reading], Parts]

# ---- functions ---------------------------------------------------------------------------------


def one(op: str) -> Read:
    """A function of one number."""

    def read(node: Reading) -> Parts:
        node.tensor(0)
        return Parts(op, Function(), node.operands(0))

    return read


def two(op: str) -> Read:
    """A function of two numbers, broadcast."""

    def read(node: Reading) -> Parts:
        node.tensor(0), node.tensor(1)
        if node.activation() != "none":
            raise Unsupported("it has a fused activation", "make the activation a node of its own")
        return Parts(op, Function(), node.operands(0, 1))

    return read


def plain_two(op: str) -> Read:
    """One whose options have no activation."""
    return lambda node: Parts(op, Function(), node.operands(0, 1))


def select(node: Reading) -> Parts:
    return Parts("select", NoAttrs(), node.operands(0, 1, 2))


def old_select(node: Reading) -> Parts:
    """SELECT, where a vector may choose whole rows, which is no broadcast."""
    condition, x = node.tensor(0).shape, node.tensor(1).shape
    if condition != x and condition:
        raise Unsupported("its condition chooses rows", "use SELECT_V2")
    return select(node)


def cast(node: Reading) -> Parts:
    return Parts("cast", Cast(), node.operands(0))


# ---- reductions --------------------------------------------------------------------------------


def reduction(op: str) -> Read:
    def read(node: Reading) -> Parts:
        node.same_type()
        rank = len(node.tensor(0).shape)
        axes = tuple(sorted({axis_in(axis, rank) for axis in node.numbers(1, "axes")}))
        return Parts(op, Reduce(axes, bool(node.option("KeepDims", False))), node.operands(0))

    return read


def extreme(op: str) -> Read:
    def read(node: Reading) -> Parts:
        axis = axis_in(node.numbers(1, "axis", 1)[0], len(node.tensor(0).shape))
        return Parts(op, Extreme(axis), node.operands(0))

    return read


def cumulative_sum(node: Reading) -> Parts:
    node.same_type()
    axis = axis_in(node.numbers(1, "axis", 1)[0], len(node.tensor(0).shape))
    exclusive, reverse = bool(node.option("Exclusive")), bool(node.option("Reverse"))
    return Parts("cumulative_sum", Cumulate(axis, exclusive, reverse), node.operands(0))


def batch_matmul(node: Reading) -> Parts:
    a, b = node.tensor(0), node.tensor(1)
    if min(len(a.shape), len(b.shape)) < 2:
        raise Malformed("its operands must be matrices, or stacks of them")
    attrs = MatMul(bool(node.option("AdjX")), bool(node.option("AdjY")))
    return Parts("matmul", attrs, node.operands(0, 1))


# ---- movement ----------------------------------------------------------------------------------


def gather(node: Reading) -> Parts:
    node.same_type()
    x, indices = node.tensor(0), node.tensor(1)
    axis = axis_in(node.option("Axis", 0), len(x.shape))
    batch = node.option("BatchDims", 0)
    batch += len(indices.shape) if batch < 0 else 0
    return Parts("gather", Axis(axis, batch), node.operands(0, 1))


def gather_nd(node: Reading) -> Parts:
    node.same_type()
    return Parts("gather_nd", Axis(), node.operands(0, 1))


def embedding_lookup(node: Reading) -> Parts:
    """Operands: rows that are wanted, the table."""
    node.same_type(1)
    return Parts("gather", Axis(0, 0), node.operands(1, 0))


def add_n(node: Reading) -> Parts:
    """Of int8; of other types it is a chain of additions by now (see `tflite_sums`)."""
    node.same_type(*range(len(node.operator.inputs)))
    return Parts("add_n", NoAttrs(), node.operator.inputs)


def update_slice(node: Reading) -> Parts:
    """Operands: x, the part that replaces some of it, where."""
    node.same_type(0, 1)
    node.tensor(2)
    return Parts("update_slice", NoAttrs(), node.operands(0, 1, 2))


def tile(node: Reading) -> Parts:
    node.same_type()
    counts = node.numbers(1, "repeats", len(node.tensor(0).shape))
    if min(counts, default=1) < 1:
        raise Malformed(f"the repeats must be positive, not {list(counts)}")
    return Parts("repeat", Repeats(counts), node.operands(0))


def broadcast_to(node: Reading) -> Parts:
    node.same_type()
    return Parts("broadcast_to", Broadcast(node.numbers(1, "shape")), node.operands(0))


def stack(node: Reading) -> Parts:
    """PACK: tensors of one shape along a new axis."""
    count = len(node.operator.inputs)
    node.same_type(*range(count))
    shape = node.tensor(0).shape
    if any(node.tensor(i).shape != shape for i in range(count)):
        raise Malformed("its operands must be of one shape")
    axis = axis_in(node.option("Axis", 0), len(shape) + 1)
    return Parts("stack", Axis(axis), node.operator.inputs)


def unstack(node: Reading) -> Parts:
    """UNPACK: the slices of an axis, which goes."""
    node.same_type()
    shape, count = node.tensor(0).shape, len(node.operator.outputs)
    axis = axis_in(node.option("Axis", 0), len(shape))
    if shape[axis] != count:
        raise Malformed(f"{shape[axis]} slices along axis {axis} can't be {count} outputs")
    return Parts("unstack", Axis(axis), node.operands(0))


def blocks(kind: str) -> Read:
    """DEPTH_TO_SPACE and SPACE_TO_DEPTH."""

    def read(node: Reading) -> Parts:
        node.image()
        node.same_type()
        size = node.option("BlockSize")
        if size < 1:
            raise Malformed(f"the block size must be positive, not {size}")
        return Parts("rearrange", Rearrange(kind, (size,)), node.operands(0))

    return read


def batches(kind: str) -> Read:
    """SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: blocks, then padding or crops, of each axis."""

    def read(node: Reading) -> Parts:
        node.same_type()
        sizes, edges = node.numbers(1, "blocks"), node.numbers(2, "edges")
        if len(edges) != 2 * len(sizes) or min(sizes, default=1) < 1 or min(edges, default=0) < 0:
            raise Malformed(f"blocks {list(sizes)} and edges {list(edges)} don't fit each other")
        return Parts("rearrange", Rearrange(kind, (*sizes, *edges)), node.operands(0))

    return read


def mirror_pad(node: Reading) -> Parts:
    node.same_type()
    mode = node.option("Mode", 0)
    edges = node.numbers(1, "padding", 2 * len(node.tensor(0).shape))
    if mode not in (0, 1) or min(edges, default=0) < 0:
        raise Malformed(f"there is no mode {mode}, or the padding {list(edges)} is negative")
    kind = ("reflect", "symmetric")[mode]
    return Parts("rearrange", Rearrange(kind, edges), node.operands(0))


def reverse(node: Reading) -> Parts:
    node.same_type()
    rank = len(node.tensor(0).shape)
    axes = tuple(axis_in(axis, rank) for axis in node.numbers(1, "axes"))
    return Parts("rearrange", Rearrange("reverse", axes), node.operands(0))


def assign(node: Reading) -> Parts:
    """Operands: state, value, then what must have run before (see `tflite_variables`)."""
    if not node.tensor(0).variable:
        raise Unsupported(
            "its variable is no plain state", "assign to it once, after it is read, from zero on"
        )
    return Parts("assign", NoAttrs(), node.operator.inputs)


READERS: Mapping[str, Reader] = {
    **shapes.READERS,
    "ADD_N": Reader(add_n, None, 1, (2, 4096)),
    "ASSIGN_VARIABLE": Reader(assign, None, 1, (2, 4096)),
    "ABS": Reader(one("abs"), None, 5),
    "CEIL": Reader(one("ceil"), None, 1),
    "COS": Reader(one("cos"), None, 1),
    "DYNAMIC_UPDATE_SLICE": Reader(update_slice, None, 3, (3, 3)),
    "ELU": Reader(one("elu"), None, 1),
    "EMBEDDING_LOOKUP": Reader(embedding_lookup, None, 1, (2, 2)),
    "EXP": Reader(one("exp"), None, 2),
    "FLOOR": Reader(one("floor"), None, 1),
    "LOG": Reader(one("log"), None, 2),
    "LOGICAL_NOT": Reader(one("logical_not"), None, 1),
    "NEG": Reader(one("negate"), None, 2),
    "ROUND": Reader(one("round"), None, 1),
    "RSQRT": Reader(one("rsqrt"), None, 3),
    "SIN": Reader(one("sin"), None, 1),
    "SQRT": Reader(one("sqrt"), None, 1),
    "SQUARE": Reader(one("square"), None, 1),
    "DIV": Reader(two("divide"), "DivOptions", 2, (2, 2)),
    "EQUAL": Reader(plain_two("equal"), None, 4, (2, 2)),
    "FLOOR_DIV": Reader(plain_two("floor_divide"), None, 3, (2, 2)),
    "FLOOR_MOD": Reader(plain_two("floor_modulo"), None, 2, (2, 2)),
    "GREATER": Reader(plain_two("greater"), None, 2, (2, 2)),
    "GREATER_EQUAL": Reader(plain_two("greater_equal"), None, 2, (2, 2)),
    "LESS": Reader(plain_two("less"), None, 2, (2, 2)),
    "LESS_EQUAL": Reader(plain_two("less_equal"), None, 2, (2, 2)),
    "LOGICAL_AND": Reader(plain_two("logical_and"), None, 1, (2, 2)),
    "LOGICAL_OR": Reader(plain_two("logical_or"), None, 1, (2, 2)),
    "MAXIMUM": Reader(plain_two("maximum"), None, 4, (2, 2)),
    "MINIMUM": Reader(plain_two("minimum"), None, 4, (2, 2)),
    "NOT_EQUAL": Reader(plain_two("not_equal"), None, 3, (2, 2)),
    "POW": Reader(plain_two("power"), None, 1, (2, 2)),
    "PRELU": Reader(plain_two("prelu"), None, 1, (2, 2)),
    "SQUARED_DIFFERENCE": Reader(plain_two("squared_difference"), None, 2, (2, 2)),
    "SELECT": Reader(old_select, None, 4, (3, 3)),
    "SELECT_V2": Reader(select, None, 2, (3, 3)),
    "CAST": Reader(cast, None, 6),
    "SUM": Reader(reduction("sum"), "ReducerOptions", 2, (2, 2)),
    "REDUCE_ALL": Reader(reduction("reduce_all"), "ReducerOptions", 1, (2, 2)),
    "REDUCE_ANY": Reader(reduction("reduce_any"), "ReducerOptions", 1, (2, 2)),
    "REDUCE_MAX": Reader(reduction("reduce_max"), "ReducerOptions", 3, (2, 2)),
    "REDUCE_MIN": Reader(reduction("reduce_min"), "ReducerOptions", 3, (2, 2)),
    "REDUCE_PROD": Reader(reduction("product"), "ReducerOptions", 2, (2, 2)),
    "ARG_MAX": Reader(extreme("arg_max"), None, 3, (2, 2)),
    "ARG_MIN": Reader(extreme("arg_min"), None, 3, (2, 2)),
    "CUMSUM": Reader(cumulative_sum, "CumsumOptions", 1, (2, 2)),
    "BATCH_MATMUL": Reader(batch_matmul, "BatchMatMulOptions", 4, (2, 2)),
    "GATHER": Reader(gather, "GatherOptions", 7, (2, 2)),
    "GATHER_ND": Reader(gather_nd, None, 5, (2, 2)),
    "TILE": Reader(tile, None, 3, (2, 2)),
    "BROADCAST_TO": Reader(broadcast_to, None, 3, (2, 2)),
    "PACK": Reader(stack, "PackOptions", 4, (1, 4096)),
    "UNPACK": Reader(unstack, "UnpackOptions", 4, (1, 1), None),
    "DEPTH_TO_SPACE": Reader(blocks("depth_to_space"), "DepthToSpaceOptions", 2),
    "SPACE_TO_DEPTH": Reader(blocks("space_to_depth"), "SpaceToDepthOptions", 2),
    "BATCH_TO_SPACE_ND": Reader(batches("batch_to_space"), None, 3, (3, 3)),
    "SPACE_TO_BATCH_ND": Reader(batches("space_to_batch"), None, 3, (3, 3)),
    "MIRROR_PAD": Reader(mirror_pad, "MirrorPadOptions", 3, (2, 2)),
    "REVERSE_V2": Reader(reverse, None, 3, (2, 2)),
}
