"""Ready .tflite models of one operator that computes: convolutions, sums, pools, activations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from seeded_model import STEPS, ZERO_POINTS, Pair, SeededModel, Shape
from tflite_writer import ModelBuilder

FIXED_OUTPUTS = {  # operator -> dtype -> the only output quantization that TFLite accepts
    "SOFTMAX": {"int8": (1 / 256, -128), "uint8": (1 / 256, 0), "int16": (1 / 32768, 0)},
    "LOGISTIC": {"int8": (1 / 256, -128), "uint8": (1 / 256, 0), "int16": (1 / 32768, 0)},
    "LOG_SOFTMAX": {"int8": (1 / 16, 127), "uint8": (1 / 16, 255)},
    "TANH": {"int8": (1 / 128, 0), "uint8": (1 / 128, 128), "int16": (1 / 32768, 0)},
}


def windows(size: int, extent: int, stride: int, padding: str) -> int:
    """Number of window positions along one axis."""
    return -(-size // stride) if padding == "SAME" else (size - extent) // stride + 1


def _extent(kernel: Pair, dilation: Pair) -> Pair:
    return (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1


def _window_shape(shape: Shape, extent: Pair, stride: Pair, padding: str) -> Pair:
    return (
        windows(shape[1], extent[0], stride[0], padding),
        windows(shape[2], extent[1], stride[1], padding),
    )


def conv2d(
    shape: Shape = (1, 8, 8, 3),
    filters: int = 4,
    kernel: Pair = (3, 3),
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    padding: str = "SAME",
    activation: str = "NONE",
    dtype: str = "int8",
    per_channel: bool = True,
    bias: bool = True,
    groups: int = 1,
    seed: int = 0,
) -> bytes:
    """CONV_2D, weights [filters, h, w, in / groups]. TFLite's own kernel insists on a bias."""
    model = SeededModel(dtype, seed)
    depth = shape[3] // groups
    taps = kernel[0] * kernel[1] * depth
    x = model.activation(shape)
    weights, scales = model.weights((filters, *kernel, depth), 0, per_channel)
    size = _window_shape(shape, _extent(kernel, dilation), stride, padding)
    y = model.activation((shape[0], *size, filters), model.sum_scale(taps))
    operands = [x, weights, *([model.bias(filters, scales, taps)] if bias else [])]
    model.node(
        "CONV_2D",
        operands,
        [y],
        padding=padding,
        stride_h=stride[0],
        stride_w=stride[1],
        dilation_h_factor=dilation[0],
        dilation_w_factor=dilation[1],
        fused_activation_function=activation,
    )
    return model.build([x], [y])


def depthwise_conv2d(
    shape: Shape = (1, 8, 8, 3),
    kernel: Pair = (3, 3),
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    multiplier: int = 1,
    padding: str = "SAME",
    activation: str = "NONE",
    dtype: str = "int8",
    per_channel: bool = True,
    bias: bool = True,
    seed: int = 0,
) -> bytes:
    """DEPTHWISE_CONV_2D, weights [1, h, w, in * multiplier]."""
    model = SeededModel(dtype, seed)
    channels, taps = shape[3] * multiplier, kernel[0] * kernel[1]
    x = model.activation(shape)
    weights, scales = model.weights((1, *kernel, channels), 3, per_channel)
    size = _window_shape(shape, _extent(kernel, dilation), stride, padding)
    y = model.activation((shape[0], *size, channels), model.sum_scale(taps))
    operands = [x, weights, *([model.bias(channels, scales, taps)] if bias else [])]
    model.node(
        "DEPTHWISE_CONV_2D",
        operands,
        [y],
        padding=padding,
        stride_h=stride[0],
        stride_w=stride[1],
        dilation_h_factor=dilation[0],
        dilation_w_factor=dilation[1],
        depth_multiplier=multiplier,
        fused_activation_function=activation,
    )
    return model.build([x], [y])


def transpose_conv(
    shape: Shape = (1, 4, 4, 3),
    filters: int = 4,
    kernel: Pair = (3, 3),
    stride: Pair = (2, 2),
    padding: str = "SAME",
    dtype: str = "int8",
    per_channel: bool = True,
    bias: bool = True,
    seed: int = 0,
) -> bytes:
    """TRANSPOSE_CONV, weights [filters, h, w, in], a constant output shape."""
    model = SeededModel(dtype, seed)
    taps = kernel[0] * kernel[1] * shape[3]
    size = [
        n * s if padding == "SAME" else (n - 1) * s + k
        for n, s, k in zip(shape[1:3], stride, kernel, strict=True)
    ]
    output = (shape[0], *size, filters)
    x = model.activation(shape)
    weights, scales = model.weights((filters, *kernel, shape[3]), 0, per_channel)
    y = model.activation(output, model.sum_scale(taps))
    operands = [model.constant(output), weights, x]
    if bias:
        operands.append(model.bias(filters, scales, taps))
    model.node(
        "TRANSPOSE_CONV", operands, [y], padding=padding, stride_h=stride[0], stride_w=stride[1]
    )
    return model.build([x], [y])


