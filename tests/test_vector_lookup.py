"""Functions of one byte: tables, and changed sign bits, over the input too."""

from __future__ import annotations

import build_tflite as build
import numpy as np
import pytest
from exact import single_node
from native_call import run_native
from one_operator import operands, read_operator
from oracle import random_inputs, tflite_reference

from midge.kernels import table
from midge.kernels.vector import table as vector


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
@pytest.mark.parametrize(
    ("source", "target", "kernel"),
    [
        (("uint8", 0.5, 130), ("int8", 0.5, 2), "flip_sign_s8"),
        (("int8", 0.5, 2), ("uint8", 0.5, 130), "flip_sign_s8"),
        (("uint8", 0.5, 3), ("int8", 0.3, 9), "lookup_s8"),
        (("int8", 0.5, 3), ("uint8", 0.5, 132), "lookup_s8"),
        (("uint8", 0.5, 3), ("uint8", 0.7, 8), "lookup_s8"),
    ],
)
def test_between_one_byte_types(count, source, target, kernel):
    model = build.convert((2, count), source, target)
    graph, node = single_node(model)
    assert vector.lower(graph, node).kernel == kernel
    inputs = random_inputs(model, 3)
    (wanted,) = tflite_reference(model, inputs)
    for overlap in (False, True):
        (actual,) = run_native(graph, node, inputs, overlap, vector.lower)
        np.testing.assert_array_equal(actual, wanted)


@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize("shape", [(), (1, 1)])
def test_a_number_and_a_tensor_are_a_table(op, shape):
    model = build.arithmetic(op, (1, 4, 5, 3), shape, constant=True)
    graph, node = read_operator(model)
    assert table.lower(graph, node).kernel == "lookup_s8"
    inputs = random_inputs(model, 3)
    (actual,) = run_native(graph, node, operands(graph, node, inputs))
    np.testing.assert_array_equal(actual, tflite_reference(model, inputs)[0])
