"""Models of one operator on numbers of any rank and type, operands and output as given."""

from __future__ import annotations

from typing import Any

import numpy as np
from tflite_writer import ModelBuilder

Spec = tuple[Any, ...]  # shape, dtype and, if it is quantized, scale and zero point


def general(
    op: str,
    operands: list[Spec | np.ndarray],
    outputs: Spec,
    options: str | None = None,
    **named: Any,
) -> bytes:
    """`op` of operands, an array is a constant; one output. `options` is the table of `named`."""
    model = ModelBuilder()
    inputs, indices = [], []
    for operand in operands:
        if isinstance(operand, np.ndarray):
            indices.append(model.constant(operand, operand.dtype.name))
        else:
            indices.append(_tensor(model, operand))
            inputs.append(indices[-1])
    made = [_tensor(model, outputs)]
    model.node(op, indices, made, options_type=options, **named)
    return model.build(inputs, made)


def unpack() -> bytes:
    """The three slices of an axis."""
    model = ModelBuilder()
    x = model.tensor((2, 3, 4), *Q)
    made = [model.tensor((2, 4), *Q) for _ in range(3)]
    model.node("UNPACK", [x], made, version=2, options_type="UnpackOptions", num=3, axis=1)
    return model.build([x], made)


def _tensor(model: ModelBuilder, spec: Spec) -> int:
    shape, dtype, *quantization = spec
    return model.tensor(shape, dtype, *quantization)


F, INT, B = "float32", "int32", "bool"
Q = ("int8", 0.05, -5)


def ints(*values: Any) -> np.ndarray:
    return np.array(values, np.int32)


def one(op: str, dtype: str = F, shape: tuple[int, ...] = (2, 3, 5)) -> bytes:
    return general(op, [(shape, dtype)], (shape, dtype))


def two(
    op: str,
    dtype: str = F,
    a: tuple[int, ...] = (2, 3, 5),
    b: tuple[int, ...] = (3, 1),
    answer: str | None = None,
) -> bytes:
    shape = np.broadcast_shapes(a, b)
    return general(op, [(a, dtype), (b, dtype)], (shape, answer or dtype))


def reduced(op: str, dtype: str = F, axes: tuple[int, ...] = (1, -1), keep: bool = False) -> bytes:
    shape = (2, 3, 5, 4)
    counted = {axis % 4 for axis in axes}
    kept = [1 if i in counted else n for i, n in enumerate(shape) if keep or i not in counted]
    operands: list[Spec | np.ndarray] = [(shape, dtype), np.array(axes, np.int32)]
    return general(op, operands, (kept, dtype), options="ReducerOptions", keep_dims=keep)
