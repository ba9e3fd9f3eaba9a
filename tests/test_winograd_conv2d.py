"""winograd_conv2d, Winograd's F(4x4, 3x3) in floats: one order of rounding, and how near it is."""

from __future__ import annotations

from itertools import pairwise

import build_tflite as build
import numpy as np
import pytest
from one_operator import operands
from oracle import random_inputs
from tflite_writer import ModelBuilder
from vector_geometry import by_winograds_algorithm

from midge.kernels import conv2d
from midge.kernels.winograd_conv2d import reference
from midge.runtime.backend import build as executor_of
from midge.runtime.importers import read_model
from midge.runtime.interpreter import Interpreter
from midge.runtime.options import Options
from midge.runtime.passes.by_winograd import by_winograd
from midge.runtime.pipeline import compile_model

LAYER = {"shape": (1, 14, 14, 32), "filters": 32, "dtype": "float32"}


def test_it_is_a_convolution():
    """Nearly: of a layer of 64 channels the worst error, out of the largest output, is 2e-6."""
    graph, node = by_winograds_algorithm((1, 28, 28, 64), filters=64)
    x = np.random.default_rng(0).normal(size=(1, 28, 28, 64)).astype(np.float32)
    arrays = operands(graph, node, [x])
    (direct,), (fewer,) = (how(graph, node, arrays) for how in (conv2d.reference, reference))
    assert 0 < np.abs(direct - fewer).max() / np.abs(direct).max() < 5e-6


def two_layers() -> bytes:
    model, rng = ModelBuilder(), np.random.default_rng(3)
    tensors = [model.tensor((1, 15, 18, 16), "float32") for _ in range(3)]
    for x, y in pairwise(tensors):
        weights = model.constant(rng.normal(0, 0.2, (16, 3, 3, 16)), "float32")
        bias = model.constant(rng.normal(0, 1, 16), "float32")
        model.node("CONV_2D", [x, weights, bias], [y], padding="SAME", stride_h=1, stride_w=1)
    return model.build(tensors[:1], tensors[-1:])


@pytest.mark.parametrize(
    "options", [{"strategy": "rows"}, {"strategy": "rows", "input_by_row": True}, {"ram": 70_000}]
)
def test_rows_are_made_of_whole_tiles(options):
    """A row by itself has the bits that it has among the others."""
    model, reference_options = two_layers(), Options(winograd=True)
    x = random_inputs(model, 0)
    wanted = executor_of(compile_model(model, "reference", reference_options)).run(x)
    program = compile_model(model, "host", Options(winograd=True, **options))
    assert {call.kernel for call in program.calls()} >= {"winograd_conv2d_f32"}
    np.testing.assert_array_equal(executor_of(program).run(x), wanted)


def test_the_interpreter_takes_it_when_asked():
    model = build.conv2d(**LAYER)
    (x,) = random_inputs(model, 0)
    answers = {}
    for winograd, threads in ((False, 1), (True, 1), (True, 2)):
        interpreter = Interpreter(model_content=model, winograd=winograd, num_threads=threads)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        answer = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        answers[winograd, threads] = answer
    assert (answers[False, 1] != answers[True, 1]).any()
    np.testing.assert_array_equal(answers[True, 1], answers[True, 2])


def test_a_layer_is_made_so_where_it_pays():
    graph = read_model(build.conv2d(**LAYER))
    assert [node.op for node in by_winograd(graph).nodes] == ["winograd_conv2d"]


@pytest.mark.parametrize(
    "options",
    [
        {"stride": (2, 2)},
        {"dilation": (2, 2)},
        {"kernel": (1, 3)},
        {"groups": 2, "shape": (1, 14, 14, 64)},
        {"shape": (1, 14, 14, 20)},
        {"shape": (1, 7, 7, 32)},
        {"filters": 15},
        {"shape": (1, 14, 14, 256), "filters": 512},
        {"dtype": "int8"},
    ],
    ids=str,
)
def test_others_are_made_directly(options):
    graph = read_model(build.conv2d(**{**LAYER, **options}))
    assert [node.op for node in by_winograd(graph).nodes] == ["conv2d"]
