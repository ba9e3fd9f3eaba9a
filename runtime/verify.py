"""The rules that every graph keeps, checked between stages."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .attributes import NoAttrs, Shape
from .errors import GraphError
from .graph import DTYPES, Graph, Node, Tensor
from .ops import OPERATORS
from .while_loop import WhileLoop


def verify(graph: Graph) -> Graph:
    """The graph itself if it keeps the rules, else a `GraphError` that names the first breach.

    Tensors have a known dtype, positive sizes and as many scales as their axis asks for. Every
    tensor has one producer, which comes before its readers; nothing is computed into inputs,
    constants or states. Every node is of a known operator, carries its attribute class, and its
    outputs have the shapes of the operator's rule.
    """
    for index, tensor in graph.tensors.items():
        _check_tensor(index, tensor)
    _check_known(graph, graph.inputs, "the graph's inputs name")
    _check_known(graph, graph.outputs, "the graph's outputs name")
    if len(set(graph.inputs)) != len(graph.inputs):
        raise GraphError("a tensor is an input twice")
    _check_fixed_inputs(graph)
    _check_nodes(graph)
    return graph


def _check_tensor(index: int, tensor: Tensor) -> None:
    if index != tensor.index:
        raise GraphError(f"tensor {tensor.index} is filed under {index}")
    if tensor.dtype not in DTYPES:
        raise GraphError(f"tensor {index} has the unknown dtype {tensor.dtype!r}")
    if any(not isinstance(size, int) or size < 0 for size in tensor.shape):
        raise GraphError(f"tensor {index} has the shape {tensor.shape}")
    if tensor.constant and tensor.variable:
        raise GraphError(f"tensor {index} is a constant and a state at once")
    if tensor.quantization is not None:
        _check_quantization(tensor)


def _check_quantization(tensor: Tensor) -> None:
    values, index = tensor.quantization, tensor.index
    assert values is not None
    count = len(values.scales)
    if not count or len(values.zero_points) != count:
        zeros = len(values.zero_points)
        raise GraphError(f"tensor {index} has {count} scales and {zeros} zero points")
    if not (np.isfinite(values.scales) & (values.scales > 0)).all():
        raise GraphError(f"tensor {index} has a scale that is not positive and finite")
    in_range = 0 <= values.axis < len(tensor.shape)
    if values.per_axis and not (in_range and tensor.shape[values.axis] == count):
        raise GraphError(
            f"tensor {index} of shape {list(tensor.shape)} has {count} scales along "
            f"axis {values.axis}"
        )


def _check_known(graph: Graph, indices: Iterable[int], owner: str) -> None:
    for index in indices:
        if index not in graph.tensors:
            raise GraphError(f"{owner} tensor {index}, which the graph doesn't have")


def _check_fixed_inputs(graph: Graph) -> None:
    for index, value in graph.fixed_inputs.items():
        if index not in graph.inputs:
            raise GraphError(f"tensor {index} has a fixed value, but is not an input")
        tensor = graph.tensors[index]
        if value.shape != tensor.shape or value.dtype != DTYPES[tensor.dtype]:
            raise GraphError(f"the fixed value of input {index} has another shape or dtype than it")


def _check_nodes(graph: Graph) -> None:
    made = set(graph.inputs)
    made.update(t.index for t in graph.tensors.values() if t.constant or t.variable)
    for position, node in enumerate(graph.nodes):
        title = f"node {position} ({node.op} {node.name!r})"
        _check_known(graph, (*node.operands, *node.outputs), f"{title} names")
        for index in node.operands:
            if index not in made:
                raise GraphError(f"{title} reads tensor {index} before it is made")
        for index in node.outputs:
            if index in made:
                raise GraphError(f"{title} writes tensor {index}, which has a value already")
            made.add(index)
        _check_operator(graph, node, title)
    for index in graph.outputs:
        if index not in made:
            raise GraphError(f"output tensor {index} is never made")


def _check_operator(graph: Graph, node: Node, title: str) -> None:
    if node.op not in OPERATORS:
        raise GraphError(f"{title} is of an unknown operator")
    operator = OPERATORS[node.op]
    plain = operator.attrs is NoAttrs and node.attrs is None
    if not plain and not isinstance(node.attrs, operator.attrs):
        found = type(node.attrs).__name__
        raise GraphError(f"{title} carries {found}, needed are {operator.attrs.__name__}")
    if isinstance(node.attrs, WhileLoop):
        for part in node.attrs.parts:
            verify(part)
    needed = _shapes(graph, node, title)
    found_shapes = tuple(graph.tensors[index].shape for index in node.outputs)
    if found_shapes != needed:
        found_text, needed_text = (_text(shapes) for shapes in (found_shapes, needed))
        raise GraphError(f"{title} must make {needed_text}, its outputs are {found_text}")


def _shapes(graph: Graph, node: Node, title: str) -> tuple[Shape, ...]:
    try:
        return OPERATORS[node.op].shapes(graph, node)
    except (ValueError, IndexError, TypeError, ZeroDivisionError) as error:
        raise GraphError(f"{title}: its operands don't fit: {error}") from error


def _text(shapes: tuple[Shape, ...]) -> str:
    return ", ".join(str(list(shape)) for shape in shapes) or "nothing"
