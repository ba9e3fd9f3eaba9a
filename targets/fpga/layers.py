"""From a graph's node to the accelerator's jobs, for every operator that it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...hw.driver import Piece, TileJob
from ...hw.jobs import Job
from ...hw.machine import Machine
from ...kernels.add import rescaling
from ...kernels.convolution import requantization
from ...kernels.fixedpoint import activation_range
from ...runtime.attributes import Padding
from ...runtime.errors import TargetError
from ...runtime.graph import BINARY, Graph, Node, Tensor
from .binary import binary_job
from .lower import (
    conv2d_job,
    describe,
    fold_zero_point,
    fully_connected_job,
    pack_parameters,
    pack_weights,
)
from .vector import add_job, average_pool_job, depthwise_job, max_pool_job


def layer_jobs(graph: Graph, node: Node, machine: Machine) -> list[TileJob]:
    """The jobs of a node; `TargetError` if the accelerator has not the operator or the room."""
    lower = _LOWERINGS.get(node.op)
    if lower is None:
        raise TargetError(f"the accelerator has no {node.op}")
    if node.op in ("bconv2d", "bdense"):
        return lower(graph, node, machine)
    if any(graph.tensors[index].dtype != "int8" for index in (node.operands[0], *node.outputs)):
        raise TargetError(f"{node.op} runs on int8 alone")
    return lower(graph, node, machine)


def operands(graph: Graph, node: Node) -> tuple[int, ...]:
    """The tensors that the node's jobs read from the scratchpad."""
    return node.operands[:2] if node.op in ("add", "sub") else node.operands[:1]


def as_image(graph: Graph, node: Node, tensor: int) -> tuple[int, int, int]:
    """The [height, width, bytes] in which a node's jobs see one of its tensors."""
    shape, size = graph.tensors[tensor].shape, octets(graph.tensors[tensor])
    if node.op in ("add", "sub", "fully_connected", "bdense"):
        return 1, 1, size
    return shape[1], shape[2], size // (shape[1] * shape[2])


def octets(tensor: Tensor) -> int:
    """Bytes that a tensor takes on the chip."""
    return tensor.elements * (4 if tensor.dtype == BINARY else 1)


def _convolution(graph: Graph, node: Node, machine: Machine) -> list[TileJob]:
    x, weights = graph.input(node), _weights(graph, node)
    if x.shape[0] != 1 or x.shape[3] != weights.shape[3]:
        raise TargetError("the accelerator convolves one image, in one group of channels")
    rule = requantization(graph, node, len(weights))
    pad: Padding = node.attrs.padding
    return conv2d_job(
        x.shape[1:], weights, rule.bias, rule.multiplier, rule.shift,
        stride=node.attrs.stride,
        dilation=node.attrs.dilation,
        padding=(pad.top, pad.bottom, pad.left, pad.right),
        **_quantized(x.zero_point, rule, machine),
    )  # fmt: skip


def _fully_connected(graph: Graph, node: Node, machine: Machine) -> list[TileJob]:
    x, weights = graph.input(node), _weights(graph, node)
    if x.elements != weights.shape[1]:
        raise TargetError("the accelerator multiplies one vector")
    rule = requantization(graph, node, len(weights))
    return fully_connected_job(
        weights, rule.bias, rule.multiplier, rule.shift, **_quantized(x.zero_point, rule, machine)
    )


def _quantized(zero_point: int, rule: Any, machine: Machine) -> dict[str, Any]:
    return {
        "input_zero_point": zero_point,
        "output_zero_point": rule.zero_point,
        "clamp": (rule.least, rule.greatest),
        "machine": machine,
    }


def _weights(graph: Graph, node: Node) -> np.ndarray:
    weights = graph.input(node, 1)
    if weights.dtype != "int8" or weights.data is None:
        raise TargetError(f"{node.op} takes constant int8 weights, not {weights.dtype}")
    if weights.quantization is None or weights.quantization.zero_points.any():
        raise TargetError(f"the weights of {node.op} must have the zero point 0")
    return weights.data


def _depthwise(graph: Graph, node: Node, machine: Machine) -> list[TileJob]:
    x, weights = graph.input(node), _weights(graph, node)
    if x.shape[0] != 1 or node.attrs.multiplier != 1 or node.attrs.dilation != (1, 1):
        raise TargetError("a depthwise convolution takes one image, multiplier 1, no dilation")
    rule = requantization(graph, node, weights.shape[3])
    pad: Padding = node.attrs.padding
    layer = describe(
        x.shape[1:], (weights.shape[3], *weights.shape[1:3], x.shape[3]), node.attrs.stride,
        (1, 1), (pad.top, pad.bottom, pad.left, pad.right), (x.zero_point, rule.zero_point),
        (rule.least, rule.greatest),
    )  # fmt: skip
    return depthwise_job(layer, weights[0], rule.bias, rule.multiplier, rule.shift, machine)


