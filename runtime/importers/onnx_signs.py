"""Readers of signs in ONNX: Where(x < 0, -1, 1) as frameworks export it, and QONNX's BipolarQuant.

Both become binarize and debinarize, from which `passes/recognise_bits.py` makes layers of bits. A
NaN, which is neither below nor above, then counts as +1.
"""

from __future__ import annotations

import numpy as np

from ..attributes import Arithmetic, Binarize, Debinarize
from ..graph import BINARY
from .onnx_building import IMAGE, TO_NHWC, Builder, Value
from .onnx_reading import Made, NodeReading
from .tflite_reading import Unsupported

QONNX = ("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas")
EXCHANGED = {
    "less": "greater",
    "less_equal": "greater_equal",
    "greater": "less",
    "greater_equal": "less_equal",
}


def sign(node: NodeReading) -> Made:
    """1, 0 or -1; of float32 images where they lie as convolutions take them."""
    name = node.inputs[0]
    if node.build.tensors[node.build.value(name).index].dtype != "float32":
        raise Unsupported("its input is not float32", "export the model in float32")
    if len(node.shape()) == 4:
        return [Value(node.emit("sign", [node.build.image(name)])[0], IMAGE)]
    return [Value(node.emit("sign", [node.build.plain(name)])[0])]


def where(node: NodeReading) -> Made | None:
    """A choice between a number and its negative by a comparison with constants, float32; None for
    any other."""
    condition = node.build.values.get(node.inputs[0])
    found = None if condition is None else _compared(node.build, condition)
    ends = [node.build.constants.get(name) for name in node.inputs[1:]]
    if found is None or any(end is None or end.size != 1 for end in ends):
        return None
    x, op, limit = found
    numbers = [float(end.reshape(-1)[0]) for end in ends if end is not None]
    low, high = numbers if op.startswith("less") else numbers[::-1]
    if high != -low or not high or not np.isfinite(high):
        return None
    if op in ("less_equal", "greater"):  # numbers up to it are below the next
        limit = np.nextafter(limit, np.float32(np.inf))
    return [_signs(node, x, limit, np.array([high], np.float32))]


def _compared(build: Builder, condition: Value) -> tuple[Value, str, np.ndarray] | None:
    """(x in NHWC or [batch, channels], its comparison, limits [channels] or one)."""
    made = next((n for n in reversed(build.nodes) if condition.index in n.outputs), None)
    if made is None or made.op not in EXCHANGED:
        return None
    first, second = (build.tensors[index] for index in made.operands)
    op = made.op if second.data is not None else EXCHANGED[made.op]
    x, limit = (first, second) if second.data is not None else (second, first)
    image = condition.layout == IMAGE
    if x.dtype != "float32" or limit.data is None or np.isnan(limit.data).any():
        return None
    if len(x.shape) != (4 if image else len(x.shape)) or len(x.shape) not in (2, 4):
        return None
    axis = -1 if image or len(x.shape) == 2 else -3
    by_channel = limit.data.ndim >= -axis and limit.elements == limit.shape[axis] == x.shape[axis]
    if limit.elements != 1 and not by_channel:
        return None
    index = x.index
    if len(x.shape) == 4 and not image:
        index, image = build.transposed(index, TO_NHWC), True
    return Value(index, IMAGE if image else condition.layout), op, limit.data.reshape(-1)


def bipolar_quant(node: NodeReading) -> Made:
    """scale where x / scale >= 0, else -scale."""
    scale = node.constant(1, "scale").astype(np.float32)
    if not (scale > 0).all():
        raise Unsupported("its scale is not positive", "export it with a positive scale")
    x = node.build.constants.get(node.inputs[0])
    if x is not None:
        node.build.constants[node.outputs[0]] = np.where(x < 0, -scale, scale).astype(np.float32)
        return []
    if scale.size != 1:
        raise Unsupported("it has several scales", "export one scale for each activation")
    name, rank = node.inputs[0], len(node.shape())
    if rank not in (2, 4):
        raise Unsupported(f"its input has {rank} axes", "take signs of images or of vectors")
    value = Value(node.build.image(name), IMAGE) if rank == 4 else Value(node.build.plain(name))
    if node.build.tensors[value.index].dtype != "float32":
        raise Unsupported("its input is not float32", "export the model in float32")
    return [_signs(node, value, np.zeros(1, np.float32), scale.reshape(-1))]


def _signs(node: NodeReading, x: Value, limit: np.ndarray, high: np.ndarray) -> Value:
    """-high where x [..., channels] is below the limit, else high."""
    channels = node.build.tensors[x.index].shape[-1]
    limits = np.broadcast_to(limit.reshape(1, -1), (1, channels)).astype(np.float32)
    row = node.build.constant(np.ascontiguousarray(limits))
    (words,) = node.emit("binarize", [x.index, row], Binarize(), dtype=BINARY)
    (made,) = node.emit("debinarize", [words], Debinarize(channels), dtype="float32")
    if high[0] != 1:
        factor = node.build.constant(high.astype(np.float32))
        (made,) = node.emit("mul", [made, factor], Arithmetic())
    return Value(made, x.layout)
