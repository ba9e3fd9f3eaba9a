"""Readers of the custom operators that TFLM's resolver has. (tensorflow/lite/micro/kernels.)

CIRCULAR_BUFFER keeps the last rows that it was given, its output, from one inference to the next
(circular_buffer.cc). Ethos-U's operator is a program for that accelerator, and has no numbers that
anybody else could compute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..attributes import Slide
from . import tflite_custom
from .tflite_file import FileModel, FileOperator, Malformed
from .tflite_reading import Parts, Reader, Reading, Unsupported

CIRCULAR_BUFFER = "CIRCULAR_BUFFER"
_EVERY_TIME = (5, 13, 25)  # rows at which TFLM takes no cycles_max for 1


def with_buffers(model: FileModel) -> FileModel:
    """The model with a state for each circular buffer, its first operand from then on."""
    tensors, states, operators = list(model.tensors), set(model.states), []
    for operator in model.operators:
        if operator.custom_code == CIRCULAR_BUFFER and len(operator.outputs) == 1:
            (output,) = operator.outputs
            state = len(tensors)
            tensors.append(replace(tensors[output], index=state, variable=True))
            tensors[output] = replace(tensors[output], variable=False)
            states.add(state)
            operator = replace(operator, inputs=(state, *operator.inputs))
        operators.append(operator)
    if len(tensors) == len(model.tensors):
        return model
    return replace(
        model, tensors=tuple(tensors), operators=tuple(operators), states=frozenset(states)
    )


def circular_buffer(node: Reading) -> Parts:
    """Operands: state, a row."""
    state, x = node.tensor(0), node.image(1)
    node.same_type(0, 1)
    if len(state.shape) != 4:
        raise Malformed(f"its output must have 4 axes, not {len(state.shape)}")
    wanted = (x.shape[0], state.shape[1], *x.shape[2:])
    if x.shape[1] != 1 or state.shape != wanted:
        raise Malformed(f"it can't keep rows of {list(x.shape)} in {list(state.shape)}")
    cycles = _cycles(node.operator, state.shape[1])
    if cycles != 1:
        raise Unsupported(
            f"it lets one of {cycles} inferences go on (cycles_max), and here all do",
            "set cycles_max to 1, and run what follows as a model of its own when it is due",
        )
    return Parts("slide", Slide(state.shape[1] - 1, 1), node.operands(0, 1))


def _cycles(operator: FileOperator, rows: int) -> int:
    options = dict(tflite_custom.options(operator.custom_options).values)
    cycles = options.get("cycles_max", 0)
    if not isinstance(cycles, int):
        raise Malformed(f"cycles_max must be a whole number, not {cycles!r}")
    return cycles if cycles > 0 else 1 if rows in _EVERY_TIME else 2


def ethos_u(node: Reading) -> Parts:
    raise Unsupported(
        "it is a program for an Ethos-U accelerator, which Vela made of some of the model's nodes",
        "give midge the .tflite file that Vela was given",
    )


READERS: Mapping[str, Reader] = {
    CIRCULAR_BUFFER: Reader(circular_buffer, None, 1, (2, 2)),
    "ethos-u": Reader(ethos_u, None, 1 << 30, (0, 1 << 30), None),
}
