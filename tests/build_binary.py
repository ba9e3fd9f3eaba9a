"""Binary layers for tests: Larq's operators as .tflite models, and any layer as a graph of its own.

Weights, multipliers, biases and thresholds are drawn from `seed`, and both bits come.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from flatbuffers import flexbuffers
from tflite_writer import ModelBuilder

from midge.runtime import bits
from midge.runtime.graph import BINARY, Graph, Node, Quantization, Tensor
from midge.runtime.ops import OPERATORS, BConv2D, BDense, Pair, same_padding, words_of

NONE, RELU, RELU_N1_TO_1, RELU6 = range(4)


def _custom(model: ModelBuilder, name: str, inputs, outputs, **options: int) -> None:
    content = bytes(flexbuffers.Dumps(options)) if options else b""
    model.node("CUSTOM", inputs, outputs, custom_code=name, custom_options=content)


def _activations(model: ModelBuilder, shape: Sequence[int], dtype: str) -> int:
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
    activation: int = NONE,
    dtype: str = "float32",
    bitpacked: bool = False,
    groups: int = 1,
    seed: int = 0,
) -> bytes:
    """LceQuantize, LceBconv2d and, if it is bit-packed, LceDequantize."""
    rng, model = np.random.default_rng(seed), ModelBuilder()
    x = _activations(model, shape, dtype)
    packed = model.tensor((*shape[:3], words_of(shape[3])), "int32")
    _custom(model, "LceQuantize", [x], [packed])
    depth = shape[3] // groups
    signs = rng.integers(0, 2, (filters, *kernel, depth)) == 1
    weights = model.constant(bits.pack(signs), "int32")
    size = (*_windows(tuple(shape[1:3]), kernel, stride, dilation, padding), filters)
    y = _activations(model, (shape[0], *size), dtype)
    out = model.tensor((shape[0], *size[:2], words_of(filters)), "int32") if bitpacked else y
    total = kernel[0] * kernel[1] * depth
    scale = (rng.normal(size=filters) / np.sqrt(total)).astype(np.float32)
    operands = [
        None if bitpacked else model.constant(scale, "float32"),
        None if bitpacked else model.constant(rng.normal(size=filters), "float32"),
        model.constant(_thresholds(rng, filters, total)) if bitpacked else None,
    ]
    _custom(
        model, "LceBconv2d", [packed, weights, *operands], [out], channels_in=shape[3],
        dilation_height_factor=dilation[0], dilation_width_factor=dilation[1],
        fused_activation_function=activation, pad_values=pad_value,
        padding=0 if padding == "SAME" else 1, stride_height=stride[0], stride_width=stride[1],
    )  # fmt: skip
    if bitpacked:
        _custom(model, "LceDequantize", [out], [y])
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
    model, words = ModelBuilder(), words_of(shape[3])
    x = _activations(model, shape, dtype)
    packed = model.tensor((*shape[:3], words), "int32")
    _custom(model, "LceQuantize", [x], [packed])
    size = _windows(tuple(shape[1:3]), window, stride, (1, 1), padding)
    pooled = model.tensor((shape[0], *size, words), "int32")
    _custom(
        model, "LceBMaxPool2d", [packed], [pooled], filter_height=window[0],
        filter_width=window[1], stride_height=stride[0], stride_width=stride[1],
        padding=0 if padding == "SAME" else 1,
    )  # fmt: skip
    y = _activations(model, (shape[0], *size, shape[3]), dtype)
    _custom(model, "LceDequantize", [pooled], [y])
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
