"""What the operators with weights share: types, constraints, and the way back to output units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..runtime.graph import DTYPES, Graph, Node, Tensor
from ..runtime.lowering import Constant, Field
from . import fixedpoint as fp

SUFFIXES = {"int8": "s8", "int16": "s16", "float32": "f32"}

# (activations, weights, bias) that have kernels. An int16 layer with an int32 bias sums in 32 bits
# and keeps the whole multiplier; with an int64 bias it sums in 64 and reduces it to 16 bits.
TYPES = {
    ("int8", "int8", "int32"),
    ("int16", "int8", "int32"),
    ("int16", "int8", "int64"),
    ("float32", "float32", "float32"),
}


def has_supported_types(graph: Graph, node: Node) -> bool:
    """Input, weights and bias must be int8, int8, int32; or int16, int8, int64 or int32; or all
    float32; and the output of the input's type."""
    x, weights, bias = graph.input(node), graph.input(node, 1), graph.operand(node, 2)
    if graph.output(node).dtype != x.dtype:
        return False
    if bias is None:
        return any((x.dtype, weights.dtype) == types[:2] for types in TYPES)
    return (x.dtype, weights.dtype, bias.dtype) in TYPES


def has_constant_weights(graph: Graph, node: Node) -> bool:
    """Weights and bias must be constants."""
    bias = graph.operand(node, 2)
    return graph.input(node, 1).constant and (bias is None or bias.constant)


def has_known_activation(graph: Graph, node: Node) -> bool:
    """A fused activation must be none, relu, relu6 or relu_n1_to_1."""
    return node.attrs.activation in fp.ACTIVATIONS


def is_quantized(graph: Graph, node: Node) -> bool:
    """Integer input, weights and output must be quantized, with one scale for input and output."""
    if graph.input(node).dtype == "float32":
        return True
    ends = (graph.input(node), graph.output(node))
    whole = all(t.quantization is not None and not t.quantization.per_axis for t in ends)
    return whole and graph.input(node, 1).quantization is not None


def has_symmetric_int16(graph: Graph, node: Node) -> bool:
    """int16 input and output, and the weights between, must have zero point 0."""
    operands = (graph.input(node), graph.input(node, 1), graph.output(node))
    return graph.input(node).dtype != "int16" or all(t.zero_point == 0 for t in operands)


def has_reachable_scale(graph: Graph, node: Node) -> bool:
    """Input scale * weight scale / output scale must be under 2^30, or 2^7 with an int64 bias."""
    if graph.input(node).dtype == "float32":
        return True
    limit = 7 if sums_in_64_bits(graph, node) else 30
    scales = _real_scales(graph, node, 1)
    return bool(np.isfinite(scales).all() and fp.quantize_multipliers(scales)[1].max() <= limit)


def has_bias_per_channel(graph: Graph, node: Node) -> bool:
    """A bias must have one value for each output channel."""
    bias = graph.operand(node, 2)
    return bias is None or bias.elements == graph.output(node).shape[-1]


def scales_fit(weights: Tensor, axis: int) -> bool:
    """Per-axis weights: one scale an output channel along `axis`, zero points 0."""
    quantization = weights.quantization
    if quantization is None or not quantization.per_axis:
        return True
    fits = len(quantization.scales) == weights.shape[axis] and quantization.axis == axis
    return fits and not quantization.zero_points.any()


CONSTRAINTS = (
    has_supported_types,
    has_constant_weights,
    has_known_activation,
    is_quantized,
    has_symmetric_int16,
    has_reachable_scale,
    has_bias_per_channel,
)


def sums_in_64_bits(graph: Graph, node: Node) -> bool:
    """True for an int16 layer with an int64 bias; of those without a bias, only convolutions."""
    bias = graph.operand(node, 2)
    if graph.input(node).dtype != "int16":
        return False
    if bias is None:
        return node.op in ("conv2d", "depthwise_conv2d")
    return bias.dtype == "int64"


