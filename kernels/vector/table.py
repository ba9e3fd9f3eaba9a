"""The operators that have vector kernels on the host, and where a kernel's native twin stands."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from types import ModuleType

from ...runtime.graph import Graph, Node
from ...runtime.lowering import NUMPY_CALL, Lowered
from ...runtime.room import scratch_bytes
from .. import table
from ..native import processor
from . import (
    add,
    bconv2d,
    conv2d,
    depthwise_conv2d,
    fully_connected,
    lookup,
    transpose_conv,
    winograd,
)
from .window import TIGHT

MODULES: Mapping[str, ModuleType] = {
    "bconv2d": bconv2d,
    "bdense": bconv2d,
    "add": add,
    "sub": add,
    "conv2d": conv2d,
    "depthwise_conv2d": depthwise_conv2d,
    "fully_connected": fully_connected,
    "transpose_conv": transpose_conv,
}


# Where int8 products take as long as those of int16, Winograd's fewer products pay.
WINOGRAD_SETS = frozenset({processor.AVX2, processor.PORTABLE, processor.NEON})


def lower(graph: Graph, node: Node, sets: Collection[str] | None = None) -> Lowered:
    """The vector kernel's call where there is one for this node, else the plain kernel's.

    `sets` of instructions that the program may meet; this process's own if not stated.
    """
    module = MODULES.get(node.op)
    plain = table.lower(graph, node)
    if plain.kernel == NUMPY_CALL:
        return plain
    attempt: Callable[[Graph, Node], Lowered | None] | None = module.lower if module else None
    lowered = attempt(graph, node) if attempt else None
    if lowered is None:
        return lookup.improved(plain)
    lowered = replace(lowered, by_row=plain.by_row, frugal=_frugal(graph, node, lowered, plain))
    fewer = _fewer_products(graph, node, sets or (processor.instruction_set(),))
    return replace(fewer, by_row=plain.by_row, frugal=lowered) if fewer else lowered


def _fewer_products(graph: Graph, node: Node, sets: Collection[str]) -> Lowered | None:
    """The call of a convolution by Winograd's algorithm, if that is faster with all `sets`."""
    return winograd.lower(graph, node) if WINOGRAD_SETS.issuperset(sets) else None


def _frugal(graph: Graph, node: Node, ample: Lowered, plain: Lowered) -> Lowered | None:
    """The same kernel in shorter runs, and at last the plain one, which takes no scratch."""
    if not scratch_bytes(ample):
        return None
    plain = replace(plain, frugal=None)
    windows = {"conv2d": conv2d, "depthwise_conv2d": depthwise_conv2d}
    module = windows.get(node.op)
    tight = module.lower(graph, node, TIGHT) if module else None
    if tight is None or scratch_bytes(tight) >= scratch_bytes(ample):
        return plain
    return replace(tight, by_row=plain.by_row, frugal=plain)


def native_names() -> list[str]:
    """Every native function, vector or plain."""
    modules = (*MODULES.values(), lookup, winograd)
    vector = [words.kernel for module in modules for words in module.LAYOUTS]
    return list(dict.fromkeys([*table.layouts(), *vector, *table.APART]))


def native_module(name: str) -> str:
    """The module of `kernels/native/` that defines a native function, vector or plain."""
    for module in (*MODULES.values(), lookup, winograd):
        if any(words.kernel == name for words in module.LAYOUTS):
            return f"vector_{module.__name__.rpartition('.')[2]}"
    return table.native_module(name)
