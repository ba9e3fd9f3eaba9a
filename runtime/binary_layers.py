"""Layers of the literature on low-bit networks, put together from the operators on bits.

Weights are given as they are trained: real, [filters, height, width, channels]. Each layer's own
arithmetic is stated in its docstring; all end in `bconv2d`, the one operator that counts bits, so
that a layer runs wherever that operator does. A +1 is kept as bit 0, so nothing is ever negated
(XOR-Net's form): a sum is `K - 2 * popcount(x xor w)`, and K and -2 are folded into what follows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import bits
from .attributes import (
    Arithmetic,
    BConv2D,
    Binarize,
    BitPlanes,
    Conv2D,
    LeakyRelu,
    Mean,
    NoAttrs,
    Padding,
    Pair,
    Relu,
)
from .binary_weights import abc_bases, bits_of, dorefa_weights, fold_sign, ternary_weights
from .graph import BINARY, Graph, Node, Quantization, Tensor
from .ops import OPERATORS

NO_PADDING = Padding()


class LayerBuilder:
    """Nodes and tensors as they are added. Every method answers with a tensor's index."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.tensors: dict[int, Tensor] = {}
        self.inputs: list[int] = []

    def graph(self, *outputs: int) -> Graph:
        """The graph that makes `outputs`."""
        return Graph((), self.tensors, tuple(self.inputs), outputs).with_nodes(self.nodes)

    def input(
        self, shape: Sequence[int], dtype: str = "float32", scale: float = 0.0, zero_point: int = 0
    ) -> int:
        """An input of the model; integers have a scale."""
        index = self._tensor(tuple(shape), dtype, scale, zero_point)
        self.inputs.append(index)
        return index

    def constant(self, values: np.ndarray, dtype: str | None = None) -> int:
        index = len(self.tensors)
        kind = dtype or str(values.dtype)
        self.tensors[index] = Tensor(index, f"constant{index}", values.shape, kind, data=values)
        return index

    def add_node(
        self,
        op: str,
        attrs: Any,
        inputs: Sequence[int | None],
        dtype: str = "float32",
        scale: float = 0.0,
        zero_point: int = 0,
    ) -> int:
        """One node, its output's shape by the operator's rule."""
        index = self._tensor((), dtype, scale, zero_point)
        node = Node(op, tuple(inputs), (index,), attrs, f"{op}{index}")
        known = Graph((), self.tensors, (), ())
        (shape,) = OPERATORS[op].shapes(known, node)
        self._tensor(shape, dtype, scale, zero_point, index)
        self.nodes.append(node)
        return index

    def _tensor(
        self, shape: tuple[int, ...], dtype: str, scale: float, zero: int, at: int | None = None
    ) -> int:
        index = len(self.tensors) if at is None else at
        quantization = Quantization([scale], [zero]) if scale else None  # type: ignore[arg-type]
        self.tensors[index] = Tensor(index, f"t{index}", shape, dtype, quantization)
        return index

    # ---- pieces ----

    def binarize(self, x: int, thresholds: ArrayLike | None = None) -> int:
        """-1 where x is below its threshold (0 or the zero point), else +1.

        `thresholds` is one number, or [levels, channels].
        """
        if thresholds is None:
            return self.add_node("binarize", Binarize(), (x,), BINARY)
        tensor = self.tensors[x]
        kind = np.float32 if tensor.dtype == "float32" else np.int32
        table = np.atleast_2d(np.asarray(thresholds, kind))
        table = np.broadcast_to(table, (len(table), tensor.shape[-1]))
        limits = self.constant(np.ascontiguousarray(table))
        return self.add_node("binarize", Binarize(len(table)), (x, limits), BINARY)

    def bconv2d(
        self,
        x: int,
        weights: np.ndarray,
        channels: int,
        multiplier: ArrayLike = 1.0,
        bias: ArrayLike = 0.0,
        thresholds: ArrayLike | None = None,
        gates: ArrayLike | None = None,
        **attrs: Any,
    ) -> int:
        """Packed bits against packed `weights`; float32, or binary where there are thresholds."""
        filters = weights.shape[0]
        packed = self.constant(weights, BINARY)

        def vector(values: ArrayLike, kind: type) -> int:
            return self.constant(np.broadcast_to(np.asarray(values, kind), (filters,)).copy())

        operands: list[int | None] = [x, packed, None, None, None, None]
        if thresholds is None:
            operands[2:4] = vector(multiplier, np.float32), vector(bias, np.float32)
        else:
            operands[4] = vector(thresholds, np.int32)
        if gates is not None:
            operands[5] = vector(gates, np.int32)
        dtype = "float32" if thresholds is None else BINARY
        return self.add_node("bconv2d", BConv2D(channels, **attrs), operands, dtype)

    def sign_conv2d(self, x: int, weights: np.ndarray, **options: Any) -> int:
        """A binary tensor against the signs of real weights."""
        return self.bconv2d(x, bits.pack(weights < 0), weights.shape[3], **options)

    # ---- layers ----

    def xnor_net(
        self, x: int, weights: np.ndarray, stride: Pair = (1, 1), padding: Padding = NO_PADDING
    ) -> int:
        """(sign x conv sign w) * alpha * K: alpha = mean |w| of a filter, K = mean |x| over the
        channels, then over the window (Rastegari et al., XNOR-Net, 2016). Outside is 0."""
        alpha = np.abs(weights).mean(axis=(1, 2, 3), dtype=np.float64).astype(np.float32)
        kernel = weights.shape[1:3]
        magnitude = self.add_node("leaky_relu", LeakyRelu(-1.0), (x,))  # |x|
        a = self.add_node("mean", Mean((3,), keep_dims=True), (magnitude,))
        box = np.full((1, *kernel, 1), 1 / math.prod(kernel), np.float32)
        nothing = self.constant(np.zeros(1, np.float32))
        window = Conv2D(stride, (1, 1), padding)
        k = self.add_node("conv2d", window, (a, self.constant(box), nothing))
        y = self.sign_conv2d(
            self.binarize(x), weights, multiplier=alpha, stride=stride, padding=padding, pad_value=0
        )
        return self.add_node("mul", Arithmetic(), (y, k))

    def abc_net(
        self,
        x: int,
        weights: np.ndarray,
        bases: int,
        shifts: Sequence[float],
        betas: Sequence[float],
        stride: Pair = (1, 1),
        padding: Padding = NO_PADDING,
    ) -> int:
        """sum over i, j of alpha_i * beta_j * (A_j conv B_i), in this order of float32 additions
        (Lin et al., ABC-Net, 2017): B_i = sign(w - mean + u_i * std), alpha by least squares over
        all filters, A_j = sign(clip(x + v_j, 0, 1) - 1/2). Outside is 0."""
        signs, alphas = abc_bases(weights, bases)
        activations = [self.binarize(x, 0.5 - np.float32(shift)) for shift in shifts]
        total = None
        for alpha, base in zip(alphas, signs, strict=True):
            for beta, activation in zip(betas, activations, strict=True):
                scale = np.float32(alpha * beta)
                y = self.sign_conv2d(
                    activation,
                    base,
                    multiplier=scale,
                    stride=stride,
                    padding=padding,
                    pad_value=0,
                )
                total = y if total is None else self.add_node("add", Arithmetic(), (total, y))
        assert total is not None
        return total

    def integer_conv2d(
        self,
        x: int,
        weights: np.ndarray,
        x_bits: int,
        multiplier: ArrayLike = 1.0,
        stride: Pair = (1, 1),
        padding: Padding = NO_PADDING,
        signed: bool = True,
    ) -> int:
        """Whole numbers by whole numbers, bit by bit: each pair of planes is an AND and a popcount
        (Zhou et al., DoReFa-Net, 2016). x is int8; x - zero point must fit into `x_bits`."""
        whole = np.asarray(weights, np.int64)
        w_bits = bits_of(whole)
        planes = self.add_node("bit_planes", BitPlanes(x_bits), (x,), BINARY)
        return self.bconv2d(
            planes,
            bits.integer_planes(whole, w_bits),
            weights.shape[3],
            multiplier,
            stride=stride,
            padding=padding,
            pad_value=0,
            x_planes=bits.two_complement(x_bits) if signed else bits.unsigned(x_bits),
            weight_planes=bits.two_complement(w_bits),
            plain=True,
        )

    def binary_connect(self, x: int, weights: np.ndarray, **window: Any) -> int:
        """Real activations (int8 with a scale) by the signs of weights, which needs additions only
        (Courbariaux et al., BinaryConnect, 2015)."""
        signs = np.where(weights < 0, -1, 1)
        return self.integer_conv2d(x, signs, 9, self.tensors[x].scale, **window)

    def dorefa(self, x: int, weights: np.ndarray, x_bits: int, w_bits: int, **window: Any) -> int:
        """x of 0 to 2^m - 1 stands for [0, 1]; weights of k bits as `dorefa_weights` makes them."""
        whole, scale = dorefa_weights(weights, w_bits)
        unit = np.float32(scale / ((1 << x_bits) - 1))
        return self.integer_conv2d(x, whole, x_bits, unit, signed=False, **window)

    def ternary(self, x: int, weights: np.ndarray, **window: Any) -> int:
        """Activations of -1, 0 and 1 (int8) by ternary weights, times each filter's alpha (Li et
        al., TWN, 2016)."""
        whole, alpha = ternary_weights(weights)
        return self.integer_conv2d(x, whole, 2, alpha, **window)

    def phone_bit(
        self,
        x: int,
        weights: np.ndarray,
        norm: Sequence[np.ndarray],
        epsilon: float = 1e-3,
        **window: Any,
    ) -> int:
        """sign(batch norm(x conv sign w)) in one kernel that writes packed words and no sums (Chen
        et al., PhoneBit, 2020). `norm`: gamma, beta, mean, variance of each filter."""
        thresholds, flipped = fold_sign(norm, epsilon, math.prod(weights.shape[1:]))
        signs = (weights < 0) ^ flipped[:, None, None, None]
        return self.bconv2d(x, bits.pack(signs), weights.shape[3], thresholds=thresholds, **window)

    def frac_bnn(
        self,
        x: int,
        weights: np.ndarray,
        delta: ArrayLike,
        stride: Pair = (1, 1),
        padding: Padding = NO_PADDING,
    ) -> int:
        """Activations of -1, -1/3, 1/3 and 1, (2 b1 + b0) / 3, by signs of weights. The part of b0
        counts only where 2/3 of that of b1 is over a filter's `delta` (Zhang et al., FracBNN,
        2021). Outside is +1."""
        clipped = self.add_node("relu", Relu(-1.0, 1.0), (x,))
        slope, offset = (self.constant(np.array([v], np.float32)) for v in (-1.5, 1.5))
        scaled = self.add_node("mul", Arithmetic(), (clipped, slope))
        level = self.add_node("add", Arithmetic(), (scaled, offset))  # 3 for -1, 0 for 1
        whole = self.add_node("quantize", NoAttrs(), (level,), "int8", 1.0)
        planes = self.add_node("bit_planes", BitPlanes(2), (whole,), BINARY)
        gates = np.floor(1.5 * np.asarray(delta, np.float64)).astype(np.int32)
        return self.bconv2d(
            planes,
            bits.pack(weights < 0),
            weights.shape[3],
            np.float32(1 / 3),
            gates=gates,
            stride=stride,
            padding=padding,
            x_planes=(1, 2),
        )

    def thermometer(self, x: int, resolution: int) -> int:
        """An int8 image (q + 128 is a byte) as round(255 / resolution) planes of each channel:
        plane t is +1 where t < byte / resolution rounded (FracBNN's input layer)."""
        planes = round(255 / resolution)
        limits = [math.ceil((t + 0.5) * resolution) - 128 for t in range(planes)]
        return self.binarize(x, np.array(limits)[:, None])
