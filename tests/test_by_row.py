"""Kernels that take their input row by row have the bits of those that see it whole."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import build_movement as m
import build_tflite as b
import numpy as np
import pytest
from c_call import aligned
from oracle import random_inputs, tflite_reference
from seeded_model import SeededModel
from test_input_by_row import BY_ROW, OK, outputs_of, printed

from midge.runtime.backend import find_backend
from midge.runtime.pipeline import compile_model
from midge.runtime.program import Program


def dense(shape: tuple[int, ...], units: int) -> bytes:
    """A fully connected layer over a whole image."""
    model = SeededModel("int8", 0)
    depth = int(np.prod(shape))
    weights, scales = model.weights((units, depth), 0, True)
    x, y = model.activation(shape), model.activation((1, units), model.sum_scale(depth))
    model.node("FULLY_CONNECTED", [x, weights, model.bias(units, scales, depth)], [y])
    return model.build([x], [y])


CASES = {
    "average_pool2d": b.pool2d("AVERAGE_POOL_2D", (1, 9, 5, 17), (9, 5), (1, 1), "VALID"),
    "average_pool2d, wide": b.pool2d("AVERAGE_POOL_2D", (1, 9, 7, 3), (9, 3), (1, 2), "VALID"),
    "average_pool2d, padded": b.pool2d("AVERAGE_POOL_2D", (1, 6, 5, 4), (9, 3), (7, 1), "SAME"),
    "average_pool2d, uint8": b.pool2d(
        "AVERAGE_POOL_2D", (1, 9, 5, 17), (9, 5), (1, 1), "VALID", dtype="uint8"
    ),
    "mean": m.mean((1, 9, 5, 17), output=(0.03, 7)),
    "mean, kept": m.mean((1, 9, 5, 3), keep_dims=True),
    "fully_connected": dense((1, 9, 5, 3), 5),
    "depthwise_conv2d": b.depthwise_conv2d((1, 15, 1, 17), (15, 1), padding="VALID"),
    "depthwise_conv2d, wide": b.depthwise_conv2d((1, 9, 7, 3), (9, 3), (1, 2), padding="VALID"),
    "depthwise_conv2d, padded": b.depthwise_conv2d((1, 9, 6, 4), (12, 5), (9, 3), padding="SAME"),
    "depthwise_conv2d, multiplied": b.depthwise_conv2d(
        (1, 19, 2, 3), (19, 2), padding="VALID", multiplier=2
    ),
}


def planned(model: bytes, target: str) -> Program:
    """The whole model as one streamed segment, whether that pays or not."""
    nodes = len(compile_model(model, target, BY_ROW).graph.nodes)
    options = replace(BY_ROW, segments=((nodes - 1, *range(nodes - 1)),))
    program = compile_model(model, target, options)
    assert any(call.kernel.endswith("_by_row_s8") for call in program.calls())
    return program


@pytest.mark.parametrize("case", CASES)
def test_native_kernel(case: str) -> None:
    model = CASES[case]
    inputs = random_inputs(model, 0)
    executor = find_backend("host").build(planned(model, "host"))
    for pieces in (1, 2, len(inputs[0][0])):  # how many rows at a time
        rows = inputs[0][0]
        left = [
            executor.push_rows(rows[at : at + pieces])  # type: ignore[attr-defined]
            for at in range(0, len(rows), pieces)
        ]
        assert left[-1] == 0
        answer = executor.copy_out()[0]  # type: ignore[attr-defined]
        np.testing.assert_array_equal(answer, tflite_reference(model, inputs)[0])


@pytest.mark.parametrize("case", CASES)
def test_c_kernel(case: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    model = CASES[case]
    inputs = random_inputs(model, 1)
    program = planned(model, "cortex-m4")
    library = printed(program, tmp_path)
    arena = aligned(program.arena_bytes, 0x5A)
    where, rows = ctypes.c_void_p(arena.ctypes.data), np.ascontiguousarray(inputs[0])
    assert library.midge_model_init(where, ctypes.c_size_t(len(arena))) == OK
    at = ctypes.c_void_p(rows.ctypes.data)
    assert library.midge_model_push_rows(where, at, rows.shape[1]) == OK
    answer = outputs_of(library, arena, program)[0]
    expected = tflite_reference(model, inputs)[0]
    np.testing.assert_array_equal(answer.view(expected.dtype), expected)
