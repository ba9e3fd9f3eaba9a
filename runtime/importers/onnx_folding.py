"""ONNX nodes that read nothing but constants, evaluated beforehand by the `onnx` package."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .onnx_building import Builder
from .tflite_reading import Unsupported

MOST_ELEMENTS = 1 << 27  # of a tensor that is made here
FEW = 4096  # elements of an operand that may be a shape
QUANTIZING = ("DequantizeLinear", "QuantizeLinear")
# What they make is another thing each time.
RANDOM = (
    "Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike",
)  # fmt: skip


def fold(onnx: Any, build: Builder, node: Any, opsets: Mapping[str, int]) -> bool:
    """Evaluate a node of constants, or the shape of a tensor; False where it can't be done.

    `Unsupported` where the result would be larger than any model's.
    """
    constants = build.constants
    if node.op_type == "Shape" and node.input[0] not in constants:
        constants[node.output[0]] = _shape(node, build.shape(node.input[0]))
        return True
    names = [name for name in node.input if name]
    if node.op_type in QUANTIZING + RANDOM or any(name not in constants for name in names):
        return False
    if any(a.type == onnx.AttributeProto.GRAPH for a in node.attribute):
        return False
    model = _alone(onnx, node, {name: constants[name] for name in names}, opsets)
    _refuse_large(onnx, model)
    try:
        evaluator = onnx.reference.ReferenceEvaluator(model)
        found = evaluator.run(None, {v.name: constants[v.name] for v in model.graph.input})
    except Exception:  # an operator that the evaluator doesn't have either
        return False
    for name, value in zip([n for n in node.output if n], found, strict=True):
        constants[name] = np.asarray(value)
    return True


def _shape(node: Any, shape: tuple[int, ...]) -> np.ndarray:
    """What a Shape makes of the shape of its operand."""
    begin = next((a.i for a in node.attribute if a.name == "start"), 0)
    end = next((a.i for a in node.attribute if a.name == "end"), len(shape))
    return np.array(shape[begin:end], np.int64)


def _alone(
    onnx: Any, node: Any, operands: Mapping[str, np.ndarray], opsets: Mapping[str, int]
) -> Any:
    """A model of this node; operands that may be shapes are in it, for the inference of shapes."""
    helper = onnx.helper
    few = {n: v for n, v in operands.items() if v.size <= FEW and v.dtype.kind in "iufb"}
    given = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
        for n, v in operands.items()
        if n not in few
    ]
    made = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    graph = helper.make_graph(
        [node],
        "constants",
        given,
        made,
        [onnx.numpy_helper.from_array(v, n) for n, v in few.items()],
    )
    sets = [helper.make_opsetid(domain, number) for domain, number in opsets.items()]
    return helper.make_model(graph, opset_imports=sets)


def _refuse_large(onnx: Any, model: Any) -> None:
    """By the package's own inference; where it knows no shape, operands bound the result."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # the evaluator then says what is wrong
        return
    for value in inferred.graph.output:
        elements = math.prod(d.dim_value for d in value.type.tensor_type.shape.dim)
        if elements > MOST_ELEMENTS:
            raise Unsupported(
                f"its output {value.name!r} has {elements} elements, at most {MOST_ELEMENTS} are "
                "computed beforehand",
                "export it for smaller shapes",
            )
