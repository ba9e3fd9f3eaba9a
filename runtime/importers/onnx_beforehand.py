"""Operators that are computed when the model is read, by the onnx package, or not at all.

How many boxes NonMaxSuppression leaves, how many numbers are unlike zero: the size of such an
answer follows from the numbers themselves. A program of midge has room for tensors of one size, so
that it knows its memory before it runs; ONNX has no form of such answers with a fixed size. What
follows from constants is computed, of all else the user is told where to cut the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .onnx_reading import Made, NodeReading, OnnxReader
from .tflite_reading import Unsupported

_CUT = "end the model before it, and do it with the model's answers"


def beforehand(why: str, remedy: str) -> OnnxReader:
    """A reader of what can be known from constants alone."""

    def read(node: NodeReading) -> Made:
        if node.build.known(node.outputs[0], insist=True) is None:
            raise Unsupported(why, remedy)
        return []

    return read


READERS: Mapping[str, Callable[[NodeReading], Made]] = {
    "MelWeightMatrix": beforehand("its numbers are computed", "export it with constant bounds"),
    "NonMaxSuppression": beforehand("how many boxes it leaves depends on them", _CUT),
    "NonZero": beforehand("how many places it finds depends on the numbers", _CUT),
    "Unique": beforehand("how many numbers it finds depends on them", _CUT),
}
