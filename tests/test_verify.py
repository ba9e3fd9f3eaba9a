"""Every rule that a graph keeps, broken once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import build_tflite as b
import numpy as np
import pytest

from midge.runtime.attributes import Pad
from midge.runtime.errors import GraphError
from midge.runtime.graph import Graph, Node, Quantization
from midge.runtime.importers.tflite import read_tflite
from midge.runtime.verify import verify


def title(value: object) -> str:
    """A test's name: its message; models and functions have none."""
    return value if isinstance(value, str) else ""


@pytest.fixture
def graph() -> Graph:
    """conv2d: tensors 0 input, 1 weights, 2 output, 3 bias."""
    return read_tflite(b.conv2d((1, 8, 8, 3), 4))


def with_tensor(graph: Graph, index: int, **changes: Any) -> Graph:
    changed = replace(graph.tensors[index], **changes)
    return replace(graph, tensors={**graph.tensors, index: changed})


def with_node(graph: Graph, **changes: Any) -> Graph:
    return replace(graph, nodes=(replace(graph.nodes[0], **changes),))


def scales(*values: float, zero_points: tuple[int, ...] | None = None, axis: int = 0) -> Any:
    zeros = (0,) * len(values) if zero_points is None else zero_points
    return Quantization(np.array(values), np.array(zeros), axis)


BREACHES: list[tuple[Callable[[Graph], Graph], str]] = [
    (lambda g: replace(g, tensors={**g.tensors, 7: g.tensors[0]}), "tensor 0 is filed under 7"),
    (lambda g: with_tensor(g, 0, dtype="float8"), "tensor 0 has the unknown dtype 'float8'"),
    (lambda g: with_tensor(g, 0, shape=(1, -1)), "tensor 0 has the shape (1, -1)"),
    (lambda g: with_tensor(g, 1, variable=True), "tensor 1 is a constant and a state at once"),
    (lambda g: with_tensor(g, 0, quantization=scales(0.0)),
     "tensor 0 has a scale that is not positive and finite"),
    (lambda g: with_tensor(g, 0, quantization=scales(1, 2, axis=1)),
     "tensor 0 of shape [1, 8, 8, 3] has 2 scales along axis 1"),
    (lambda g: with_tensor(g, 0, quantization=scales(1, zero_points=(0, 0))),
     "tensor 0 has 1 scales and 2 zero points"),
    (lambda g: replace(g, inputs=(0, 9)),
     "the graph's inputs name tensor 9, which the graph doesn't have"),
    (lambda g: replace(g, outputs=(9,)),
     "the graph's outputs name tensor 9, which the graph doesn't have"),
    (lambda g: replace(g, inputs=(0, 0)), "a tensor is an input twice"),
    (lambda g: replace(g, inputs=()), "node 0 (conv2d 't2') reads tensor 0 before it is made"),
    (lambda g: replace(g, nodes=()), "output tensor 2 is never made"),
    (lambda g: replace(g, nodes=g.nodes * 2),
     "node 1 (conv2d 't2') writes tensor 2, which has a value already"),
    (lambda g: with_node(g, outputs=(3,)),
     "node 0 (conv2d 't2') writes tensor 3, which has a value already"),
    (lambda g: with_node(g, inputs=(0, 8)),
     "node 0 (conv2d 't2') names tensor 8, which the graph doesn't have"),
    (lambda g: with_node(g, op="conv9d"), "node 0 (conv9d 't2') is of an unknown operator"),
    (lambda g: with_node(g, attrs=Pad()), "node 0 (conv2d 't2') carries Pad, needed are Conv2D"),
    (lambda g: with_tensor(g, 2, shape=(1, 8, 8, 5)),
     "node 0 (conv2d 't2') must make [1, 8, 8, 4], its outputs are [1, 8, 8, 5]"),
    (lambda g: replace(g, fixed_inputs={1: np.zeros(1)}),
     "tensor 1 has a fixed value, but is not an input"),
    (lambda g: replace(g, fixed_inputs={0: np.zeros((1, 8, 8, 3))}),
     "the fixed value of input 0 has another shape or dtype than it"),
]  # fmt: skip


@pytest.mark.parametrize(("break_", "message"), BREACHES, ids=title)
def test_breach(graph: Graph, break_: Callable[[Graph], Graph], message: str) -> None:
    assert verify(graph) is graph
    with pytest.raises(GraphError) as caught:
        verify(break_(graph))
    assert str(caught.value) == message


def test_operands_that_do_not_fit(graph: Graph) -> None:
    node = Node("add", (0, 1), (2,), read_tflite(b.arithmetic()).nodes[0].attrs, "sum")
    with pytest.raises(GraphError, match=r"node 0 \(add 'sum'\): its operands don't fit: "):
        verify(replace(graph, nodes=(node,)))
