"""Kernel calls as the C kernels take them: those of the host, plus room to work in.

A C kernel widens what one output pixel sees before it multiplies; where that is put is planned with
all other memory of the arena.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

from ...kernels import table
from ...kernels.operation import Layout
from ...runtime.graph import Graph, Node
from ...runtime.lowering import Lowered, Scratch


def _columns(graph: Graph, node: Node) -> Scratch:
    """The input window of one output pixel and one group, as int16, and once more as bytes."""
    elements = math.prod(graph.input(node, 1).shape[1:])
    padded = -(-elements // 4) * 4
    return Scratch(3 * padded, alignment=8)


def _taps(graph: Graph, node: Node) -> Scratch:
    """Two words for each tap of a depthwise window: where its x is, and where its weights are."""
    return Scratch(8 * math.prod(graph.input(node, 1).shape[1:3]), alignment=8)


# kernel -> its last field, which only the C kernel has
_SCRATCH: Mapping[str, tuple[str, Callable[[Graph, Node], Scratch]]] = {
    "conv2d_s8": ("columns", _columns),
    "depthwise_conv2d_s8": ("taps", _taps),
}


@lru_cache(maxsize=1)
def layouts() -> Mapping[str, Layout]:
    """The parameter words of every C kernel, by the kernel's name."""
    return {
        name: Layout(name, (*words.fields, _SCRATCH[name][0])) if name in _SCRATCH else words
        for name, words in table.layouts().items()
    }


def lower(graph: Graph, node: Node) -> Lowered:
    """The kernel call that makes a node which is not refused."""
    lowered = table.lower(graph, node)
    if lowered.kernel not in _SCRATCH:
        return lowered
    field, size = _SCRATCH[lowered.kernel]
    words = layouts()[lowered.kernel]
    widened = words.lowered(lowered.granularity, **lowered.fields, **{field: size(graph, node)})
    return replace(widened, by_row=lowered.by_row)