@dataclass(frozen=True, eq=False)
class Requantization:
    """From accumulators to outputs: bias, multiplier and shift of each channel, and the clamp."""

    bias: NDArray[np.int32] | NDArray[np.int64]
    multiplier: NDArray[np.int32]
    shift: NDArray[np.int32]
    wide: bool  # 64-bit sums and 16-bit multipliers
    zero_point: int
    least: int
    greatest: int

    def apply(self, sums: NDArray[np.int64], dtype: str) -> np.ndarray:
        """Outputs of `sums` (without bias), whose last axis is the channel."""
        biased = sums + self.bias
        if self.wide:
            scaled = fp.multiply_by_quantized_multiplier_64(biased, self.multiplier, self.shift)
        else:
            narrow = biased.astype(np.int32)
            scaled = fp.multiply_by_quantized_multiplier(narrow, self.multiplier, self.shift)
        shifted = scaled.astype(np.int64) + self.zero_point
        return np.clip(shifted, self.least, self.greatest).astype(DTYPES[dtype])

    def fields(self, int16: bool = False) -> dict[str, Field]:
        """The fields that native integer kernels read; `int16` ones take int64 biases always."""
        return {
            "bias": Constant(self.bias.astype(np.int64) if int16 else self.bias),
            "multiplier": Constant(self.multiplier),
            "shift": Constant(self.shift),
            "least": self.least,
            "greatest": self.greatest,
        }


def requantization(graph: Graph, node: Node, channels: int) -> Requantization:
    """The requantization of an integer layer's `channels` output channels."""
    y = graph.output(node)
    multiplier, shift = fp.multipliers_for(y, _real_scales(graph, node, channels))
    least, greatest = fp.activation_range(node.attrs.activation, y)
    wide = sums_in_64_bits(graph, node)
    values = bias_values(graph, node, channels)
    bias = values.astype(np.int64) if wide else values.astype(np.int32)
    return Requantization(bias, multiplier, shift, wide, y.zero_point, least, greatest)


def _real_scales(graph: Graph, node: Node, channels: int) -> NDArray[np.float64]:
    """Accumulator units to output units, for each channel."""
    x, weights, y = graph.input(node), graph.input(node, 1), graph.output(node)
    if scale_is_rounded(node, weights):
        return np.full(channels, fp.tensor_scale(x, weights, y))
    return fp.channel_scales(x, weights, y, channels)


def scale_is_rounded(node: Node, weights: Tensor) -> bool:
    """True where TFLite multiplies the input's and the weights' scale in float32.

    That is so for layers that were uint8, and for fully connected layers with one weight scale.
    """
    assert weights.quantization is not None
    whole = not weights.quantization.per_axis
    return whole and (node.op == "fully_connected" or bool(node.attrs.unsigned))


def bias_values(graph: Graph, node: Node, channels: int) -> np.ndarray:
    """The bias, or zeros where there is none."""
    bias = graph.operand(node, 2)
    if bias is None:
        return np.zeros(channels, np.float32 if graph.input(node).dtype == "float32" else np.int32)
    assert bias.data is not None
    return bias.data.reshape(-1)


def centred(values: np.ndarray, tensor: Tensor) -> NDArray[np.float64]:
    """Quantized values less their zero point, as float64: their sums of products stay exact.

    A product has at most 25 bits, so 2**28 of them add up under 2**53.
    """
    zero_points = np.int64(0)
    if tensor.quantization is not None and not tensor.quantization.per_axis:
        zero_points = tensor.quantization.zero_points[0]
    return values.astype(np.float64) - zero_points


def clamp_float(values: np.ndarray, activation: str) -> NDArray[np.float32]:
    """A fused activation on float32. What equals a bound stays as it is: -0.0 is no 0.0."""
    least, greatest = float_bounds(activation)
    values = np.where(values < least, least, values)
    return np.where(values > greatest, greatest, values).astype(np.float32)


def float_bounds(activation: str) -> NDArray[np.float32]:
    """(least, greatest) as native float kernels read them."""
    return np.array(fp.float_activation_range(activation), np.float32)
