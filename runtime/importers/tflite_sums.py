"""ADD_N as a chain of ADDs, one after the other. (tensorflow/lite/kernels/add_n.cc.)"""

from __future__ import annotations

from dataclasses import replace

from .tflite_file import FileModel, FileOperator, FileTensor

TYPES = ("FLOAT32", "INT32")  # of quantized numbers each would be rounded on the way


def with_chains(model: FileModel) -> FileModel:
    """The model with every ADD_N of `TYPES` as ADDs, whose sums are new tensors at the end."""
    if all(operator.code != "ADD_N" for operator in model.operators):
        return model
    tensors, operators = list(model.tensors), []
    for operator in model.operators:
        operators += _chain(operator, tensors)
    return replace(model, tensors=tuple(tensors), operators=tuple(operators))


def _chain(operator: FileOperator, tensors: list[FileTensor]) -> list[FileOperator]:
    inputs, outputs = operator.inputs, operator.outputs
    if operator.code != "ADD_N" or len(inputs) < 2 or len(outputs) != 1:
        return [operator]
    if tensors[outputs[0]].type not in TYPES:
        return [operator]
    chain, total = [], inputs[0]
    for place, term in enumerate(inputs[1:], 2):
        last = place == len(inputs)
        made = outputs[0] if last else len(tensors)
        if not last:
            tensors.append(replace(tensors[outputs[0]], index=made, name=f"sum of {place}"))
        chain.append(
            replace(
                operator, code="ADD", version=1, inputs=(total, term), outputs=(made,), options=None
            )
        )
        total = made
    return chain
