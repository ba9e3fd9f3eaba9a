"""Every operator that the kernels' room can compute, by its name in `runtime/ops.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..runtime import custom
from ..runtime.errors import Refusal
from ..runtime.graph import Graph, Node
from ..runtime.lowering import Lowered
from . import (
    add,
    add_n,
    assign,
    bconv2d,
    binarize,
    bmax_pool2d,
    cast,
    compare,
    concatenation,
    conv2d,
    cumulate,
    depthwise_conv2d,
    detection,
    extreme,
    fully_connected,
    gather,
    general_functions,
    general_tensors,
    grid_sample,
    hard_swish,
    hybrid,
    l2_normalization,
    log_softmax,
    lstm,
    matmul,
    mean,
    mul,
    narrow,
    pad,
    pairwise,
    pointwise,
    pool2d,
    quantize,
    rearrange,
    rectifiers,
    reduce,
    reshape,
    resize,
    roi_align,
    select,
    sigmoids,
    sign,
    signal_fft,
    signal_filter_bank,
    signal_framing,
    signal_spectrum,
    slide,
    softmax,
    split,
    stack,
    strided_slice,
    svdf,
    transpose,
    transpose_conv,
    update_slice,
    while_loop,
    winograd_conv2d,
)
from .operation import Layout, Operation

OPERATIONS: Mapping[str, Operation] = {
    "conv2d": conv2d.OPERATION,
    "winograd_conv2d": winograd_conv2d.OPERATION,
    "depthwise_conv2d": depthwise_conv2d.OPERATION,
    "transpose_conv": transpose_conv.OPERATION,
    "fully_connected": fully_connected.OPERATION,
    "dynamic_quantize": hybrid.QUANTIZE,
    **hybrid.OPERATIONS,
    "average_pool2d": pool2d.AVERAGE,
    "max_pool2d": pool2d.MAX,
    "l2_pool2d": pool2d.L2,
    "add": add.ADD,
    "add_n": add_n.OPERATION,
    "sub": add.SUB,
    "mul": mul.MUL,
    "l2_normalization": l2_normalization.OPERATION,
    "log_softmax": log_softmax.OPERATION,
    "softmax": softmax.SOFTMAX,
    "relu": rectifiers.RELU,
    "leaky_relu": rectifiers.LEAKY_RELU,
    "sign": sign.OPERATION,
    "logistic": sigmoids.LOGISTIC,
    "tanh": sigmoids.TANH,
    "hard_swish": hard_swish.HARD_SWISH,
    "quantize": quantize.QUANTIZE_OPERATION,
    "dequantize": quantize.DEQUANTIZE_OPERATION,
    "mean": mean.MEAN,
    "resize_nearest": resize.RESIZE_NEAREST_OPERATION,
    "resize_bilinear": resize.RESIZE_BILINEAR_OPERATION,
    "pad": pad.OPERATION,
    "concatenation": concatenation.OPERATION,
    "split": split.OPERATION,
    "strided_slice": strided_slice.OPERATION,  # before the two that share its strided copy
    "transpose": transpose.OPERATION,
    "reshape": reshape.OPERATION,
    "rearrange": rearrange.REARRANGE,
    "repeat": rearrange.REPEAT,
    "broadcast_to": rearrange.BROADCAST_TO,
    "stack": stack.STACK,
    "unstack": stack.UNSTACK,
    "assign": assign.OPERATION,
    "slide": slide.OPERATION,
    "lstm": lstm.OPERATION,
    "svdf": svdf.OPERATION,
    "binarize": binarize.BINARIZE_OPERATION,
    "bit_planes": binarize.BIT_PLANES,
    "debinarize": binarize.DEBINARIZE_OPERATION,
    "bconv2d": bconv2d.OPERATION,
    "bdense": bconv2d.OPERATION,
    "bmax_pool2d": bmax_pool2d.OPERATION,
    **general_functions.OPERATIONS,
    **general_tensors.OPERATIONS,
    **compare.OPERATIONS,
    **pairwise.OPERATIONS,
    **pointwise.OPERATIONS,
    **reduce.OPERATIONS,
    **cumulate.OPERATIONS,
    **signal_framing.OPERATIONS,
    **signal_spectrum.OPERATIONS,
    **signal_fft.OPERATIONS,
    **signal_filter_bank.OPERATIONS,
    "grid_sample": grid_sample.OPERATION,
    "narrow": narrow.OPERATION,
    "roi_align": roi_align.OPERATION,
    "gather": gather.GATHER_OPERATION,
    "gather_nd": gather.GATHER_ND_OPERATION,
    "detection": detection.OPERATION,
    "matmul": matmul.OPERATION,
    "update_slice": update_slice.OPERATION,
    "select": select.OPERATION,
    "while_loop": while_loop.OPERATION,
    "cast": cast.OPERATION,
    "arg_max": extreme.OPERATION,
    "arg_min": extreme.OPERATION,
}


def operation_of(op: str) -> Operation | None:
    """The operation of an operator's name, of midge's own or a user's."""
    if op in custom.found():
        operation: Operation = custom.found()[op].operation
        return operation
    return OPERATIONS.get(op)


def refusal(graph: Graph, node: Node, index: int) -> Refusal | None:
    """The first constraint that `node` (number `index`) breaks, in the user's words, or None."""
    operation = operation_of(node.op)
    if operation is None:
        known = ", ".join(sorted(OPERATIONS))
        return Refusal(index, node.op, f"there is no kernel for {node.op}", f"use one of: {known}")
    for keeps in operation.constraints:
        if not keeps(graph, node):
            rule = " ".join((keeps.__doc__ or keeps.__name__).split())
            return Refusal(index, node.op, rule, operands(graph, node))
    return None


def operands(graph: Graph, node: Node) -> str:
    """What came, so that the user sees which operand to change."""
    tensors = [graph.tensors[t] for t in (*node.operands, *node.outputs)]
    shown = ", ".join(f"{t.name!r} {t.dtype}{list(t.shape)}" for t in tensors)
    return f"this one has {shown}"


def lower(graph: Graph, node: Node) -> Lowered:
    """The kernel call that makes a node which is not refused."""
    operation = operation_of(node.op)
    assert operation is not None  # else the node is refused
    return operation.lower(graph, node)


def layouts() -> dict[str, Layout]:
    """The parameter words of every native kernel, by the kernel's name."""
    operations = (*OPERATIONS.values(), *(own.operation for own in custom.found().values()))
    return {words.kernel: words for operation in operations for words in operation.layouts}


# Native functions whose file has another name than what lowers to them, or to which nothing does.
APART = {
    "dispatch": "loop",
    "follow": "team",
    "lead": "team",
    "lookup_s8": "lookup",
    "peak": "peak",
}


def custom_file(name: str) -> Path | None:
    """The file of a user's that defines a native kernel; None if the kernel is midge's own."""
    for own in custom.found().values():
        if own.native is not None and any(w.kernel == name for w in own.operation.layouts):
            return Path(own.native)
    return None


def without_native() -> frozenset[str]:
    """Kernels of users' operators that have no Numba twin."""
    return frozenset(
        words.kernel
        for own in custom.found().values()
        if own.native is None
        for words in own.operation.layouts
    )


def native_module(name: str) -> str:
    """The module of `kernels/native/` that defines a native function.

    A kernel's native twin stands in the file with the name of the one that lowers to it.
    """
    if name in APART:
        return APART[name]
    for operation in OPERATIONS.values():
        if any(words.kernel == name for words in operation.layouts):
            return operation.lower.__module__.rpartition(".")[2]
    raise ValueError(f"there is no native kernel {name!r}")
