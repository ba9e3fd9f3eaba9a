"""Binary layers for tests: Larq's operators as .tflite models, and any layer as a graph of its own.

Weights, multipliers, biases and thresholds are drawn from `seed`, and both bits come.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from midge.runtime import bits
from midge.runtime.attributes import BConv2D, BDense, Pair
from midge.runtime.graph import BINARY, Graph, Node, Quantization, Tensor
from midge.runtime.ops import OPERATORS
from midge.runtime.shapes import same_padding, words_of
from midge.tools.larq_writer import LarqBuilder


def _activations(model: LarqBuilder, shape: Sequence[int], dtype: str) -> int:
    return model.tensor(shape, dtype, 0.05 if dtype == "int8" else None, 3)


def _windows(size: Pair, kernel: Pair, stride: Pair, dilation: Pair, padding: str) -> Pair:
    def axis(n: int, k: int, s: int, d: int) -> int:
        return -(-n // s) if padding == "SAME" else (n - (k - 1) * d - 1) // s + 1

    height, width = map(axis, size, kernel, stride, dilation)
    return height, width


def bconv2d(
    shape: Sequence[int] = (1, 6, 5, 40),
    filters: int = 33,
    kernel: Pair = (3, 3),
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    padding: str = "SAME",
    pad_value: int = 1,
    activation: str = "none",
    dtype: str = "float32",
    bitpacked: bool = False,
    groups: int = 1,
    seed: int = 0,
) -> bytes:
    """LceQuantize, LceBconv2d and, if it is bit-packed, LceDequantize."""
    rng, model = np.random.default_rng(seed), LarqBuilder()
    x = _activations(model, shape, dtype)
    depth = shape[3] // groups
    negative = rng.integers(0, 2, (filters, *kernel, depth)) == 1
    size = (*_windows(tuple(shape[1:3]), kernel, stride, dilation, padding), filters)
    y = _activations(model, (shape[0], *size), dtype)
    total = kernel[0] * kernel[1] * depth
    scale = (rng.normal(size=filters) / np.sqrt(total)).astype(np.float32)
    made = (
        {"thresholds": _thresholds(rng, filters, total)}
        if bitpacked
        else {"multiplier": scale, "bias": rng.normal(size=filters)}
    )
    out = model.packed((shape[0], *size)) if bitpacked else y
    model.lce_bconv2d(
        model.lce_quantize(x), negative, out, shape[3], stride=stride, dilation=dilation,
        padding=padding, pad_value=pad_value, activation=activation, **made,
    )  # fmt: skip
    if bitpacked:
        model.lce_dequantize(out, y)
    return model.build([x], [y])


def _thresholds(rng: np.random.Generator, filters: int, total: int) -> np.ndarray:
    found = rng.normal(total / 2, np.sqrt(total) / 2, filters).astype(np.int64)
    ends = np.iinfo(np.int32)
    extreme = rng.choice([ends.min, ends.max, 0], filters)
    return np.where(rng.random(filters) < 0.1, extreme, found)


def bmax_pool2d(
    shape: Sequence[int] = (1, 5, 6, 33),
    window: Pair = (3, 2),
    stride: Pair = (2, 1),
    padding: str = "SAME",
    dtype: str = "float32",
) -> bytes:
    """LceQuantize, LceBMaxPool2d, LceDequantize."""
    model = LarqBuilder()
    x = _activations(model, shape, dtype)
    size = (shape[0], *_windows(tuple(shape[1:3]), window, stride, (1, 1), padding), shape[3])
    pooled, y = model.packed(size), _activations(model, size, dtype)
    model.lce_bmax_pool2d(model.lce_quantize(x), pooled, window, stride, padding)
    model.lce_dequantize(pooled, y)
    return model.build([x], [y])


# ---- layers that no file says ------------------------------------------------------------------


def layer(
    attrs: BConv2D | BDense,
    shape: Sequence[int],
    filters: int,
    kernel: Pair = (1, 1),
    dtype: str = "float32",
    gated: bool = False,
    seed: int = 0,
) -> tuple[Graph, Node]:
    """A binary layer as a graph: x is [..., planes * words] for `shape` [..., channels].

    Groups follow from the attributes' channels and the depth `shape[-1]` of the weights.
    """
    rng = np.random.default_rng(seed)
    dense = isinstance(attrs, BDense)
    depth = shape[-1]
    words = words_of(attrs.channels)
    taps = () if dense else kernel
    planes = [rng.integers(0, 2, (filters, *taps, depth)) == 1 for _ in attrs.weight_planes]
    total = int(np.prod(taps, dtype=int)) * depth
    x = Tensor(0, "x", (*shape[:-1], words * len(attrs.x_planes)), BINARY)
    tensors = [x, Tensor(1, "w", *_data(bits.pack_planes(planes)), data=bits.pack_planes(planes))]
    inputs: list[int | None] = [0, 1, None, None, None, None]

    def operand(position: int, values: np.ndarray, kind: str) -> None:
        tensors.append(Tensor(len(tensors), kind, values.shape, kind, data=values))
        inputs[position] = tensors[-1].index

    if dtype == BINARY:
        operand(4, _thresholds(rng, filters, 0 if attrs.plain else total), "int32")
    else:
        operand(2, (rng.normal(size=filters) / np.sqrt(total)).astype(np.float32), "float32")
        operand(3, rng.normal(size=filters).astype(np.float32), "float32")
    if gated:
        operand(5, rng.integers(-total // 2, total // 2 + 1, filters), "int32")
    quantization = Quantization([0.02], [-5]) if dtype == "int8" else None
    index = len(tensors)
    node = Node("bdense" if dense else "bconv2d", tuple(inputs), (index,), attrs)
    y = Tensor(index, "y", (), dtype, quantization)
    known = {t.index: t for t in (*tensors, y)}
    (found,) = OPERATORS[node.op].shapes(Graph((node,), known, (0,), (index,)), node)
    known[index] = Tensor(index, "y", found, dtype, quantization)
    return Graph((node,), known, (0,), (index,)), node


def _data(values: np.ndarray) -> tuple[tuple[int, ...], str]:
    return values.shape, BINARY


def random_bits(graph: Graph, node: Node, seed: int) -> np.ndarray:
    """An input of the layer: random bits in its channels, 0 beyond."""
    rng = np.random.default_rng(seed)
    shape = (*graph.input(node).shape[:-1], node.attrs.channels)
    return bits.pack_planes([rng.integers(0, 2, shape) == 1 for _ in node.attrs.x_planes])


def same(size: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of SAME padding."""
    ends = [
        same_padding(n, (k - 1) * d + 1, s)
        for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)
    ]
    return (*ends[0], *ends[1])


def larq_add(
    scales: Sequence[float] = (0.5625, 0.453125, 0.65625),
    zeros: Sequence[int] = (-13, -23, -3),
    shapes: Sequence[Sequence[int]] = ((1, 16, 16, 9), (1, 16, 16, 9)),
) -> bytes:
    """An ADD that Larq's interpreter runs: the file has Larq's operators, too."""
    model = LarqBuilder()
    given = [*shapes, np.broadcast_shapes(*map(tuple, shapes))]
    a, b, y = (
        model.tensor(shape, "int8", scale, zero)
        for shape, scale, zero in zip(given, scales, zeros, strict=True)
    )
    model.node("ADD", [a, b], [y])
    bits = model.lce_quantize(y)
    back = model.lce_dequantize(bits, model.tensor(given[2], "int8", 1.0, 0))
    return model.build([a, b], [y, back])
