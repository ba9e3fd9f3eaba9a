"""Layers of bits for Helium: constants for the loops of csrc/midge_helium_bits.c.

Eight filters make a block. Of three vectors of their bits, and of a window's, sums are kept in
their place; differing bits of both are then added with fewer operations. Planes of 0 and 1 are
counted by bits that differ, too: popcount(x and w) is half of popcount(x) + popcount(w) -
popcount(x xor w).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels import bconv2d as bits
from ...kernels.bit_operands import convolution, group_count, thresholds
from ...kernels.operation import layout
from ...runtime.graph import BINARY, Graph, Node
from ...runtime.lowering import Constant, Lowered, Scratch

# A window and a filter are `triples` times three vectors, then `rest` single ones. offsets: of
# plain planes, int32, what a bit of each plane of x adds to -2 v, and what each filter's bits add.
# fused: blocks begin with limits, and a block's outputs are a byte.
WORDS = f"{bits.WORDS} triples rest offsets fused"
LAYOUT_OF = {
    "float32": layout("bconv2d_helium_f32", f"{WORDS} multiplier bias least greatest"),
    "int8": layout("bconv2d_helium_s8", f"{WORDS} multiplier bias least greatest"),
    BINARY: layout("bconv2d_helium_b1", f"{WORDS} thresholds"),
}
LAYOUTS = tuple(LAYOUT_OF.values())

BLOCK = 8  # filters
VECTOR = 4  # words
TRIPLE = 3  # vectors
NEVER = -(1 << 30)  # a limit that no count reaches
# Filters of a group that are worth a block by counted instructions; fewer where each has many
# words.
FEWEST, FEW, MANY = 4, 2, 36


def lower(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The call for a layer of bits, or None where blocks would be so empty that it took longer."""
    weights = bits.weights_by_plane(graph, node)
    filters, planes = weights.shape[:2]
    groups = group_count(graph, node)
    size = math.prod(weights.shape[2:])
    many = size * len(bits.pair_table(node)) >= MANY
    if filters // groups < (FEW if many else FEWEST):
        return None
    vectors = -(-size // VECTOR)
    triples, rest = divmod(vectors, TRIPLE)
    fused = _is_fused(graph, node)
    blocks = _blocks(weights.reshape(filters, planes, size), groups, vectors)
    if fused:
        limits = _by_block(-(thresholds(graph, node) // 2 + 1), groups)
        blocks = np.concatenate([limits.reshape(*blocks.shape[:3], BLOCK), blocks], axis=3)
    changed: dict[str, Any] = {
        "weights": Constant(blocks),
        "window": Scratch(_slots(node) * vectors * VECTOR * 4),
        "triples": triples,
        "rest": rest,
        "offsets": Constant(_offsets(graph, node, weights)),
        "fused": int(fused),
    }
    if fused:
        changed["thresholds"] = Constant(np.zeros(1, np.int32))
    words = LAYOUT_OF[graph.output(node).dtype]
    return words.lowered(plain.granularity, **dict(plain.fields) | changed)


def _is_fused(graph: Graph, node: Node) -> bool:
    """Bits of one pair of planes against one window; groups that are whole bytes."""
    attrs, filters = convolution(node), graph.input(node, 1).shape[0]
    groups = group_count(graph, node)
    single = len(attrs.x_planes) == len(attrs.weight_planes) == 1 and not attrs.plain
    unit = attrs.x_planes[0] * attrs.weight_planes[0] == 1
    whole = groups == 1 or filters // groups % BLOCK == 0
    known = bits.padding_mode(node) != bits.MEAN_OF_BOTH
    return graph.output(node).dtype == BINARY and single and unit and whole and known


def _slots(node: Node) -> int:
    """Windows that are kept at once."""
    both = bits.padding_mode(node) == bits.MEAN_OF_BOTH
    return len(convolution(node).x_planes) * (2 if both else 1)


def _blocks(weights: NDArray[np.int32], groups: int, vectors: int) -> NDArray[np.int32]:
    """[filters, planes, words] to [groups, planes, blocks, words of a block]."""
    filters, planes, size = weights.shape
    room = np.zeros((filters, planes, vectors * VECTOR), np.int32)
    room[:, :, :size] = weights
    room = _by_block(room, groups).reshape(groups, -1, BLOCK, planes, vectors, VECTOR)
    room = room.transpose(0, 3, 1, 4, 2, 5)  # groups, planes, blocks, vectors, filters, words
    whole = vectors // TRIPLE * TRIPLE
    shape = (*room.shape[:3], -1, TRIPLE, BLOCK, VECTOR)
    a, b, c = np.moveaxis(room[:, :, :, :whole].reshape(shape), 4, 0)
    folded = np.stack([a ^ b ^ c, a ^ b, a ^ c], axis=5)  # ..., triples, filters, sums, words
    parts = (folded, room[:, :, :, whole:])
    return np.concatenate([part.reshape(*room.shape[:3], -1) for part in parts], axis=3)


def _by_block(values: NDArray[np.int32], groups: int) -> NDArray[np.int32]:
    """[filters, ...] as [groups, a whole number of blocks of filters, ...]; no filter is NEVER."""
    own = values.reshape(groups, -1, *values.shape[1:])
    count = -(-own.shape[1] // BLOCK) * BLOCK
    room = np.full((groups, count, *values.shape[1:]), NEVER, np.int32)
    room[:, : own.shape[1]] = own
    return room


def _offsets(graph: Graph, node: Node, weights: NDArray[np.int32]) -> NDArray[np.int32]:
    """[planes of x, then filters]; of planes of +1 and -1 there are none."""
    attrs = convolution(node)
    if not attrs.plain:
        return np.zeros(1, np.int32)
    of_x = np.array(attrs.x_planes) * sum(attrs.weight_planes)
    octets = np.ascontiguousarray(weights).view(np.uint8)
    ones = np.unpackbits(octets.reshape(*weights.shape[:2], -1), axis=2).sum(axis=2, dtype=np.int64)
    of_w = ones @ np.array(attrs.weight_planes) * sum(attrs.x_planes)
    return np.concatenate([of_x, of_w]).astype(np.int32)
