"""Convolutions of any geometry that vector kernels take, drawn by hypothesis."""

from __future__ import annotations

from dataclasses import replace

import build_tflite as build
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from one_operator import operands, read_operator

from midge.runtime.graph import Graph, Node

# uint8 weights have a zero point, and one scale.
KINDS = st.sampled_from(
    [
        {"per_channel": False},
        {"per_channel": True},
        {"dtype": "uint8", "per_channel": False},
        {"dtype": "int16"},
        {"dtype": "float32"},
    ]
)
ACTIVATIONS = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])
PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


def draw_conv2d(data: st.DataObject) -> bytes:
    """A model of one convolution."""
    filters = data.draw(st.sampled_from([1, 3, 15, 16, 17, 32, 33, 48, 64, 70, 115]))
    kernels = [(1, 1), (1, 1), (3, 3), (1, 4), (5, 2), (2, 3)]
    shape, window = _draw_window(data, [1, 3, 4, 16, 17, 20], kernels)
    return build.conv2d(shape, filters=filters, **window)


def draw_depthwise_conv2d(data: st.DataObject) -> bytes:
    """A model of one depthwise convolution."""
    kernels = [(3, 3), (3, 3), (5, 5), (1, 1), (7, 1), (2, 4)]
    shape, window = _draw_window(data, [1, 2, 3, 4, 8, 15, 16, 17, 32, 40, 48], kernels)
    return build.depthwise_conv2d(shape, **window)


def draw_winograd(data: st.DataObject) -> tuple[Graph, Node, list[np.ndarray | None]]:
    """A layer by Winograd's algorithm, and its operands."""
    batch, height, width = (data.draw(st.integers(1, n)) for n in (2, 13, 19))
    padding = data.draw(st.sampled_from(["SAME", "VALID"]))
    assume(padding == "SAME" or min(height, width) > 2)
    graph, node = by_winograds_algorithm(
        (batch, height, width, data.draw(st.sampled_from([16, 32, 48]))),
        filters=data.draw(st.sampled_from([1, 15, 16, 17, 40])),
        padding=padding,
        activation=data.draw(ACTIVATIONS),
        seed=data.draw(st.integers(0, 5)),
    )
    x = np.random.default_rng(0).normal(size=graph.input(node).shape)
    return graph, node, operands(graph, node, [x.astype(np.float32)])


def by_winograds_algorithm(shape: tuple[int, ...], **options: object) -> tuple[Graph, Node]:
    """A 3x3 layer of floats, whether it pays or not."""
    graph, node = read_operator(build.conv2d(shape, dtype="float32", **options))
    node = replace(node, op="winograd_conv2d")
    return graph.with_nodes([node]), node


def _draw_window(
    data: st.DataObject, depths: list[int], kernels: list[tuple[int, int]]
) -> tuple[tuple[int, ...], dict[str, object]]:
    """Input shape, and what a window is made of."""
    depth = data.draw(st.sampled_from(depths))
    batch, height, width = (data.draw(st.integers(1, n)) for n in (2, 9, 40))
    kernel = data.draw(st.sampled_from(kernels))
    stride, dilation = data.draw(PAIRS), data.draw(PAIRS)
    padding = data.draw(st.sampled_from(["SAME", "VALID"]))
    extent = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    assume(padding == "SAME" or (extent[0] < height and extent[1] < width))
    return (batch, height, width, depth), {
        "kernel": kernel,
        "stride": stride,
        "dilation": dilation,
        "padding": padding,
        "activation": data.draw(ACTIVATIONS),
        "seed": data.draw(st.integers(0, 5)),
        **data.draw(KINDS),
    }


# Kernel -> a layer with more filters than a byte counts, for `shifted`.
SHIFTED = {
    "conv2d_vector_s8": build.conv2d((1, 3, 5, 4), filters=300, kernel=(1, 1)),
    "depthwise_conv2d_vector_s8": build.depthwise_conv2d((1, 4, 5, 272)),
    "fully_connected_vector_s8": build.fully_connected((2, 6), units=272, per_channel=True),
    "conv2d_vector_s16": build.conv2d((1, 3, 5, 4), filters=272, kernel=(1, 1), dtype="int16"),
}


def shifted(kernel: str) -> tuple[Graph, Node]:
    """One of `SHIFTED` with multipliers from 2**-12 to 2**6, in runs of channels and mixed."""
    graph, node = read_operator(SHIFTED[kernel])
    x, weights, y = (graph.tensors[i] for i in (*node.inputs[:2], *node.outputs))
    channels = np.arange(y.shape[-1])
    exponents = np.where(channels < 64, channels // 16 * 2, channels * 5 % 19 - 12)
    own = y.quantization.scales[0] / x.quantization.scales[0] * 1.37 * 2.0 ** (exponents - 1)
    quantization = replace(weights.quantization, scales=own.astype(np.float32))
    changed = replace(weights, quantization=quantization)
    return graph.with_nodes(graph.nodes, {weights.index: changed}), node