def fully_connected(
    shape: Shape = (1, 16),
    units: int = 5,
    activation: str = "NONE",
    dtype: str = "int8",
    bias: bool = True,
    keep_dims: bool = False,
    per_channel: bool = False,
    seed: int = 0,
) -> bytes:
    """FULLY_CONNECTED, weights [units, depth] with depth the input's last axis."""
    model = SeededModel(dtype, seed)
    depth = shape[-1]
    x = model.activation(shape)
    weights, scales = model.weights((units, depth), 0, per_channel)
    lead = shape[:-1] if keep_dims else (math.prod(shape[:-1]),)
    y = model.activation((*lead, units), model.sum_scale(depth))
    operands = [x, weights, model.bias(units, scales, depth) if bias else None]
    model.node(
        "FULLY_CONNECTED",
        operands,
        [y],
        fused_activation_function=activation,
        keep_num_dims=keep_dims,
    )
    return model.build([x], [y])


def pool2d(
    op: str = "AVERAGE_POOL_2D",
    shape: Shape = (1, 8, 8, 3),
    window: Pair = (2, 2),
    stride: Pair = (2, 2),
    padding: str = "VALID",
    activation: str = "NONE",
    dtype: str = "int8",
) -> bytes:
    """AVERAGE_POOL_2D or MAX_POOL_2D; input and output share their quantization."""
    model = SeededModel(dtype, 0)
    x = model.activation(shape)
    y = model.activation((shape[0], *_window_shape(shape, window, stride, padding), shape[3]))
    model.node(
        op,
        [x],
        [y],
        padding=padding,
        stride_h=stride[0],
        stride_w=stride[1],
        filter_height=window[0],
        filter_width=window[1],
        fused_activation_function=activation,
    )
    return model.build([x], [y])


def arithmetic(
    op: str = "ADD",
    shape: Shape = (1, 4, 4, 3),
    other: Shape | None = None,
    constant: bool = False,
    activation: str = "NONE",
    dtype: str = "int8",
    scales: tuple[float, float, float] | None = None,
    zero_points: tuple[int, int, int] | None = None,
    seed: int = 0,
) -> bytes:
    """ADD, SUB or MUL of `shape` and `other` (its default), the second constant if wanted."""
    model = SeededModel(dtype, seed)
    unit, other = model.input_scale, shape if other is None else other
    product = 3 * 0.7 * (STEPS.get(dtype, 1.0) * unit) ** 2 / (32768 if dtype == "int16" else 128)
    a, b, c = scales or (unit, 0.7 * unit, product if op == "MUL" else 1.5 * unit)
    za, zb, zc = zero_points or ((0, 0, 0) if dtype == "int16" else (ZERO_POINTS.get(dtype),) * 3)
    x = model.activation(shape, a, za)
    y = model.activation(np.broadcast_shapes(tuple(shape), tuple(other)), c, zc)
    if constant:
        z = _constant_operand(model, other, b, zb)
    else:
        z = model.activation(other, b, zb)
    model.node(op, [x, z], [y], fused_activation_function=activation)
    return model.build([x] if constant else [x, z], [y])


def _constant_operand(
    model: SeededModel, shape: Shape, scale: float, zero_point: int | None
) -> int:
    if model.dtype in ("float32", "int32"):
        return model.constant(model.rng.normal(0, 9, shape), model.dtype)
    limits = np.iinfo(model.dtype)
    data = model.rng.integers(limits.min, limits.max + 1, shape)
    return model.constant(data, model.dtype, scale=scale, zero_point=zero_point or 0)


def unary(
    op: str,
    shape: Shape = (1, 4, 4, 3),
    dtype: str = "int8",
    output: tuple[float, int] | None = None,
    input_scale: float | None = None,
    zero_point: int | None = None,
    **options: Any,
) -> bytes:
    """LOGISTIC, TANH, HARD_SWISH, RELU*, LEAKY_RELU, SOFTMAX: one input, one output of its shape.

    `output` is (scale, zero point), by default what TFLite asks of the operator, else the input's.
    """
    model = SeededModel(dtype, 0)
    x = model.activation(shape, input_scale, zero_point)
    fixed = FIXED_OUTPUTS.get(op, {}).get(dtype, (input_scale, zero_point))
    y = model.activation(shape, *(output or fixed))
    model.node(op, [x], [y], **options)
    return model.build([x], [y])


def softmax(shape: Shape = (1, 10), beta: float = 1.0, dtype: str = "int8", **kw: Any) -> bytes:
    """SOFTMAX over the last axis."""
    return unary("SOFTMAX", shape, dtype, beta=beta, **kw)


def convert(
    shape: Shape = (1, 4, 4, 3),
    source: tuple[str, float | None, int] = ("int8", 0.05, -5),
    target: tuple[str, float | None, int] = ("int8", 0.08, 7),
) -> bytes:
    """QUANTIZE from `source` to `target`, (dtype, scale, zero point); DEQUANTIZE to float32."""
    model = ModelBuilder()
    x, y = (model.tensor(shape, dtype, scale, zero) for dtype, scale, zero in (source, target))
    model.node("DEQUANTIZE" if target[0] == "float32" else "QUANTIZE", [x], [y])
    return model.build([x], [y])
