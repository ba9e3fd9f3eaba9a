"""Readers of Gemm and MatMul: fully connected layers where a matrix is constant, else products.

Rules are those of https://onnx.ai/onnx/operators/ for opset 7 and newer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..attributes import FullyConnected
from ..general import Axis
from ..graph import DTYPES
from .onnx_building import FLAT, TO_NHWC, Value
from .onnx_general import pair, product
from .onnx_reading import REFIT, Made, NodeReading
from .tflite_reading import Unsupported


def gemm(node: NodeReading) -> Made:
    """A fully connected layer where the matrix is constant, else products and a sum."""
    alpha, beta = (np.float32(node.attribute(name, 1.0)) for name in ("alpha", "beta"))
    bias = node.build.known(node.inputs[2]) if node.has(2) else None
    computed_bias = node.has(2) and bias is None
    if _matrix(node) is None or node.attribute("transA", 0) or computed_bias:
        return [Value(_gemm_by_products(node, float(alpha), float(beta)))]
    order = (0, 1) if node.attribute("transB", 0) else (1, 0)
    x, weights = _flat_operand(node, node.build.transposed(node.build.plain(node.inputs[1]), order))
    bias_index = None
    if bias is not None:
        units = node.build.tensors[weights].shape[0]
        scaled = bias if beta == 1 else bias * beta
        if scaled.size == 1:
            scaled = np.broadcast_to(scaled.reshape(1, 1), (1, units))
        if scaled.size != units:
            return [Value(_gemm_by_products(node, float(alpha), float(beta)))]
        bias_index = node.build.constant(scaled.reshape(units))
    if alpha != 1.0:
        data = node.build.tensors[weights].data
        assert data is not None
        weights = node.build.constant(data * alpha)
    return [Value(node.emit("fully_connected", [x, weights, bias_index], FullyConnected())[0])]


def _matrix(node: NodeReading) -> np.ndarray | None:
    """The second operand if it is a constant matrix of floats, which kernels take."""
    data = node.build.known(node.inputs[1])
    return data if data is not None and data.ndim == 2 and data.dtype == np.float32 else None


def _gemm_by_products(node: NodeReading, alpha: float, beta: float) -> int:
    a, b = (node.build.plain(name) for name in node.inputs[:2])
    a = node.build.transposed(a, (1, 0)) if node.attribute("transA", 0) else a
    b = node.build.transposed(b, (1, 0)) if node.attribute("transB", 0) else b
    y = scaled(node, product(node, a, b), alpha)
    if not node.has(2) or beta == 0:
        return y
    return pair(node, "add", y, scaled(node, node.build.plain(node.inputs[2]), beta))


def scaled(node: NodeReading, x: int, factor: float) -> int:
    if factor == 1:
        return x
    number = np.asarray(factor, DTYPES[node.build.tensors[x].dtype])
    return pair(node, "mul", x, node.build.constant(number))


def matmul(node: NodeReading) -> Made:
    """A fully connected layer where the second operand is a constant matrix, else a product."""
    if len(node.shape(0)) < 2 or _matrix(node) is None:
        a, b = (node.build.plain(name) for name in node.inputs)
        return [Value(product(node, a, b))]
    weights = node.build.transposed(node.build.plain(node.inputs[1]), (1, 0))
    x, weights = _flat_operand(node, weights)
    attrs = FullyConnected(keep_dims=len(node.build.tensors[x].shape) > 2)
    return [Value(node.emit("fully_connected", [x, weights, None], attrs)[0])]


def fused_matmul(node: NodeReading) -> Made:
    """ONNX Runtime's product of matrices that may be turned first, times a number."""
    if node.attribute("transBatchA", 0) or node.attribute("transBatchB", 0):
        raise Unsupported("it turns its batches", REFIT)
    operands = []
    for name, flag in zip(node.inputs, ("transA", "transB"), strict=True):
        x = node.build.plain(name)
        *batches, i, j = range(len(node.build.tensors[x].shape))
        turned = node.attribute(flag, 0)
        operands.append(node.build.transposed(x, (*batches, j, i)) if turned else x)
    y = product(node, operands[0], operands[1])
    return [Value(scaled(node, y, float(node.attribute("alpha", 1.0))))]


