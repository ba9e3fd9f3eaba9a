"""Readers of the operators that compute: convolutions, sums, pools, activations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..attributes import (
    Arithmetic,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    L2Normalization,
    LeakyRelu,
    NoAttrs,
    Pool2D,
    Relu,
    Softmax,
    TransposeConv,
)
from ..general import Cast
from ..graph import Quantization, Tensor
from .tflite_file import Malformed
from .tflite_reading import QUANTIZED, Parts, Reading, Unsupported

# (input, weights) -> dtypes that a bias may have.
BIASES = {
    ("int8", "int8"): ("int32",),
    ("uint8", "uint8"): ("int32",),
    ("int16", "int8"): ("int64", "int32"),
    ("float32", "float32"): ("float32",),
    ("float32", "int8"): ("float32",),  # dynamic range: x is quantized as it comes
}


def check_weights(node: Reading, x: Tensor, weights: Tensor, channels: int, axis: int) -> None:
    """Types and scales of a sum of products whose `weights` have `channels` slices along `axis`."""
    if (x.dtype, weights.dtype) not in BIASES:
        raise Unsupported(
            f"weights of type {weights.dtype} with an input of type {x.dtype} can't be read",
            "convert the model with full integer quantization, or in float32",
        )
    if node.output().dtype != x.dtype:
        raise Unsupported(
            f"its output is {node.output().dtype}, its input {x.dtype}",
            "let a QUANTIZE or DEQUANTIZE node change the type",
        )
    if weights.dtype not in QUANTIZED:
        return
    node.per_tensor(x, node.output())
    scales = weights.quantization
    if scales is None:
        raise Malformed(f"the weights of type {weights.dtype} have no scale")
    if scales.per_axis and scales.axis != axis:
        raise Malformed(
            f"the weights have a scale for each slice of axis {scales.axis}, it must be axis {axis}"
        )


def check_bias(node: Reading, position: int, x: Tensor, weights: Tensor, channels: int) -> None:
    """A bias, if there is one, is a vector of one number for each output channel."""
    bias = node.optional(position)
    if bias is None:
        return
    if bias.shape != (channels,):
        raise Malformed(f"the bias must have {channels} elements, not shape {list(bias.shape)}")
    allowed = BIASES[x.dtype, weights.dtype]
    if bias.dtype not in allowed:
        raise Unsupported(
            f"the bias must be {' or '.join(allowed)}, not {bias.dtype}",
            "convert the model with full integer quantization, or in float32",
        )


def conv2d(node: Reading) -> Parts:
    x, weights = node.image(0), node.image(1)
    channels, height, width, depth = weights.shape
    groups, rest = divmod(x.shape[3], depth) if depth else (0, 1)
    if rest or not groups or channels % groups or not channels:
        raise Malformed(
            f"weights of shape {list(weights.shape)} don't fit {x.shape[3]} input channels"
        )
    check_weights(node, x, weights, channels, 0)
    check_bias(node, 2, x, weights, channels)
    dilation = node.dilation()
    stride, padding = node.window((height, width), dilation)
    attrs = Conv2D(stride, dilation, padding, activation=node.activation())
    return Parts("conv2d", attrs, node.operands(0, 1, 2))


def depthwise_conv2d(node: Reading) -> Parts:
    x, weights = node.image(0), node.image(1)
    one, height, width, channels = weights.shape
    multiplier, rest = divmod(channels, x.shape[3])
    if one != 1 or rest or not multiplier:
        raise Malformed(
            f"weights of shape {list(weights.shape)} don't fit {x.shape[3]} input channels"
        )
    if node.option("DepthMultiplier") not in (0, multiplier):  # TFLite goes by the shapes
        raise Malformed(
            f"the depth multiplier is {node.option('DepthMultiplier')}, the shapes say {multiplier}"
        )
    check_weights(node, x, weights, channels, 3)
    check_bias(node, 2, x, weights, channels)
    dilation = node.dilation()
    stride, padding = node.window((height, width), dilation)
    attrs = DepthwiseConv2D(
        stride, dilation, padding, activation=node.activation(), multiplier=multiplier
    )
    return Parts("depthwise_conv2d", attrs, node.operands(0, 1, 2))


def transpose_conv(node: Reading) -> Parts:
    """TFLite's operands are (output shape, weights, x, bias)."""
    weights, x = node.image(1), node.image(2)
    channels, height, width, depth = weights.shape
    if depth != x.shape[3]:
        raise Malformed(
            f"weights of shape {list(weights.shape)} don't fit {x.shape[3]} input channels"
        )
    output = transpose_conv_shape(node)
    if len(output) != 4 or min(output) < 1 or (output[0], output[3]) != (x.shape[0], channels):
        raise Malformed(
            f"the output shape {list(output)} must be {x.shape[0]} image(s) of {channels} channels"
        )
    check_weights(node, x, weights, channels, 0)
    if x.dtype != weights.dtype and x.dtype == "float32":
        raise Unsupported(
            "a transposed convolution of float32 with int8 weights has no kernel",
            "convert the model with full integer quantization, or in float32",
        )
    check_bias(node, 3, x, weights, channels)
    stride = node.stride()
    padding = node.padding(output[1:3], (height, width), stride)
    attrs = TransposeConv(stride, padding, activation=node.activation(), output_shape=output)
    return Parts("transpose_conv", attrs, node.operands(2, 1, 3))