def _pool(graph: Graph, node: Node, machine: Machine) -> list[TileJob]:
    x, y, attrs = graph.input(node), graph.output(node), node.attrs
    if x.shape[0] != 1 or attrs.unsigned:
        raise TargetError("a pool takes one image, of a model that was not uint8")
    pad: Padding = attrs.padding
    clamp = (-128, 127) if attrs.activation == "none" else activation_range(attrs.activation, y)
    layer = describe(
        x.shape[1:], (x.shape[3], *attrs.window, x.shape[3]), attrs.stride, (1, 1),
        (pad.top, pad.bottom, pad.left, pad.right), (-128, 0), clamp,
    )  # fmt: skip
    return (max_pool_job if node.op == "max_pool2d" else average_pool_job)(layer, machine)


def _add(graph: Graph, node: Node, machine: Machine) -> list[TileJob]:
    a, b = graph.input(node), graph.input(node, 1)
    if a.shape != b.shape or b.dtype != "int8" or a.data is not None or b.data is not None:
        raise TargetError(f"{node.op} takes two int8 activations of one shape")
    return add_job(rescaling(graph, node), a.elements, machine)


_LOWERINGS: Mapping[str, Callable[[Graph, Node, Machine], list[TileJob]]] = {
    "conv2d": _convolution,
    "fully_connected": _fully_connected,
    "depthwise_conv2d": _depthwise,
    "average_pool2d": _pool,
    "max_pool2d": _pool,
    "add": _add,
    "sub": _add,
    "bconv2d": binary_job,
    "bdense": binary_job,
}


ON_THE_ARRAY = frozenset(_LOWERINGS)


def flat_convolution(graph: Graph, node: Node, machine: Machine) -> tuple[TileJob, int]:
    """A convolution whose image is one long row, `pitch` bytes from one of its rows to the next.

    A window is then one run of bytes, those between its rows multiplied by 0; a narrow image
    fills the array better so. Between two rows lie as many pixels of the input's zero point as
    the window reaches over either side.
    """
    x, weights = graph.input(node), _weights(graph, node)
    outputs, kernel_h, kernel_w, channels = weights.shape
    pad, (stride_h, stride_w) = node.attrs.padding, node.attrs.stride
    height, width = x.shape[1:3]
    if node.attrs.dilation != (1, 1) or x.shape[0] != 1 or x.shape[3] != channels:
        raise TargetError("only a plain convolution can be flattened")
    pitch = (width + max(pad.left, pad.right)) * channels
    if kernel_w * channels > pitch:
        raise TargetError("the kernel is wider than a row and what lies between it and the next")
    span = (kernel_h - 1) * pitch + kernel_w * channels
    flat = np.zeros((outputs, kernel_h, pitch), np.int8)
    flat[:, :, : kernel_w * channels] = weights.reshape(outputs, kernel_h, -1)
    output_h, output_w = graph.output(node).shape[1:3]
    rule = requantization(graph, node, outputs)
    if machine.packed and (weights == -128).any():
        raise TargetError("weights of -128 are multiplied in two passes")
    flat = flat.reshape(outputs, 1, 1, -1)[..., :span]
    bias = fold_zero_point(flat, rule.bias, x.zero_point)
    job = Job(
        input_address=0,
        output_address=0,
        weight_address=0,
        parameter_address=0,
        input_h=1,
        input_w=height * pitch,
        input_c=1,
        output_h=output_h,
        output_w=output_w,
        output_c=outputs,
        output_pitch=outputs,
        kernel_w=span,
        stride_h=0,
        stride_w=stride_w * channels,
        padding_left=pad.top * pitch + pad.left * channels,
        input_zero_point=x.zero_point,
        output_zero_point=rule.zero_point,
        minimum=rule.least,
        maximum=rule.greatest,
        line_step=stride_h * pitch,
    )
    job.check(machine)
    tile = TileJob(
        (job,),
        pack_weights(flat.reshape(outputs, 1, span, 1), 1, machine),
        pack_parameters(bias, rule.multiplier, rule.shift, machine),
        (Piece(0, 0, (0, height)),),
        0,
        (output_h, output_w, outputs),
        (0, output_h),
        (0, outputs),
    )
    return tile, pitch
