"""Readers of operators on shapes, which are known once a model is read, and of fills.

(tensorflow/lite/kernels/: shape.cc, zeros_like.cc, broadcast_args.cc, fill.cc.)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..attributes import NoAttrs
from ..general import Broadcast
from ..graph import DTYPES
from .tflite_file import Malformed
from .tflite_reading import Parts, Reader, Reading


def shape_of(node: Reading) -> Parts:
    """SHAPE: all shapes are known once a model is read."""
    kind = DTYPES[node.output().dtype]
    return _known(np.array(node.tensor(0).shape, kind))


def zeros_like(node: Reading) -> Parts:
    x = node.tensor(0)
    zero = x.zero_point if x.quantization is not None else 0
    return _known(np.full(x.shape, zero, DTYPES[node.output().dtype]))


def broadcast_args(node: Reading) -> Parts:
    """BROADCAST_ARGS: the shape that two shapes become together."""
    shapes = [node.numbers(position, "shape") for position in (0, 1)]
    try:
        together = np.broadcast_shapes(*shapes)
    except ValueError:
        raise Malformed(f"shapes {shapes[0]} and {shapes[1]} can't be broadcast") from None
    return _known(np.array(together, DTYPES[node.output().dtype]))


def _known(value: np.ndarray) -> Parts:
    return Parts("", NoAttrs(), (), values=(value,))


def fill(node: Reading) -> Parts:
    """FILL: one number, everywhere."""
    node.same_type(1)
    if node.tensor(1).elements != 1:
        raise Malformed(f"it fills with {node.tensor(1).elements} numbers, one is needed")
    return Parts("broadcast_to", Broadcast(node.numbers(0, "shape")), node.operands(1))


READERS: Mapping[str, Reader] = {
    "BROADCAST_ARGS": Reader(broadcast_args, None, 1, (2, 2)),
    "FILL": Reader(fill, None, 4, (2, 2)),
    "SHAPE": Reader(shape_of, None, 1),
    "ZEROS_LIKE": Reader(zeros_like, None, 1),
}
