"""NEON kernels under emulation, with `smmla`, `sdot` or neither: the NumPy reference's bits."""

from __future__ import annotations

from functools import partial

import build_binary
import build_tflite as build
import numpy as np
import pytest
from exact import draw_values
from hypothesis import given, settings
from hypothesis import strategies as st
from native_call import one_node
from one_operator import operands, read_operator
from oracle import random_inputs, tflite_reference
from vector_geometry import SHIFTED, draw_conv2d, draw_depthwise_conv2d, shifted

from midge.kernels import table
from midge.kernels.convolution import SUFFIXES
from midge.kernels.native import processor
from midge.kernels.vector import table as vector
from midge.runtime.attributes import BConv2D
from midge.runtime.backend import find_backend
from midge.runtime.errors import MissingTool
from midge.runtime.graph import Graph, Node
from midge.runtime.pipeline import compile_model

PROCESSORS = ("max", "cortex-a76", "cortex-a53")  # with `smmla`, with `sdot`, and with neither


def assert_emulated(
    model: bytes,
    kernel: str,
    seed: int = 0,
    overlap: bool = False,
    sets: tuple[str, ...] = (processor.NEON_DOT, processor.NEON),
) -> None:
    """A model of one operator that `kernel` of its type takes: its bits on all processors."""
    graph, node = read_operator(model)
    arrays = operands(graph, node, random_inputs(model, seed))
    kernel = f"{kernel}_{SUFFIXES[graph.input(node).dtype]}"
    assert_node_emulated(graph, node, arrays, kernel, overlap, sets)


def assert_node_emulated(
    graph: Graph,
    node: Node,
    arrays: list[np.ndarray | None],
    kernel: str,
    overlap: bool = False,
    sets: tuple[str, ...] = (processor.NEON_DOT, processor.NEON),
) -> None:
    """The same for a node, and one array for each of its input positions."""
    program = one_node(graph, node, overlap, partial(vector.lower, sets=sets))
    assert {call.kernel for call in program.calls()} == {kernel}
    given = dict(zip(node.inputs, arrays, strict=False))
    wanted = table.OPERATIONS[node.op].reference(graph, node, arrays)
    executor = find_backend("aarch64").build(program)
    try:
        for cpu in PROCESSORS:
            executor.model.processor = cpu
            actual = executor.run([given[index] for index in program.graph.inputs])
            np.testing.assert_array_equal(actual[0], wanted[0], err_msg=cpu)
    except MissingTool as error:
        pytest.skip(str(error))
    finally:
        executor.close()


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_conv2d(data):
    assert_emulated(draw_conv2d(data), "conv2d_vector", 1, data.draw(st.booleans()))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_depthwise_conv2d(data):
    model = draw_depthwise_conv2d(data)
    assert_emulated(model, "depthwise_conv2d_vector", 1, data.draw(st.booleans()))


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
@pytest.mark.parametrize("units", [1, 70])
def test_fully_connected(units, dtype):
    model = build.fully_connected((3, 1050), units=units, dtype=dtype)
    assert_emulated(model, "fully_connected_vector")


@pytest.mark.parametrize("kernel", SHIFTED)
def test_many_filters_and_left_shifts(kernel):
    graph, node = shifted(kernel)
    x = draw_values(np.random.default_rng(1), graph.input(node).shape, graph.input(node).dtype)
    assert_node_emulated(graph, node, [x, *[None] * 2], kernel)


def test_many_filters_of_bits():
    graph, node = build_binary.layer(BConv2D(33), (1, 1, 3, 33), 272, dtype="int8")
    arrays = [build_binary.random_bits(graph, node, 0), *[None] * (len(node.inputs) - 1)]
    assert_node_emulated(graph, node, arrays, "bconv2d_vector_s8")


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_transpose_conv(dtype):
    model = build.transpose_conv((1, 4, 6, 17), filters=18, kernel=(3, 4), dtype=dtype)
    assert_emulated(model, "transpose_conv_vector")


def test_winograd():
    model = build.conv2d((1, 9, 10, 32), filters=20, activation="RELU")
    assert_emulated(model, "conv2d_winograd", overlap=True, sets=(processor.NEON,))


def test_a_library_for_the_least_processor_alone(monkeypatch):
    """What is stated and what is narrower: a wider processor runs it too."""
    monkeypatch.setenv(processor.VARIABLE, processor.NEON)
    assert processor.sets_for("x86_64") == processor.sets_of("x86_64")
    model = build.conv2d((1, 8, 8, 16), filters=16)
    program = compile_model(model, "aarch64")
    assert {call.kernel for call in program.calls()} == {"conv2d_winograd_s8"}
    executor = find_backend("aarch64").build(program)
    inputs = random_inputs(model, 0)
    try:
        for cpu in PROCESSORS:
            executor.model.processor = cpu
            np.testing.assert_array_equal(executor.run(inputs), tflite_reference(model, inputs))
            assert executor.model.instructions == processor.NEON
    except MissingTool as error:
        pytest.skip(str(error))
    finally:
        executor.close()


def test_add():
    linear = {"scales": (0.0213, 0.0317, 0.0493)}
    assert_emulated(build.arithmetic("ADD", (2, 3, 5, 7), **linear), "add_linear_vector")
    row = build.arithmetic("ADD", (2, 3, 5, 7), (1, 1, 1, 7), constant=True, **linear)
    assert_emulated(row, "add_linear_row_vector")
    by_parts = build.arithmetic("ADD", (2, 3, 5, 7), scales=(0.02, 0.031, 0.05))
    assert_emulated(by_parts, "add_vector")
