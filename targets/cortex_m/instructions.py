"""How many instructions a Cortex-M4 spends on a node by one kernel or another.

Fitted to counts of QEMU (tests/test_flash.py holds them against it), to compare the calls for one
node: what all of them spend alike may be left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ...runtime.graph import Graph, Node
from ...runtime.lowering import Lowered
from ...runtime.ops import macs
from . import winograd

PLAIN = 3.0  # a multiplication of a kernel in C


@dataclass(frozen=True)
class _Block:
    """Outputs that a loop makes at once: what it spends on a word of weights, and once for all."""

    pixels: int
    filters: int
    word: float  # instructions for a word of one pixel's window, and all filters of the block
    rest: float


_CONV2D: Mapping[tuple[str, int], _Block] = {
    ("conv2d_paired_s8", 3): _Block(3, 2, 8.75, 51),
    ("conv2d_paired_s8", 2): _Block(2, 2, 6.2, 40),
    ("conv2d_paired_s8", 1): _Block(1, 2, 3.6, 30),
    ("conv2d_wide_s8", 3): _Block(3, 2, 7.95, 41),
    ("conv2d_wide_s8", 2): _Block(2, 2, 5.2, 27),
    ("conv2d_wide_s8", 1): _Block(1, 2, 2.9, 21),
}
_FULLY_CONNECTED: Mapping[str, _Block] = {
    "fully_connected_paired_s8": _Block(1, 2, 3.6, 30),
    "fully_connected_fours_s8": _Block(1, 4, 7.9, 60),
    "fully_connected_wide_s8": _Block(1, 4, 5.7, 47),
    "fully_connected_wide_bytes_s8": _Block(1, 4, 6.9, 47),
}
_WIDEN_WORD, _WIDEN_RUN, _PIXEL = 2.9, 22.0, 60.0


def counted(graph: Graph, node: Node, call: Lowered) -> Lowered:
    """The call with its instructions of one inference."""
    return replace(call, instructions=round(_count(graph, node, call)))


def _count(graph: Graph, node: Node, call: Lowered) -> float:
    weights, y = graph.input(node, 1).shape, graph.output(node).shape
    pixels = math.prod(y[:-1])
    block = _CONV2D.get((call.kernel.replace("_relu", ""), _number(call, "pixels")))
    if block is not None:
        words, runs = _number(call, "words"), weights[1]
        return pixels * (_spent(block, words, y[-1]) + _WIDEN_WORD * words + _WIDEN_RUN * runs)
    if call.kernel == winograd.CONV2D.kernel:
        return _winograd(graph, node)
    block = _FULLY_CONNECTED.get(call.kernel)
    if block is not None:
        return pixels * _spent(block, -(-weights[1] // 2), y[-1])
    return PLAIN * macs(graph, node)


def _winograd(graph: Graph, node: Node) -> float:
    """By tiles of four pixels: transforms, products, and the way back."""
    filters, depth = graph.input(node, 1).shape[0], graph.input(node, 1).shape[3]
    *images, width, _ = graph.output(node).shape
    transform = 3 * (70 + depth / 4 * 73)
    product = depth / 8 * (3 * 21 + 3) + 13
    tile = 90 + transform + filters / 4 * (6 * product + 4 * 45 + 50)
    return math.prod(images) * math.ceil(width / 4) * tile


def _spent(block: _Block, words: int, filters: int) -> float:
    """On one pixel by blocks of several."""
    blocks = filters / block.filters
    return (blocks * (block.word * words + block.rest) + _PIXEL) / block.pixels


def _number(call: Lowered, name: str) -> int:
    value = call.fields.get(name, 0)
    assert isinstance(value, int)
    return value
