"""TFLM_DECODE: constants that TFLM's compressor has packed, unpacked while a model is read.

Each output has two operands: what is packed, and 16 bytes that say how, with values behind them.
Byte 0 is the kind, byte 1 the version. A table of values has in byte 5 its axis (4 bits; 15: none)
and the bits of an index, in byte 6 how many values each slice of that axis has. What was pruned has
a bit for each number, whether it stands among the values or is the zero point.
(tensorflow/lite/micro/kernels/: decode.cc, decode_state_lut.cc, decode_state_prune.cc.)
"""

from __future__ import annotations

import numpy as np

from ..attributes import NoAttrs
from ..graph import DTYPES, Tensor
from .tflite_file import Malformed
from .tflite_reading import Parts, Reader, Reading, Unsupported

DECODE = "TFLM_DECODE"
TABLE, PRUNED = 0, 2
HEADER = 16  # bytes
NO_AXIS = 15


def decode(node: Reading) -> Parts:
    """The outputs, which are constants from now on."""
    count = len(node.operator.outputs)
    if len(node.operator.inputs) != 2 * count:
        raise Malformed(f"{count} outputs need {2 * count} inputs, not {len(node.operator.inputs)}")
    return Parts("", NoAttrs(), (), values=tuple(_decoded(node, i) for i in range(count)))


def _decoded(node: Reading, number: int) -> np.ndarray:
    packed, how = (_constant_bytes(node.tensor(2 * number + side)) for side in (0, 1))
    y = node.output(number)
    if len(how) < HEADER or how[1] != 1:
        raise Malformed("its description must have 16 bytes or more, and the version 1")
    if how[0] not in (TABLE, PRUNED):
        raise Unsupported(
            f"it unpacks by method {how[0]}, and only tables (0) and pruning (2) are known",
            "compress the model by tables, or give midge the model as it was before",
        )
    kind = DTYPES[y.dtype]
    content = how[HEADER:]
    values = np.frombuffer(content[: len(content) // kind.itemsize * kind.itemsize], kind)
    if how[0] == PRUNED:
        return _pruned(y, packed, values)
    return _by_table(y, packed, values, how[5] >> 4, how[5] & 7, how[6])


def _constant_bytes(tensor: Tensor) -> bytes:
    if tensor.data is None:
        raise Unsupported("it unpacks what is computed while the model runs", "pack constants")
    return tensor.data.tobytes()


def _indices(packed: bytes, bits: int, count: int) -> np.ndarray:
    """Numbers of so many bits, the highest first."""
    found = np.unpackbits(np.frombuffer(packed, np.uint8))
    if len(found) < bits * count:
        raise Malformed(f"{len(packed)} bytes hold fewer than {count} numbers of {bits} bits")
    digits = found[: bits * count].reshape(count, bits)
    total: np.ndarray = digits @ (1 << np.arange(bits)[::-1])
    return total


def _by_table(
    y: Tensor, packed: bytes, values: np.ndarray, axis: int, bits: int, stride: int
) -> np.ndarray:
    if not bits or not stride or len(values) < stride:
        raise Malformed(f"its table has {len(values)} values, {stride} a slice, {bits} bits each")
    indices = _indices(packed, bits, y.elements).reshape(y.shape)
    tables = values[: len(values) // stride * stride].reshape(-1, stride)
    slices = np.zeros(y.shape, np.int64)
    if len(tables) > 1 and axis != NO_AXIS:
        if axis == 0 and y.shape[0] != len(tables):  # as it was before the axis was written
            axis = len(y.shape) - 1
        if axis >= len(y.shape) or y.shape[axis] > len(tables):
            raise Malformed(f"{len(tables)} tables don't fit axis {axis} of {list(y.shape)}")
        slices = np.indices(y.shape, sparse=True)[axis] + slices
    if indices.max(initial=0) >= stride:
        raise Malformed(f"an index is {indices.max()}, its table has {stride} values")
    return tables[slices, indices]


def _pruned(y: Tensor, packed: bytes, values: np.ndarray) -> np.ndarray:
    present = _indices(packed, 1, y.elements).astype(bool).reshape(y.shape)
    if np.count_nonzero(present) > len(values):
        raise Malformed(f"{np.count_nonzero(present)} numbers are there, {len(values)} are given")
    zero = np.zeros(1, np.int64) if y.quantization is None else y.quantization.zero_points
    shape = [1] * len(y.shape)
    if len(zero) > 1 and y.quantization is not None:
        shape[y.quantization.axis] = len(zero)
    made = np.broadcast_to(zero.reshape(shape), y.shape).astype(DTYPES[y.dtype])
    made[present] = values[: np.count_nonzero(present)]
    return made


READERS = {DECODE: Reader(decode, None, 1 << 30, (2, 4096), None)}