def matmul_n_bits(node: NodeReading) -> Made:
    """ONNX Runtime's product with weights of 2, 4 or 8 bits [columns, blocks, bytes], a scale and a
    zero point for each block along the depth: as floats, which its own kernel rounds otherwise
    unless its `accuracy_level` is that of float32."""
    build = node.build
    columns, depth, bits, block = (int(node.attribute(n)) for n in ("N", "K", "bits", "block_size"))
    if node.has(4):
        raise Unsupported("its depth is in another order (g_idx)", "quantize without it")
    packed, scales = node.constant(1, "weights"), node.constant(2, "scales")
    count = -(-depth // block)
    steps = scales.reshape(columns, count, 1).astype(np.float64)
    zeros = node.optional_constant(3, "zero points")
    if zeros is None:
        points = np.full((columns, count), 1 << (bits - 1), np.float64)
    elif zeros.dtype == np.uint8:
        points = _unpacked(zeros.reshape(columns, -1), bits)[:, :count].astype(np.float64)
    else:
        points = zeros.reshape(columns, count).astype(np.float64)
    numbers = _unpacked(packed.reshape(columns, count, -1), bits)[..., :block]
    real = ((numbers - points[..., None]) * steps).reshape(columns, -1)[:, :depth]
    name = f"{node.outputs[0]}.weights"
    build.constants[name] = np.ascontiguousarray(real.T.astype(scales.dtype))
    (made,) = matmul(replace(node, inputs=[node.inputs[0], name]))
    if not node.has(5):
        return [made]
    return [Value(pair(node, "add", made.index, build.plain(node.inputs[5])))]


def gather_block_quantized(node: NodeReading) -> Made:
    """Rows of ONNX Runtime's table of 4 or 8 bits, a scale and a zero point for each block along an
    axis. In bytes, numbers of 4 bits stand two in one along the last axis."""
    data, scales = node.constant(0, "table"), node.constant(2, "scales")
    zeros, bits = node.optional_constant(3, "zero points"), int(node.attribute("bits", 4))
    middle = 0
    if data.dtype == np.uint8:
        data, middle = _unpacked(data, bits), 1 << (bits - 1)
        zeros = zeros if zeros is None else _unpacked(zeros, bits)
    rank, block = data.ndim, int(node.attribute("block_size", 128))
    axis, along = (int(node.attribute(n, d)) for n, d in (("gather_axis", 0), ("quantize_axis", 1)))
    if block < 1 or not (-rank <= axis < rank and -rank <= along < rank):
        raise ValueError(f"axes {axis} and {along} of a table with {rank}, blocks of {block}")
    places = np.arange(data.shape[along]) // block
    steps = scales.take(places, along)
    points = middle if zeros is None else zeros.astype(np.float32).take(places, along)
    table = ((data.astype(np.float32) - points) * steps).astype(scales.dtype)
    rows = [node.build.constant(table), node.build.plain(node.inputs[1])]
    return [Value(node.emit("gather", rows, Axis(axis % rank))[0])]


def _unpacked(packed: np.ndarray, bits: int) -> np.ndarray:
    """Numbers of some bits, the first of each byte in its lowest."""
    if bits not in (2, 4, 8) or packed.dtype != np.uint8:
        raise Unsupported(f"its weights have {bits} bits", "quantize to 2, 4 or 8")
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    apart = (packed[..., None] >> shifts) & np.uint8((1 << bits) - 1)
    return apart.reshape(*packed.shape[:-1], -1)


def _flat_operand(node: NodeReading, weights: int) -> tuple[int, int]:
    """The operand, and the weights in its order where it is an image that was made flat."""
    value = node.build.value(node.inputs[0])
    if value.layout != FLAT:
        return node.build.plain(node.inputs[0]), weights
    _, height, width, channels = value.image
    matrix = node.build.tensors[weights]
    units = matrix.shape[0]
    cube = node.build.constant(
        np.asarray(matrix.data).reshape(units, channels, height, width), "", matrix.quantization
    )
    moved = node.build.tensors[node.build.transposed(cube, TO_NHWC)]
    assert moved.data is not None
    flat = node.build.constant(moved.data.reshape(units, -1), matrix.name, moved.quantization)
    return value.index, flat
