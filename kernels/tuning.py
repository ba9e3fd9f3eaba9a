"""Which of several kernels makes a layer on this machine: a default, or what `midge tune` measured.

All candidates have the same bits. They differ in how much of a row they copy before they compute,
and in the algorithm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Lowered
from ..runtime.tuned import tuned_choices
from .native import processor
from .vector import conv2d, depthwise_conv2d, table, winograd
from .vector.window import AMPLE, TIGHT, Room

DEFAULT = "default"
# How much of the input a window kernel copies at a time.
ROOMS: Mapping[str, Room] = {
    "ample": AMPLE,
    "narrow": replace(AMPLE, bytes=AMPLE.bytes // 2),
    "wide": replace(AMPLE, bytes=2 * AMPLE.bytes),
    "widest": replace(AMPLE, bytes=8 * AMPLE.bytes),
    "tight": TIGHT,
}
NAMES = (DEFAULT, *ROOMS, "winograd", "plain")
_WINDOWS = {"conv2d": conv2d, "depthwise_conv2d": depthwise_conv2d}
_forced: list[str] = []  # while candidates are measured: the name of those to take


def lower(graph: Graph, node: Node) -> Lowered:
    """The kernel call that makes a node on this machine."""
    name = _forced[-1] if _forced else tuned_choices().get(layer_key(graph, node), DEFAULT)
    usual = table.lower(graph, node)
    found = None if name == DEFAULT else _candidate(graph, node, usual, name)
    return usual if found is None else found


def elsewhere(graph: Graph, node: Node) -> Iterator[Lowered]:
    """Every call that `lower` gives for a node with some other processor, or when tuned. All run
    here: each kernel is compiled for each instruction set."""
    for sets in ((processor.AVX512_VNNI,), tuple(table.WINOGRAD_SETS)):
        yield from table.lower(graph, node, sets).ways
    usual = table.lower(graph, node)
    found = (_candidate(graph, node, usual, name) for name in NAMES)
    yield from (way for lowered in found if lowered is not None for way in lowered.ways)


def candidates(graph: Graph, node: Node) -> tuple[str, ...]:
    """The names that `lower` would take for a node, besides the default's."""
    usual = table.lower(graph, node)
    return tuple(name for name in NAMES if _candidate(graph, node, usual, name) is not None)


@contextmanager
def forced(name: str) -> Iterator[None]:
    """Every layer that has a candidate of this name takes it."""
    _forced.append(name)
    try:
        yield
    finally:
        _forced.pop()


def layer_key(graph: Graph, node: Node) -> str:
    """What layers of one key have in common is all that their time depends on."""
    operands = (graph.operand(node, position) for position in range(len(node.inputs)))
    shown = [f"{t.dtype}{list(t.shape)}" for t in operands if t is not None]
    return f"{node.op} {node.attrs} {' '.join(shown)}"


def _candidate(graph: Graph, node: Node, usual: Lowered, name: str) -> Lowered | None:
    """The call of a candidate, None where there is none of this name, or it is the usual one."""
    if node.op not in _WINDOWS or not usual.frugal:
        return None
    if name == "plain":
        return replace(usual.choices[-1], by_row=usual.by_row)
    made = (
        winograd.lower(graph, node)
        if name == "winograd"
        else _WINDOWS[node.op].lower(graph, node, ROOMS[name])
        if name in ROOMS
        else None
    )
    if made is None or (made.kernel == usual.kernel and _numbers(made) == _numbers(usual)):
        return None
    return replace(made, by_row=usual.by_row, frugal=usual.choices[-1])


def _numbers(call: Lowered) -> dict[str, object]:
    """The fields that tell calls of one kernel for one node apart."""
    return {name: field for name, field in call.fields.items() if isinstance(field, int)}
