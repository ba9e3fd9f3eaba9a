"""Jobs of the array's binary mode: convolutions of bits whose result is bits or int8."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...hw.commands import Opcode
from ...hw.driver import TileJob
from ...hw.machine import Machine
from ...kernels import bconv2d
from ...kernels.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from ...runtime import bits
from ...runtime.errors import TargetError
from ...runtime.graph import BINARY, WORD_BITS, Graph, Node
from .lower import conv2d_job

FRACTION_BITS = 12  # as in `hw.xnor`: bits of an accumulator below one that differs
_MOST_PRODUCTS = 1 << 17  # of a sum, so that an accumulator holds it
_SIGN = (1 << 30, 0)  # multiplier and shift that leave a sum its sign
_NEAR = 1 << FRACTION_BITS - 1  # how far from its place a bias is looked for


def binary_job(graph: Graph, node: Node, machine: Machine) -> list[TileJob]:
    """The jobs of a bconv2d or bdense of one plane; `TargetError` for what the mode has not."""
    x, y, attrs = graph.input(node), graph.output(node), bconv2d.convolution(node)
    if y.dtype not in (BINARY, "int8"):
        raise TargetError("the accelerator writes bits or int8, not float32")
    if attrs.plain or attrs.x_planes != (1,) or attrs.weight_planes != (1,):
        raise TargetError("the accelerator multiplies single planes of +1 and -1")
    if bconv2d.group_count(graph, node) > 1 or graph.operand(node, 5) is not None:
        raise TargetError("the accelerator takes no groups and no gates of bits")
    pad = attrs.padding
    if any((pad.top, pad.bottom, pad.left, pad.right)) and attrs.pad_value != 1:
        raise TargetError("the accelerator pads bits with +1 alone")
    if x.shape[0] != 1 or (node.op == "bdense" and x.elements != x.shape[-1]):
        raise TargetError("the accelerator convolves one image")
    count = bconv2d.products(graph, node)
    if count > _MOST_PRODUCTS:
        raise TargetError(f"the accelerator adds up at most {_MOST_PRODUCTS} bits, not {count}")
    weights = _filters(graph, node)
    if y.dtype == BINARY:
        limits = np.clip(graph.input(node, 4).data.reshape(-1), -1, count)  # type: ignore[union-attr]
        empty = -len(weights) % WORD_BITS  # the last word's other bits are 0
        weights = np.pad(weights, ((0, empty), (0, 0), (0, 0), (0, 0)))
        bias = np.pad(limits.astype(np.int64) << FRACTION_BITS, (0, empty))
        rules = np.array([_SIGN] * len(limits) + [(0, 0)] * empty)
        opcode = Opcode.BCONV2D_BITS
    else:
        flipped = bconv2d.folded(graph, node)[0] > 0
        weights[flipped] ^= bits.pack(np.ones(attrs.channels, bool))
        bias, rules = _int8_rules(graph, node, flipped, count)
        opcode = Opcode.BCONV2D
    shape = (1, 1, x.shape[-1]) if node.op == "bdense" else x.shape[1:]
    return conv2d_job(
        (*shape[:2], 4 * shape[2]), weights.view(np.int8), bias.astype(np.int32),
        rules[:, 0], rules[:, 1], attrs.stride, attrs.dilation,
        (pad.top, pad.bottom, pad.left, pad.right), machine=machine, opcode=opcode,
    )  # fmt: skip


def _filters(graph: Graph, node: Node) -> NDArray[np.int32]:
    """[filters, height, width, words], a copy."""
    data = graph.input(node, 1).data
    assert data is not None
    shape = data.shape if data.ndim == 4 else (len(data), 1, 1, data.shape[-1])
    return np.array(data.reshape(shape), np.int32)


def _int8_rules(
    graph: Graph, node: Node, flipped: NDArray[np.bool_], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(bias, [multiplier, shift]) of each filter, with which a count becomes the right int8.

    Larq multiplies in float32. Every count that there can be is tried, so that what is returned
    is exact: a filter for which nothing is found is refused.
    """
    counts = np.arange(count + 1)
    m, b = (values.astype(np.float64) for values in bconv2d.folded(graph, node))
    v = np.where(flipped[None], 2 * (count - counts)[:, None], 2 * counts[:, None])
    wanted = bconv2d.finish(graph, node, v.astype(np.int64)).astype(np.int64)
    biases, rules = [], []
    for number in range(len(m)):
        slope = 2 * abs(m[number])
        if slope == 0:
            raise TargetError("a filter's multiplier is 0")
        rule = quantize_multiplier(slope / (1 << FRACTION_BITS))
        start = b[number] + (2 * count * m[number] if flipped[number] else 0)
        bias = _find_bias(wanted[:, number], rule, start / slope * (1 << FRACTION_BITS))
        biases.append(bias)
        rules.append(rule)
    return np.array(biases), np.array(rules)


def _find_bias(wanted: NDArray[np.int64], rule: tuple[int, int], middle: float) -> int:
    """The bias next to `middle` with which each count of differences gives what is wanted."""
    if not -31 <= rule[1] <= 3 or abs(middle) >= 1 << 30:
        raise TargetError("a filter's scale is outside what the accelerator can do")
    differences = np.arange(len(wanted)) << FRACTION_BITS
    for bias in _candidates(round(middle)):
        scaled = multiply_by_quantized_multiplier(
            (bias - differences).astype(np.int32), np.int64(rule[0]), np.int64(rule[1])
        )
        if np.array_equal(np.clip(scaled, -128, 127), wanted):
            return bias
    raise TargetError("a filter's float scale has no integer one with the same results")


def _candidates(middle: int) -> Iterator[int]:
    yield middle
    for distance in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, _NEAR):
        yield middle + distance
        yield middle - distance
