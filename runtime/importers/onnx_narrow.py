"""Types of ONNX that the graph doesn't have: int4, int2, bfloat16, float8, float4.

Their numbers are kept in a wider type (`narrow`): a model's input of int4 takes int8, an output of
float8 gives float32. They are moved, cast, quantized and dequantized; an operator that computes
with them is refused, since its answers would have to be rounded as no kernel does. A cast to int4
cuts fractions off and keeps the lowest bits, as the onnx package does; ONNX Runtime rounds.
"""

from __future__ import annotations

import numpy as np

from ..general import Cast
from ..narrow import CARRIERS, WHOLE, Narrow
from .onnx_building import Value
from .onnx_reading import NodeReading
from .tflite_reading import Unsupported

# Operators that don't change numbers; their answers are of their first operand's type.
MOVERS = (
    "Concat", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Range",
    "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
)  # fmt: skip
TAKERS = (*MOVERS, "Cast", "DequantizeLinear", "MatMulNBits", "QuantizeLinear")


def refuse_narrow(node: NodeReading) -> np.dtype | None:
    """The narrow type of a node's operands, if they have one; `Unsupported` if it computes."""
    kinds = [node.build.narrow_of(name) for name in node.inputs if name]
    found = next((kind for kind in kinds if kind is not None), None)
    if found is not None and node.op not in TAKERS:
        raise Unsupported(f"it computes in {found.name}", "cast its operands to float32 first")
    return found


def narrowed(node: NodeReading, value: Value, kind: np.dtype) -> Value:
    """A tensor's numbers in a narrow type, which the node's output is of."""
    build, index = node.build, value.index
    carrier, came = CARRIERS[kind.name], build.tensors[value.index].dtype
    if kind.name not in WHOLE and came == "float64":
        raise Unsupported(f"it makes {kind.name} of float64", "cast to float32 first")
    if came != carrier:
        index = node.emit("cast", [index], Cast(), dtype=carrier)[0]
    attrs = Narrow(
        kind.name, bool(node.attribute("saturate", 1)), node.attribute("round_mode", "up")
    )
    index = node.emit("narrow", [index], attrs)[0]
    build.narrow[node.outputs[0]] = kind
    return Value(index, value.layout, value.image)
