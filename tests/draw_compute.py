"""Random geometry of operators that compute: layers with weights, pools, activations, sums."""

from __future__ import annotations

import math
from typing import Any

import build_general as g
import build_tflite as build
import numpy as np
import tflite
from build_compute import FIXED_OUTPUTS, windows
from drawing import LIMITS, Draws, Sweep, whole

ACTIVATIONS = ("NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1")
INTEGERS = ("int8", "uint8", "int16")
USUAL = (*INTEGERS, "float32")


def other_numbers(d: Draws, model: bytes) -> bytes:
    """The model with other zero points of 8-bit tensors that are computed, another output scale."""
    content = bytearray(model)
    graph = tflite.Model.GetRootAs(content, 0).Subgraphs(0)
    for index, end in ((graph.Inputs(0), 0), (graph.Outputs(0), 1)):
        tensor = graph.Tensors(index)
        quantization = tensor.Quantization()
        if quantization is None or quantization.ScaleLength() == 0:
            continue
        if end:
            quantization.ScaleAsNumpy()[0] *= d.scale(0.2, 5.0)
        if tensor.Type() != tflite.TensorType.INT16:
            dtype = "int8" if tensor.Type() == tflite.TensorType.INT8 else "uint8"
            quantization.ZeroPointAsNumpy()[0] = d.zero(dtype)
    return bytes(content)


