"""The order of a subgraph's operators: producers first, and every tensor with one value."""

from __future__ import annotations

from .tflite_file import FileModel, Malformed


def check_order(model: FileModel) -> None:
    """Static single assignment, producers first, and nothing computed into a constant."""
    made = set(_values_at_start(model))
    for operator in model.operators:
        title = f"node {operator.index} ({operator.title})"
        for index in operator.operands:
            if index not in made:
                raise Malformed(f"{title} reads tensor {index} before a node makes it")
        if not operator.outputs:
            raise Malformed(f"{title} has no output")
        for index in operator.outputs:
            if index in made:
                raise Malformed(f"{title} writes tensor {index}, which has a value already")
            made.add(index)
    if not model.outputs:
        raise Malformed("the model has no output")


def check_outputs(model: FileModel) -> None:
    """Every output is made by a node."""
    produced = {index for operator in model.operators for index in operator.outputs}
    for index in model.outputs:
        if index not in produced:
            raise Malformed(f"output tensor {index} is not made by any node")


def _values_at_start(model: FileModel) -> set[int]:
    """Tensors that have a value before the first node runs: inputs, constants, states."""
    inputs = set(model.inputs)
    if len(inputs) != len(model.inputs):
        raise Malformed("a tensor is listed twice among the model's inputs")
    produced = {index for operator in model.operators for index in operator.outputs}
    values = set(inputs)
    for tensor in model.tensors:
        if tensor.data is not None or tensor.variable:
            values.add(tensor.index)
            if tensor.index in inputs:
                raise Malformed(f"input tensor {tensor.index} is a constant or variable tensor")
        elif 0 in tensor.shape:
            if tensor.index in inputs:
                raise Malformed(f"input tensor {tensor.index} has no elements")
            if tensor.index not in produced:
                values.add(tensor.index)
    return values
