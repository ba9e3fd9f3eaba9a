"""Run one node by its native kernel, the way a compiled program would."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from guarded import guard

from midge.kernels import table
from midge.kernels.host import HostExecutor
from midge.runtime.assemble import assemble
from midge.runtime.graph import Graph, Node
from midge.runtime.lowering import Lowered
from midge.runtime.program import Program
from midge.runtime.schedule import layer_by_layer

Lower = Callable[[Graph, Node], Lowered]


def run_native(
    graph: Graph,
    node: Node,
    inputs: Sequence[np.ndarray | None],
    overlap: bool = False,
    lower: Lower = table.lower,
) -> list[np.ndarray]:
    """The node's outputs, computed by its native kernel in an arena of its own.

    `inputs` are as for the reference: one entry for each of the node's input positions, where that
    of a constant is ignored, and that of a state tensor is updated in place. With `overlap` the
    output lies over the input as closely as the kernel's granularity and the region rule allow.
    `lower` chooses the kernel.
    """
    program = one_node(graph, node, overlap, lower)
    single = program.graph
    executor = HostExecutor(program)
    arena = guard(executor)
    given = dict(zip(node.inputs, inputs, strict=False))
    states = [t for t in node.operands if single.tensors[t].variable]
    for index in states:
        executor.tensor(index)[...] = given[index]
    outputs = executor.run([_given(given, index) for index in single.inputs])
    arena.check()
    for index in states:
        _given(given, index)[...] = executor.tensor(index)
    return outputs


def one_node(
    graph: Graph, node: Node, overlap: bool = False, lower: Lower = table.lower
) -> Program:
    """A program of this node alone."""
    single = _single(graph, node)
    lowered = {0: lower(single, node)}
    schedule = layer_by_layer(single, lowered)
    return assemble(single, lowered, schedule, "host", 16, exact=True, overlap=overlap)


def overlapped(graph: Graph, node: Node, lower: Lower = table.lower) -> int:
    """Bytes that `run_native(..., overlap=True)` saves for this node: 0 where nothing overlaps."""
    single = _single(graph, node)
    lowered = {0: lower(single, node)}
    sizes = [
        assemble(single, lowered, layer_by_layer(single, lowered), "host", 1, True, overlap)
        for overlap in (False, True)
    ]
    return sizes[0].arena_bytes - sizes[1].arena_bytes


def _given(given: dict[int | None, np.ndarray | None], index: int) -> np.ndarray:
    value = given[index]
    assert value is not None
    return value


def _single(graph: Graph, node: Node) -> Graph:
    """A graph of this node alone, its activations the inputs."""
    inputs = tuple(t for t in dict.fromkeys(node.operands) if graph.is_activation(t))
    return graph.with_nodes([node], inputs=inputs, outputs=node.outputs)