def _window(d: Draws, most: int = 5) -> tuple[tuple[int, ...], dict[str, Any]]:
    """An image, and a window with dilation that fits it."""
    shape = d.image()
    padding = d.one_of("SAME", "VALID")
    limits = (most, most) if padding == "SAME" else (min(most, shape[1]), min(most, shape[2]))
    kernel = d.between(1, limits[0]), d.between(1, limits[1])
    room = [(n - 1) // (k - 1) if k > 1 else 3 for n, k in zip(shape[1:3], kernel, strict=True)]
    most_apart = (3, 3) if padding == "SAME" else tuple(max(1, min(3, n)) for n in room)
    dilation = (1, 1) if d.flag() else (d.between(1, most_apart[0]), d.between(1, most_apart[1]))
    named = {"kernel": kernel, "dilation": dilation, "stride": d.pair(3), "padding": padding}
    return shape, named


def _layer(d: Draws, dtype: str) -> dict[str, Any]:
    return {
        "dtype": dtype,
        "activation": d.one_of(*ACTIVATIONS),
        "per_channel": dtype != "uint8" and d.flag(),
        "seed": d.seed,
    }


def conv2d(d: Draws, dtype: str) -> bytes:
    shape, window = _window(d)
    filters = d.one_of(1, 2, 3, 4, 7, 8, 16, 17, 33)
    if dtype in ("int4", "hybrid"):
        weights = (filters, *window["kernel"], shape[3])
        return _special(d, "CONV_2D", dtype, shape, weights)
    groups = d.one_of(1, 1, 1, *(n for n in (2, 3) if shape[3] % n == 0)) if dtype != "uint8" else 1
    filters *= groups
    made = build.conv2d(shape, filters=filters, groups=groups, **window, **_layer(d, dtype))
    return other_numbers(d, made)


def depthwise_conv2d(d: Draws, dtype: str) -> bytes:
    shape, window = _window(d)
    multiplier = d.one_of(1, 1, 2, 3, 8)
    if dtype in ("int4", "hybrid"):
        weights = (1, *window["kernel"], shape[3] * multiplier)
        return _special(d, "DEPTHWISE_CONV_2D", dtype, shape, weights)
    made = build.depthwise_conv2d(shape, multiplier=multiplier, **window, **_layer(d, dtype))
    return other_numbers(d, made)


def _special(d: Draws, op: str, dtype: str, shape: Any, weights: Any) -> bytes:
    """Four bits in a weight, or float numbers with int8 weights; SAME, stride 1."""
    if dtype == "int4":
        return other_numbers(d, g.int4_weights(op, shape, weights))
    by_channel = {"DEPTHWISE_CONV_2D": True, "FULLY_CONNECTED": False}  # what TFLite has
    return g.hybrid(
        op, shape, weights, per_channel=by_channel.get(op, d.flag()), asymmetric=d.flag(),
        activation=d.one_of(*ACTIVATIONS),
    )  # fmt: skip


def transpose_conv(d: Draws, dtype: str) -> bytes:
    made = build.transpose_conv(
        d.image(6, 6), filters=d.one_of(1, 2, 3, 4, 8, 17), kernel=d.pair(5), stride=d.pair(3),
        padding=d.one_of("SAME", "VALID"), dtype=dtype, seed=d.seed,
        per_channel=dtype != "uint8" and d.flag(), bias=d.flag(),
    )  # fmt: skip
    return other_numbers(d, made)


def fully_connected(d: Draws, dtype: str) -> bytes:
    keep, depth = d.flag(), d.one_of(1, 2, 3, 8, 15, 16, 17, 33, 64, 130)
    shape = (*d.shape(1, 3)[:2], depth) if keep or d.flag() else (d.between(1, 5), depth)
    units = d.one_of(1, 2, 3, 4, 7, 8, 16, 17, 33)
    if dtype in ("int4", "hybrid"):
        return _special(d, "FULLY_CONNECTED", dtype, (d.between(1, 5), depth), (units, depth))
    made = build.fully_connected(
        shape, units, d.one_of(*ACTIVATIONS), dtype, bias=d.flag(), keep_dims=keep, seed=d.seed
    )
    return other_numbers(d, made)


def pool2d(op: str) -> Any:
    def draw(d: Draws, dtype: str) -> bytes:
        shape, window = _window(d)
        kernel, stride, padding = window["kernel"], window["stride"], window["padding"]
        size = [
            windows(n, k, s, padding) for n, k, s in zip(shape[1:3], kernel, stride, strict=True)
        ]
        numbers = d.numbers(dtype)
        return g.general(
            op, [(shape, *numbers)], ((shape[0], *size, shape[3]), *numbers),
            options="Pool2DOptions", version=3 if op != "L2_POOL_2D" else 1, padding=padding,
            stride_h=stride[0], stride_w=stride[1], filter_height=kernel[0], filter_width=kernel[1],
            fused_activation_function=d.one_of(*ACTIVATIONS),
        )  # fmt: skip

    return draw


def arithmetic(op: str) -> Any:
    """ADD, SUB and MUL; the second operand is sometimes a constant."""

    def draw(d: Draws, dtype: str) -> bytes:
        a, b = d.broadcast()
        numbers = [d.numbers(dtype) for _ in range(3)]
        if dtype in INTEGERS:
            numbers[2] = _output(d, op, numbers)
        other = d.constant(b, numbers[1]) if d.flag() else (b, *numbers[1])
        return g.general(
            op, [(a, *numbers[0]), other], (np.broadcast_shapes(a, b), *numbers[2]),
            options=f"{op.title()}Options", version=7 if op == "MUL" else 5,
            fused_activation_function=d.one_of(*ACTIVATIONS),
            **({} if op == "MUL" else {"pot_scale_int16": False}),
        )  # fmt: skip

    return draw


def _output(d: Draws, op: str, numbers: Any) -> tuple[Any, ...]:
    """An output's numbers for which few answers saturate."""
    (dtype, a, _), (_, b, _), (_, _, zero) = numbers
    span = LIMITS[dtype][1] - LIMITS[dtype][0]
    scale = a * b * span / 3 if op == "MUL" else max(a, b)
    return dtype, float(np.float32(scale * d.scale(0.3, 3.0))), zero


def unary(op: str, version: int = 1, options: str | None = None) -> Any:
    """One number after the other; some operators fix the output's scale."""

    def draw(d: Draws, dtype: str) -> bytes:
        shape, x = d.shape(), d.numbers(dtype)
        named: dict[str, Any] = {}
        if op == "EXP" and dtype == "int8":
            x = (dtype, d.scale(0.003, 0.05), x[2])  # what TFLite's float fits in int32 of
        if op == "LEAKY_RELU":
            named = {"alpha": d.scale(0.01, 2.0) * d.one_of(1, 1, -1)}
        if op == "SOFTMAX":
            named = {"beta": d.one_of(1.0, 1.0, d.scale(0.1, 4.0))}
        if op == "RSQRT" and dtype == "int16":  # TFLM ends where a number has no root
            d.limits[dtype] = (0, 32767)
        fixed = FIXED_OUTPUTS.get(op, {}).get(dtype)
        y = (dtype, *fixed) if fixed else d.numbers(dtype)
        if op == "RSQRT" and dtype == "int16":
            y = (dtype, d.scale(0.3, 30.0) / (32767 * math.sqrt(x[1])), 0)
        if dtype == "int16" and op in ("TANH", "LOGISTIC"):
            x = (dtype, d.one_of(2.0**-12, x[1]), 0)
        made = (shape, *y)
        return g.general(op, [(shape, *x)], made, options=options, version=version, **named)

    return draw


def quantize(d: Draws, dtype: str) -> bytes:
    """From any type that TFLite requantizes to `dtype`."""
    sources = {
        "int8": ("float32", "int8", "uint8", "int16", "int32"),
        "uint8": ("float32", "int8", "uint8"),
        "int16": ("float32", "int16", "int32"),
        "int32": ("int8", "int16"),
    }
    source, shape = d.one_of(*sources[dtype]), d.shape()
    d.limits["float32"] = (-900, 900)  # beyond int32 C doesn't say what a number becomes
    x = ("int32", d.scale(1e-5, 1e-2), 0) if source == "int32" else d.numbers(source)
    y = ("int32", d.scale(1e-5, 1e-2), 0) if dtype == "int32" else d.numbers(dtype)
    return g.general("QUANTIZE", [(shape, *x)], (shape, *y), version=2)


def dequantize(d: Draws, dtype: str) -> bytes:
    shape = d.shape()
    return g.general("DEQUANTIZE", [(shape, *d.numbers(dtype))], (shape, g.F), version=4)


def l2_normalization(d: Draws, dtype: str) -> bytes:
    shape = d.shape()
    fixed = {"int8": (1 / 128, 0), "uint8": (1 / 128, 128)}.get(dtype, ())
    x, y = (shape, *d.numbers(dtype)), (shape, dtype, *fixed)
    return g.general("L2_NORMALIZATION", [x], y, options="L2NormOptions", version=2)


def prelu(d: Draws, dtype: str) -> bytes:
    shape = d.shape(2, 4)
    slopes = tuple(1 if d.flag() else n for n in shape[1:-1]) + shape[-1:]
    alpha = d.constant(slopes, d.numbers("int8" if dtype == "int16" else dtype))  # as in TFLM
    x, y = d.numbers(dtype), d.numbers(dtype)
    return g.general("PRELU", [(shape, *x), alpha], (shape, *y))


def batch_matmul(d: Draws, dtype: str) -> bytes:
    lead, turned = d.broadcast(most=2), (d.flag(), d.flag())
    # TFLite turns as many matrices of the first operand as the second has, and reads what it never
    # wrote where those are fewer.
    if turned[0] and lead[0][-1:] not in ((), (1,)) and lead[1][-1:] == (1,):
        d.by_tflm = True
    rows, depth, columns = d.between(1, 6), d.one_of(1, 3, 8, 17, 40), d.one_of(1, 2, 5, 16, 17)
    a = (depth, rows) if turned[0] else (rows, depth)
    b = (columns, depth) if turned[1] else (depth, columns)
    x, z, y = (d.numbers(dtype) for _ in range(3))
    if dtype != "float32":
        span = 74 if dtype == "int8" else 18918
        scale = 3 * x[1] * z[1] * span**2 * math.sqrt(depth) / (128 if dtype == "int8" else 32768)
        y = (dtype, float(np.float32(scale * d.scale(0.3, 3.0))), y[2])
    shapes = np.broadcast_shapes(*lead)
    return g.general(
        "BATCH_MATMUL", [((*lead[0], *a), *x), ((*lead[1], *b), *z)],
        ((*shapes, rows, columns), *y), options="BatchMatMulOptions", version=2,
        adj_x=turned[0], adj_y=turned[1],
    )  # fmt: skip


def reduced(op: str, version: int = 2) -> Any:
    def draw(d: Draws, dtype: str) -> bytes:
        shape, keep = d.shape(), d.flag()
        axes = d.axes(len(shape))
        gone = {axis % len(shape) for axis in axes}
        kept = [1 if i in gone else n for i, n in enumerate(shape) if keep or i not in gone]
        x = d.numbers(dtype)
        # TFLite's own rule for REDUCE_MAX and REDUCE_MIN is one scale for both.
        y = x if op.startswith("REDUCE") or d.flag() else d.numbers(dtype)
        if dtype in ("int32", "int64"):
            d.limits[dtype] = (-9, 9)
        return g.general(
            op, [(shape, *x), np.array(axes, np.int32)], (kept, *y),
            options="ReducerOptions", version=version, keep_dims=keep,
        )  # fmt: skip

    return draw


def extreme(op: str) -> Any:
    def draw(d: Draws, dtype: str) -> bytes:
        shape = d.shape()
        axis = d.between(0, len(shape) - 1)
        answer = shape[:axis] + shape[axis + 1 :]
        table = f"{op.title().replace('_', '')}Options"
        operands = [(shape, *d.numbers(dtype)), g.ints(d.axis(axis, len(shape)))]
        kind, number = d.one_of(("int32", 2), ("int64", 4))
        return g.general(op, operands, (answer, kind), options=table, output_type=number)

    return draw


def svdf(d: Draws, dtype: str) -> bytes:
    sizes = {
        "batch": d.between(1, 3), "depth": d.one_of(1, 3, 8, 17), "units": d.one_of(1, 2, 4, 9),
        "rank": d.between(1, 3), "memory": d.between(1, 7),
    }  # fmt: skip
    bias = d.flag()
    d.by_tflm = None if bias else False  # without one it ends the process
    activation = d.one_of("NONE", "RELU") if dtype == "float32" else "RELU"
    return build.svdf(**sizes, dtype=dtype, bias=bias, seed=d.seed, activation=activation)


def lstm(d: Draws, dtype: str) -> bytes:
    return build.lstm(
        batch=d.between(1, 3), steps=d.between(1, 5), depth=d.one_of(1, 3, 8, 17),
        units=d.one_of(1, 2, 5, 9), dtype=dtype, time_major=d.flag(), seed=d.seed,
        cell_clip=d.one_of(0.0, 0.0, 1.5), hidden_zero_point=d.between(-20, 20) * (dtype == "int8"),
    )  # fmt: skip


def same(op: str, version: int = 1) -> Any:
    """A function of one number that keeps shape and numbers."""
    return lambda d, dtype: whole(op, d.shape(), d.numbers(dtype), version=version)


COMPUTE = {
    "CONV_2D": Sweep(conv2d, (*USUAL, "int4", "hybrid")),
    "DEPTHWISE_CONV_2D": Sweep(depthwise_conv2d, (*USUAL, "int4", "hybrid")),
    "TRANSPOSE_CONV": Sweep(transpose_conv, USUAL),
    "FULLY_CONNECTED": Sweep(fully_connected, (*USUAL, "int4", "hybrid")),
    "AVERAGE_POOL_2D": Sweep(pool2d("AVERAGE_POOL_2D"), USUAL),
    "MAX_POOL_2D": Sweep(pool2d("MAX_POOL_2D"), USUAL),
    "L2_POOL_2D": Sweep(pool2d("L2_POOL_2D"), ("float32",)),
    "ADD": Sweep(arithmetic("ADD"), (*USUAL, "int32", "int64")),
    "SUB": Sweep(arithmetic("SUB"), (*USUAL, "int32", "int64")),
    "MUL": Sweep(arithmetic("MUL"), (*USUAL, "int32", "int64")),
    "SOFTMAX": Sweep(unary("SOFTMAX", 3, "SoftmaxOptions"), USUAL),
    "LOGISTIC": Sweep(unary("LOGISTIC", 3), USUAL),
    "TANH": Sweep(unary("TANH", 3), USUAL, near=2),
    "HARD_SWISH": Sweep(unary("HARD_SWISH"), ("int8", "uint8", "float32")),
    "LEAKY_RELU": Sweep(unary("LEAKY_RELU", 2, "LeakyReluOptions"), USUAL),
    "RELU": Sweep(unary("RELU", 3), USUAL),
    "RELU6": Sweep(unary("RELU6", 3), USUAL),
    "PRELU": Sweep(prelu, USUAL, by_tflm=("int16",)),
    "ELU": Sweep(unary("ELU"), ("int8", "float32"), apart=("int8", "float32")),
    "LOG_SOFTMAX": Sweep(unary("LOG_SOFTMAX", 2), ("int8", "uint8", "float32"), near=2),
    "L2_NORMALIZATION": Sweep(l2_normalization, ("int8", "uint8", "float32")),
    "QUANTIZE": Sweep(quantize, (*INTEGERS, "int32"), by_tflm=("int32",)),
    "DEQUANTIZE": Sweep(dequantize, INTEGERS),
    "BATCH_MATMUL": Sweep(batch_matmul, ("int8", "int16", "float32")),
    "MEAN": Sweep(reduced("MEAN", 3), USUAL),
    "SUM": Sweep(reduced("SUM"), (*USUAL, "int32"), apart=("int8", "int16")),
    "REDUCE_MAX": Sweep(reduced("REDUCE_MAX"), (*USUAL, "int32")),
    "REDUCE_MIN": Sweep(reduced("REDUCE_MIN"), (*USUAL, "int32")),
    "REDUCE_PROD": Sweep(reduced("REDUCE_PROD"), ("float32", "int32")),
    "REDUCE_ALL": Sweep(reduced("REDUCE_ALL", 1), ("bool",)),
    "REDUCE_ANY": Sweep(reduced("REDUCE_ANY", 1), ("bool",)),
    "ARG_MAX": Sweep(extreme("ARG_MAX"), ("int8", "uint8", "int32", "float32")),
    "ARG_MIN": Sweep(extreme("ARG_MIN"), ("int8", "uint8", "int32", "float32")),
    "SVDF": Sweep(svdf, ("int8", "float32")),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Sweep(
        lstm, ("int8", "int16", "float32"), apart=("float32",), by_tflm=("int16",)
    ),
}
