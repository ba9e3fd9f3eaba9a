"""concatenation: tensors joined along an axis; bytes are moved, whatever their dtype.

Inputs of a model that was uint8 may have scales of their own, and are then rescaled in float32 as
TFLite does (reference/concatenation.h, ConcatenationWithScaling): a function of one byte, so it is
a table. (TFLite concatenation.cc.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..runtime.graph import Graph, Node, Tensor
from ..runtime.lowering import Address, Constant, Cursor, Field, Lowered, Rows
from .operation import Operation, layout
from .scales import round_half_away
from .strided_slice import at_most_six_axes

MOST_INPUTS = 16
_INPUTS = tuple(f"x{i}" for i in range(MOST_INPUTS))
_WORDS = f"blocks count chunks tables {' '.join(_INPUTS)}"

# For each row, `blocks` times: chunks[i] bytes of input i, for all `count` inputs; an input that
# has no such row is passed over. Where tables[i] isn't -1, input i goes through the 256 bytes at
# that place after `tables`, by its byte + 128. Inputs beyond `count` are 0.
ROWS = layout("concatenation_rows", f"rows y {_WORDS}")
# The same for whole tensors by their addresses; bit i of `constant`: input i is in the constants.
FLAT = layout("concatenation_flat", f"y constant {_WORDS}")


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The inputs one after the other along the axis."""
    y, parts = graph.output(node), []
    for tensor, array in zip(inputs(graph, node), arrays, strict=True):
        assert array is not None
        table = rescaling(tensor, y)
        parts.append(array if table is None else table[array.astype(np.int64) + 128])
    return [np.concatenate(parts, axis=node.attrs.axis)]


def inputs(graph: Graph, node: Node) -> list[Tensor]:
    """The tensors that are joined, in order."""
    return [graph.tensors[t] for t in node.operands]


def rescaling(x: Tensor, y: Tensor) -> NDArray[np.int8] | None:
    """The answer for each of x's bytes -128 .. 127; None where they are taken as they are.

    The sum is that of the uint8 numbers q + 128: float32 rounding depends on their size.
    """
    if x.dtype != "int8" or x.quantization is None or y.quantization is None:
        return None
    if (x.scale, x.zero_point) == (y.scale, y.zero_point):
        return None
    scale = np.float32(x.scale) * (np.float32(1.0) / np.float32(y.scale))
    bias = np.float32(-(x.zero_point + 128)) * scale
    real = np.arange(256, dtype=np.float32) * scale + bias
    return np.clip(round_half_away(real) + y.zero_point, -128, 127).astype(np.int8)


def lower(graph: Graph, node: Node) -> Lowered:
    """By rows unless images of a batch are joined, or some input is a constant."""
    tensors, y, axis = inputs(graph, node), graph.output(node), node.attrs.axis
    images = len(y.shape) == 4
    if (images and axis == 0) or any(t.constant for t in tensors):
        return FLAT.lowered(**flat_fields(tensors, y, axis))
    fields = _words(tensors, y, axis, 2 if images else 0)
    fields |= {"rows": Rows(), "y": Cursor(y.index)}
    row = 0
    for name, tensor in zip(_INPUTS, tensors, strict=False):
        fields[name] = Cursor(tensor.index, first=-row)
        row += tensor.shape[1] if images and axis == 1 else 0
    return ROWS.lowered(**fields)


def flat_fields(tensors: Sequence[Tensor], y: Tensor, axis: int) -> dict[str, Field]:
    """The words of a call that joins whole tensors."""
    fields = _words(tensors, y, axis, 0) | {"y": Address(y.index)}
    for name, tensor in zip(_INPUTS, tensors, strict=False):
        fields[name] = Address(tensor.index) if tensor.data is None else Constant(tensor.data)
    fields["constant"] = sum(1 << i for i, tensor in enumerate(tensors) if tensor.constant)
    return fields


def _words(tensors: Sequence[Tensor], y: Tensor, axis: int, outer: int) -> dict[str, Field]:
    """The words that both kernels have; what one call or row makes starts at axis `outer`."""
    inner = max(axis, outer)
    places, data = [], bytearray()
    for tensor in tensors:
        table = rescaling(tensor, y)
        places.append(-1 if table is None else 4 * len(tensors) + len(data))
        data += b"" if table is None else table.tobytes()
    tables = np.frombuffer(np.array(places, "<i4").tobytes() + bytes(data), np.int8)
    chunks = [math.prod(t.shape[inner:]) * t.itemsize for t in tensors]
    unused: dict[str, Field] = dict.fromkeys(_INPUTS, 0)
    return unused | {
        "blocks": math.prod(y.shape[outer:inner]),
        "count": len(tensors),
        "chunks": Constant(np.array(chunks, np.int32)),
        "tables": Constant(tables),
    }


def all_of_one_dtype(graph: Graph, node: Node) -> bool:
    """Inputs and output must have the same dtype."""
    return len({graph.tensors[t].dtype for t in (*node.operands, *node.outputs)}) == 1


def no_activation(graph: Graph, node: Node) -> bool:
    """A concatenation must have no fused activation."""
    return bool(node.attrs.activation == "none")


def few_inputs(graph: Graph, node: Node) -> bool:
    """A concatenation must have at most 16 inputs."""
    return len(node.operands) <= MOST_INPUTS


OPERATION = Operation(
    reference,
    lower,
    (ROWS, FLAT),
    (all_of_one_dtype, no_activation, few_inputs, at_most_six_axes),
)
