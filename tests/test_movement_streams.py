"""The row kernels of pad, strided_slice and concatenation, run row by row through rings."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import random_inputs, tflite_reference
from tflite_writer import ModelBuilder

from midge.runtime.backend import find_backend
from midge.runtime.importers.tflite import read_tflite
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_graph

SCALE = {"int8": (0.1, 3), "int16": (0.1, 0), "float32": ()}


class Movers(ModelBuilder):
    """Nodes that say only what they do; shapes follow."""

    def __init__(self, dtype: str) -> None:
        super().__init__()
        self.dtype = dtype

    def value(self, shape: tuple[int, ...]) -> int:
        return self.tensor(shape, self.dtype, *SCALE[self.dtype])

    def shape(self, index: int) -> tuple[int, ...]:
        return self.tensors[index].shape

    def pad(self, x: int, pads: list[tuple[int, int]]) -> int:
        y = self.value(tuple(b + n + a for n, (b, a) in zip(self.shape(x), pads, strict=True)))
        self.node("PAD", [x, self.constant(pads)], [y])
        return y

    def cut(self, x: int, begin: list[int], strides: list[int]) -> int:
        """From `begin` to the end of every axis."""
        end = list(self.shape(x))
        ranges = zip(begin, end, strides, strict=True)
        y = self.value(tuple(len(range(*r)) for r in ranges))
        operands = [x, *(self.constant(v) for v in (begin, end, strides))]
        self.node("STRIDED_SLICE", operands, [y])
        return y

    def join(self, parts: list[int], axis: int) -> int:
        shape = list(self.shape(parts[0]))
        shape[axis] = sum(self.shape(part)[axis] for part in parts)
        y = self.value(tuple(shape))
        self.node("CONCATENATION", parts, [y], axis=axis)
        return y


# Axis along which two cuts are joined -> (begin, strides) of the second one.
SECOND_CUT = {
    1: ([0, 4, 0, 0], [1, 1, 1, 1]),
    2: ([0, 2, 3, 0], [1, 2, 1, 1]),
    3: ([0, 2, 0, 1], [1, 2, 1, 1]),
}


def movers(dtype: str, axis: int) -> bytes:
    """Pad an image, cut it in two ways with rows left out, join both, pad again, channels too."""
    model = Movers(dtype)
    x = model.value((1, 12, 7, 3))
    padded = model.pad(x, [(0, 0), (2, 3), (1, 0), (0, 0)])
    parts = [model.cut(padded, [0, 1, 0, 0], [1, 2, 1, 1]), model.cut(padded, *SECOND_CUT[axis])]
    y = model.pad(model.join(parts, axis), [(0, 0), (1, 1), (0, 2), (2, 1)])
    return model.build([x], [y])


@pytest.mark.parametrize("dtype", SCALE)
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_rings_don_t_change_bits(dtype, axis):
    content = movers(dtype, axis)
    graph = read_tflite(content)
    inputs = random_inputs(content)
    whole = tuple(range(len(graph.nodes)))
    program = compile_graph(graph, "host", Options(segments=(whole,)))
    assert program.strategy == "rows"
    answers = find_backend("host").build(program).run(inputs)
    np.testing.assert_array_equal(answers, tflite_reference(content, inputs))