def transpose_conv_shape(node: Reading) -> tuple[int, ...]:
    """The constant output shape, or the declared one where the shape is an input of the model."""
    shape = node.tensor(0)
    if shape.index not in node.graph_inputs:
        return node.numbers(0, "output shape", 4)
    if shape.dtype != "int32" or shape.shape != (4,):
        raise Malformed(
            f"the output shape must be int32 [4], not {shape.dtype} {list(shape.shape)}"
        )
    return node.output().shape


def fully_connected(node: Reading) -> Parts:
    x, weights = node.tensor(0), node.tensor(1)
    if node.option("WeightsFormat", 0) != 0:
        raise Unsupported("its weights are shuffled", "convert the model without shuffled weights")
    if len(weights.shape) != 2:
        raise Malformed(f"the weights must have 2 axes, not {len(weights.shape)}")
    units, depth = weights.shape
    keep_dims = bool(node.option("KeepNumDims", False))
    fits = (
        bool(x.shape)
        and depth > 0
        and (x.shape[-1] == depth if keep_dims else x.elements % depth == 0)
    )
    if not fits:
        raise Malformed(f"weights of depth {depth} don't fit an input of shape {list(x.shape)}")
    check_weights(node, x, weights, units, 0)
    check_bias(node, 2, x, weights, units)
    asymmetric = bool(node.option("AsymmetricQuantizeInputs", False))
    attrs = FullyConnected(node.activation(), keep_dims, asymmetric)
    return Parts("fully_connected", attrs, node.operands(0, 1, 2))


def pool2d(op: str) -> Callable[[Reading], Parts]:
    def read(node: Reading) -> Parts:
        node.same_type()
        node.per_tensor(node.image(0), node.output())
        kernel = node.filter()
        stride, padding = node.window(kernel)
        attrs = Pool2D(kernel, stride, padding, activation=node.activation())
        return Parts(op, attrs, node.operands(0))

    return read


def arithmetic(op: str) -> Callable[[Reading], Parts]:
    def read(node: Reading) -> Parts:
        a, b = node.tensor(0), node.tensor(1)
        node.same_type(0, 1)
        node.per_tensor(a, b, node.output())
        try:
            np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            raise Malformed(
                f"shapes {list(a.shape)} and {list(b.shape)} can't be broadcast"
            ) from None
        power_of_two = True if op == "mul" else bool(node.option("PotScaleInt16", True))
        attrs = Arithmetic(activation=node.activation(), pot_scale=power_of_two)
        return Parts(op, attrs, node.operands(0, 1))

    return read


def softmax(node: Reading) -> Parts:
    if not node.tensor(0).shape:
        raise Malformed("softmax of a scalar")
    if (node.tensor(0).dtype, node.output().dtype) != ("int8", "int16"):
        node.same_type()
    node.per_tensor(node.tensor(0), node.output())
    return Parts("softmax", Softmax(node.number("Beta")), node.operands(0))


def relu(minimum: float, maximum: float | None) -> Callable[[Reading], Parts]:
    def read(node: Reading) -> Parts:
        node.same_type()
        node.per_tensor(node.tensor(0), node.output())
        return Parts("relu", Relu(minimum, maximum), node.operands(0))

    return read


def leaky_relu(node: Reading) -> Parts:
    node.same_type()
    node.per_tensor(node.tensor(0), node.output())
    return Parts("leaky_relu", LeakyRelu(node.number("Alpha")), node.operands(0))


def unary(op: str) -> Callable[[Reading], Parts]:
    def read(node: Reading) -> Parts:
        node.same_type()
        node.per_tensor(node.tensor(0), node.output())
        return Parts(op, NoAttrs(), node.operands(0))

    return read


def quantize(node: Reading) -> Parts:
    x, y = node.tensor(0), node.output()
    node.per_tensor(x, y)
    return _conversion(node, "quantize", (*QUANTIZED, "int32", "float32"), (*QUANTIZED, "int32"))


def l2_normalization(node: Reading) -> Parts:
    node.same_type()
    node.per_tensor(node.tensor(0), node.output())
    if node.activation() != "none":
        raise Unsupported("it has a fused activation", "make the activation a node of its own")
    return Parts("l2_normalization", L2Normalization(), node.operands(0))


def dequantize(node: Reading) -> Parts:
    """Of float16 numbers, which files keep weights in, a change of type.

    Weights of layers that have no float kernel for int8 are known numbers, also with a scale for
    each slice.
    """
    x = node.tensor(0)
    if (x.dtype, node.output().dtype) == ("float16", "float32"):
        return Parts("cast", Cast(), node.operands(0))
    if x.data is not None and x.quantization is not None and x.quantization.per_axis:
        return Parts("", NoAttrs(), (), values=(_by_slices(x.data, x.quantization),))
    node.per_tensor(x)
    return _conversion(node, "dequantize", QUANTIZED, ("float32",))


def _by_slices(data: np.ndarray, quantization: Quantization) -> np.ndarray:
    """float32 numbers by the scale of each slice."""
    shape = [-1 if axis == quantization.axis else 1 for axis in range(data.ndim)]
    centred = data.astype(np.int64) - quantization.zero_points.reshape(shape)
    return centred.astype(np.float32) * quantization.scales.reshape(shape)


def _conversion(
    node: Reading, op: str, sources: tuple[str, ...], targets: tuple[str, ...]
) -> Parts:
    x, y = node.tensor(0), node.output()
    if x.dtype not in sources or y.dtype not in targets:
        raise Unsupported(
            f"it converts {x.dtype} to {y.dtype}", "convert the model with int8 or int16 tensors"
        )
    for tensor in (x, y):
        if tensor.dtype == "int32" and tensor.quantization is None:
            raise Malformed(f"tensor {tensor.index} of type int32 has no scale")
    return Parts(op, NoAttrs(), node.operands(0))
