"""IF as both its branches, and a choice between their answers. (tensorflow/lite/kernels/if.cc.)

A branch has no effect but its answers: one that assigns to variables is not taken apart, and its IF
is refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .tflite_file import FileModel, FileOperator, FileTensor, Malformed
from .tflite_micro import CIRCULAR_BUFFER
from .tflite_signal import KEEPING

MOST_DEPTH = 16  # of branches within branches
MOST_OPERATORS = 50_000  # with those of all branches
_EFFECTS = frozenset(
    {"ASSIGN_VARIABLE", "READ_VARIABLE", "VAR_HANDLE", "CALL_ONCE", CIRCULAR_BUFFER, *KEEPING}
)


def with_choices(model: FileModel) -> FileModel:
    """The model with its IFs taken apart, where their branches allow it."""
    for _ in range(MOST_DEPTH):
        if not any(_parts(model, operator) for operator in model.operators):
            return model
        tensors, operators = list(model.tensors), []
        for operator in model.operators:
            parts = _parts(model, operator)
            operators += _taken_apart(operator, parts, tensors) if parts else [operator]
            if len(operators) > MOST_OPERATORS:
                raise Malformed(f"its branches make more than {MOST_OPERATORS} operators of it")
        model = replace(model, tensors=tuple(tensors), operators=tuple(operators))
    raise Malformed(f"its branches lie more than {MOST_DEPTH} deep in one another")


def _parts(model: FileModel, operator: FileOperator) -> tuple[FileModel, FileModel] | None:
    """The two branches of an IF that can be taken apart."""
    options = operator.options
    if operator.code != "IF" or options is None or options.type != "IfOptions":
        return None
    numbers = [options.get(f"{name}SubgraphIndex") for name in ("Then", "Else")]
    if not all(0 < number <= len(model.others) for number in numbers):
        return None
    first, second = (model.others[number - 1] for number in numbers)
    ends = (len(operator.inputs) - 1, len(operator.outputs))
    for part in (first, second):
        plain = all(not {op.code, op.custom_code} & _EFFECTS for op in part.operators)
        if (len(part.inputs), len(part.outputs)) != ends or not plain:
            return None
    return first, second


def _taken_apart(
    operator: FileOperator, parts: Sequence[FileModel], tensors: list[FileTensor]
) -> list[FileOperator]:
    made: list[FileOperator] = []
    answers = []
    for part in parts:
        places = dict(zip(part.inputs, operator.inputs[1:], strict=True))
        for tensor in part.tensors:
            if tensor.index not in places:
                places[tensor.index] = len(tensors)
                tensors.append(replace(tensor, index=len(tensors)))
        made += [moved(own, operator.index, places) for own in part.operators]
        answers.append([places[index] for index in part.outputs])
    for output, chosen, other in zip(operator.outputs, *answers, strict=True):
        select = replace(operator, code="SELECT_V2", version=1, options=None)
        operands = (operator.inputs[0], chosen, other)
        made.append(replace(select, inputs=operands, outputs=(output,)))
    return made


def moved(operator: FileOperator, index: int, places: dict[int, int]) -> FileOperator:
    """An operator of a branch, under the number of the IF."""
    places = places | {-1: -1}
    inputs, outputs, middle = (
        tuple(places[t] for t in group)
        for group in (operator.inputs, operator.outputs, operator.intermediates)
    )
    return replace(operator, index=index, inputs=inputs, outputs=outputs, intermediates=middle)
