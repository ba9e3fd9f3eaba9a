"""Resource variables (VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE, CALL_ONCE) as state tensors.

What a variable is read as becomes the state itself, so that reading costs nothing; assigning to it
is a node that runs when all that read it have run. (tensorflow/lite/kernels/: var_handle.cc,
read_variable.cc, assign_variable.cc, call_once.cc.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..graph import DTYPES
from .tflite_file import FileModel, FileOperator, FileTensor

_GONE = ("CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE")


def with_states(model: FileModel) -> FileModel:
    """The model with its variables as state tensors.

    As it came if it has none, or if one can't be a state: if it is read after it was assigned to,
    assigned to twice, or doesn't start at zero. Its operators are then refused by name.
    """
    handles = _handles(model.operators)
    reads = [op for op in model.operators if op.code == "READ_VARIABLE"]
    writes = [op for op in model.operators if op.code == "ASSIGN_VARIABLE"]
    if not handles or not _in_order(reads, writes, handles) or not _start_at_zero(model, handles):
        return model
    states: dict[str, int] = {}  # variable -> the tensor that it is first read as
    twins: dict[int, int] = {}  # tensors that it is read as later
    for operator in reads:
        name, y = handles[operator.inputs[0]], operator.outputs[0]
        twins[y] = states.setdefault(name, y)
    return _rewritten(model, handles, states, twins)


def _handles(operators: Sequence[FileOperator]) -> dict[int, str]:
    """Handle -> the variable's name."""
    found = {}
    for operator in operators:
        if operator.code == "VAR_HANDLE" and operator.options is not None:
            names = [operator.options.get(part) or b"" for part in ("Container", "SharedName")]
            found[operator.outputs[0]] = "/".join(name.decode("utf-8", "replace") for name in names)
    return found


def _in_order(
    reads: Sequence[FileOperator], writes: Sequence[FileOperator], handles: Mapping[int, str]
) -> bool:
    if any(op.inputs[0] not in handles for op in (*reads, *writes) if op.inputs):
        return False
    first = {handles[op.inputs[0]]: op.index for op in writes}
    once = len(first) == len(writes)
    return once and all(op.index < first.get(handles[op.inputs[0]], op.index + 1) for op in reads)


def _start_at_zero(model: FileModel, handles: Mapping[int, str]) -> bool:
    """Whether all that CALL_ONCE assigns is zero, which is what states start with."""
    for operator in model.operators:
        if operator.code != "CALL_ONCE":
            continue
        number = -1 if operator.options is None else operator.options.get("InitSubgraphIndex")
        if not 0 < number <= len(model.others):
            return False
        part = model.others[number - 1]
        own = _handles(part.operators)
        for inner in part.operators:
            if inner.code == "VAR_HANDLE":
                continue
            known = inner.code == "ASSIGN_VARIABLE" and inner.inputs[0] in own
            if not known or not _is_zero(part.tensors[inner.inputs[1]]):
                return False
    return True


def _is_zero(tensor: FileTensor) -> bool:
    dtype = tensor.type.lower()
    if tensor.data is None or dtype not in DTYPES:
        return False
    zero = 0 if tensor.quantization is None else int(tensor.quantization.zero_points[0])
    values = np.frombuffer(np.asarray(tensor.data).tobytes(), DTYPES[dtype])
    return bool((values == zero).all())


def _rewritten(
    model: FileModel,
    handles: Mapping[int, str],
    states: Mapping[str, int],
    twins: Mapping[int, int],
) -> FileModel:
    tensors = list(model.tensors)
    for index in states.values():
        tensors[index] = replace(tensors[index], variable=True)
    operators = []
    for operator in model.operators:
        if operator.code in _GONE:
            continue
        inputs = tuple(twins.get(index, index) for index in operator.inputs)
        if operator.code == "ASSIGN_VARIABLE":
            state = states.get(handles[operator.inputs[0]])
            if state is None:  # nobody reads it
                continue
            token = len(tensors)
            tensors.append(FileTensor(token, "", (0,), "INT8", None, None, False, False, False))
            readers = (op for op in model.operators if op.code not in (*_GONE, operator.code))
            seen = [t for op in readers if _reads(op, state, twins) for t in op.outputs[:1]]
            inputs = (state, inputs[1], *(t for t in dict.fromkeys(seen) if t != inputs[1]))
            operator = replace(operator, outputs=(token,), version=1)
        operators.append(replace(operator, inputs=inputs))
    outputs = tuple(twins.get(index, index) for index in model.outputs)
    return replace(
        model, tensors=tuple(tensors), operators=tuple(operators), outputs=outputs,
        states=frozenset(states.values()),
    )  # fmt: skip


def _reads(operator: FileOperator, state: int, twins: Mapping[int, int]) -> bool:
    return any(twins.get(index, index) == state for index in operator.inputs)
